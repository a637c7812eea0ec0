-- ORDER BY of a subquery on which the outer query relies: it becomes the order there, or the query is recomputed.
\set ECHO none
\i tests/regress/preamble.sql
\set ECHO all
create table t (id int primary key, a int, v int, w text);
insert into t select i, i % 3, (i * 7) % 10, chr(96 + i) from generate_series(1, 12) i;
create view sorted as select id, a, v, w from t order by a, v desc, id;
create table queries (name text, query text);
insert into queries values
  ('by_group', 'select a, array_agg(v) as vs from (select a, v from t order by a, v) q group by a'),
  ('in_view', 'select a, string_agg(w, '','') as ws, count(*) as n from sorted where v > 1 group by a'),
  ('whole', 'select json_agg(w)::jsonb as ws from (select w from t order by v desc, w) q'),
  ('limited', 'select * from (select id, v from t order by v desc, id) q limit 3'),
  ('limited_view', 'select w, id from sorted where a > 0 limit 4 offset 1'),
  ('of_top', 'select array_agg(w) as ws from (select w, v from t order by v, w limit 5) q'),
  ('in_cte', 'with q as (select a, v, w from t order by a, v, w) select a, string_agg(w, '''') as ws from q group by a'),
  ('through', 'select array_agg(x) as xs from (select v + 0 as x from (select v from t order by v) q) r where x > 2'),
  ('not_asked', 'select a, count(*) as n, max(v) as m, array_agg(v order by v) as vs from sorted group by a'),
  ('ranked', 'select id, row_number() over (partition by a order by v, id) as nth, rank() over () as r from sorted'),
  ('sets_in_order', 'select a from t order by generate_series(1, v % 3)'),
  ('sets_limited', 'select id from t order by id, generate_series(1, v % 3) desc limit 6');
select format('call follow(%L, %L, %L)', name, query, 'DIFFERENTIAL') from queries \gexec
insert into queries values
  ('recomputed', 'select a, array_agg(v) as vs from (select a, v from t order by v) q group by a'),
  ('numbered', 'select id, row_number() over () as nth from sorted'),
  ('hidden', 'select array_agg(w) as ws from (select w from t order by v, id) q'),
  ('joined', 'select string_agg(s.w, '''') as ws from sorted s join t on t.id = s.id'),
  ('united', '(select id from t where a = 1 order by v) union all (select id from t where a = 2) limit 2'),
  ('first_each', 'select distinct on (a) a, v from sorted'),
  ('sets', 'select x, b, n from (select 1 as x, a as b, count(*) as n from t group by grouping sets (1, 2)) s where x = 1');
select format('call follow(%L, %L)', name, query) from queries where name in ('recomputed', 'numbered', 'hidden', 'joined', 'united', 'first_each', 'sets') \gexec
call follow('cubed', 'select a, g, count(*) as n from (select a, v from t) t cross join lateral (select t.v % 2 as g) x group by cube (a, g)', 'DIFFERENTIAL');
call follow('cubed_set', 'select generate_series(1, v % 3) as s, a, count(*) as n from t group by cube (1, 2)', 'DIFFERENTIAL');
insert into queries values ('cubed', ''), ('cubed_set', '');
select refresh_mode, full_reason from pgtrickle.pgt_status() where full_reason is not null order by full_reason;
create procedure every() language plpgsql as $$
declare
  one text;
begin
  for one in select name from queries loop
    perform refreshed(one);
  end loop;
end $$;
insert into t values (20, 1, 3, 'x'), (21, 0, 0, 'y'), (22, null, 5, 'z');
call every();
update t set v = 9 - v where a = 1;
call every();
delete from t where v > 6;
call every();
update t set a = 2, w = w || 'q' where id in (3, 5, 21);
call every();
select * from by_group order by a;
select * from limited order by id;
