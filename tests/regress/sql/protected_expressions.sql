-- Expressions that a query protects from evaluation are not evaluated, and a delta that PostgreSQL refuses is recomputed.
\set ECHO none
\i tests/regress/preamble.sql
\set ECHO all
create table t (id int primary key, g int, a int, v int, at timestamptz);
create table b (k int, z timestamptz);
create table h (x xid, m money, note text);
create table c (x text collate "C", y text collate "POSIX", n name);
insert into t values (1, 1, 1, 10, now()), (2, 1, 2, 20, now()), (3, 2, 5, 50, now());
insert into c values ('a', 'B', 'c'), ('B', 'a', 'a');
insert into h values ('1', 10, 'one'), ('2', 20, 'two'), ('2', null, 'three');
insert into b values (1, now() - interval '1 day'), (2, now() + interval '1 day');
create table queries (name text, query text);
insert into queries values
  ('ratios', 'select g, sum(v / a) filter (where a > 0) as s, count(v / a) filter (where a <> 0) as n, avg(v / a) filter (where a > 0) as m,
      min(v / a) filter (where a > 0) as least, string_agg((v / a)::text, '','' order by 100 / a, id) filter (where a <> 0) as every,
      bool_and(v / a > 3) filter (where a > 0) as all_large from t group by g'),
  ('framed', 'select id, sum(v / a) filter (where a > 0) over (partition by g) as s from t'),
  ('cased', 'select g, sum(case when a > 0 then v / a end) as s from t group by g'),
  ('chosen', 'select id, v / a as q from t where a <> 0'),
  ('chosen_group', 'select g, sum(v / a) as s from t where a <> 0 group by g'),
  ('looked_up', 'select id, case when a > 0 then (select max(k) from b where b.k = 100 / t.a) end as k from t'),
  ('clocked', 'select id from t where g < 3 except select k from b where k in (select k from b where z < now())'),
  ('clocked_deep', '(select id from t intersect select k from b) except select id from t where id in (select k from b where z > now())'),
  ('never', 'select id from t where false and 1 / (id - id) > 0'),
  ('types', 'select (''7'' || g)::xid as x, (''a'' || a)::tsvector as v, g, ''{}''::json as j from t'),
  ('outer_const', 'select g, (select sum(1) filter (where t.g > 0)) as n from t group by g'),
  ('outer_count', 'select g, (select max(t.v) from b where k = 1) as n from t group by g'),
  ('outer_grouping', 'select g, (select grouping(t.g)) as n from t group by rollup (g)'),
  ('hashed_with_sorted', 'select id from t where exists (select from h where h.x = t.id::text::xid and h.m = t.v::money)'),
  ('hashed_with_sorted_sum', 'select id, (select max(note) from h where h.x = t.id::text::xid and h.m = t.v::money) as note from t'),
  ('hashed_with_sorted_left', 'select id, note from t left join h on h.x = t.id::text::xid and h.m = t.v::money'),
  ('hashed_with_sorted_columns', 'select note from h where exists (select from h k where k.x = h.x and k.m = h.m and k.note > h.note)'),
  ('hashed_with_sorted_joined', 'select h.note, k.note as other from h left join h k on k.x = h.x and k.m = h.m and k.note > h.note'),
  ('hashed_alone', 'select id from t where exists (select from h where h.x = t.id::text::xid)'),
  ('sorted_alone', 'select m, count(*) as n from h group by m'),
  ('mixed_collations', 'select u, count(*) as n from (select id::text as u from t union select x from c) x group by u'),
  ('names', 'select n as u from c union select x from c union select id::text from t');
select format('call follow(%L, %L)', name, query) from queries \gexec
select t.pgt_relid, t.full_reason from pgtrickle.pgt_stream_tables t where t.full_reason is not null order by 1;
-- expect-error
call follow('locks', 'select id from (select id from t for update) x');
-- expect-error
call follow('locks_in_cte', 'with x as (select id from t for share) select count(*) from x', 'FULL');
create procedure every() language plpgsql as $$
declare
  one text;
begin
  for one in select name from queries loop
    if one <> 'types' then
      perform refreshed(one);
    end if;
  end loop;
  perform pgtrickle.refresh_stream_table('types'), check_against('typed', 'select (''7'' || g)::xid::text, (''a'' || a)::tsvector::text, g, ''{}'' from t');
end $$;
create view typed as select x::text as x, v::text as v, g, j::text as j from types;
insert into t values (4, 1, 0, 40, null), (5, 2, 0, 50, null), (6, 3, 0, 60, null), (7, 3, -1, 60, null);
call every();
update t set a = 0 where id in (1, 7);
insert into c values ('a', 'a', 'a'), (null, '4', '4'), ('5', null, null);
insert into h values ('4', 40, 'four'), (null, 10, null), ('3', 50, 'x');
insert into b values (3, now()), (6, now() - interval '1 hour'), (100, null);
call every();
update t set a = 3 where a = 0 and g < 3;
delete from b where k = 2;
update h set m = 10 where note = 'two';
delete from h where note = 'one';
delete from c where x = 'a';
call every();
delete from t where g = 1;
call every();
select * from ratios order by g;
