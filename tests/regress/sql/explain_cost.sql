-- What the change of each source costs, by the rows that are read: an example of each class.
\set ECHO none
\i tests/regress/preamble.sql
create procedure costs(query text) language plpgsql as $$
declare
  line text;
begin
  call follow('explained', query);
  for line in select l from pgtrickle.explain_stream_table('explained') with ordinality as e (l, place) where l ~ '^  .*O\(' order by place loop
    raise notice '%', line;
  end loop;
  perform pgtrickle.drop_stream_table('explained');
end $$;
set client_min_messages = notice;
\set ECHO all
create table r (id int primary key, k int not null, v int not null, n int, at timestamptz);
create table s (id int primary key, k int not null, v int not null);
insert into r select i, i % 5, i, i, now() from generate_series(1, 20) i;
insert into s select i, i % 5, i from generate_series(1, 20) i;
-- The changed rows, and those that they are joined with.
call costs('select id, v from r where v > 3');
call costs('select r.id, s.v from r join s on s.id = r.k');
call costs('select id from r where not exists (select from s where s.k = r.k)');
call costs('select k, count(*) as n, sum(v) as v, avg(v) as mean from r group by k');
call costs('select id, v from r where v > (select avg(v) from r)');
call costs($$select id from r where at > now() - interval '1 hour'$$);
-- All rows of touched groups, always or in some cases.
call costs('select k, array_agg(v order by id) as all from r group by k');
call costs('select k, max(v) as largest from r group by k');
call costs('select s.id, g.all from s join (select k, string_agg(v::text, $$,$$ order by id) as all from r group by k) g on g.k = s.k');
-- All rows of touched partitions.
call costs('select id, rank() over (partition by k order by v) as place from r');
call costs('select distinct on (k) k, id from r order by k, v');
-- Rows that an index has in order: the first ones, and those from the first changed one on.
create index on s (k, v);
call costs('select id, place from (select id, rank() over (partition by k order by v) as place from s) q where place <= 3');
call costs('select id, place from (select id, dense_rank() over (partition by k order by v desc) as place from s) q where place <= 3');
call costs('select distinct on (k) k, id from s order by k, v');
call costs('select id, k, v, sum(v) over (partition by k order by v) as total from s');
-- All rows of a table.
call costs('select id, rank() over (order by v) as place from r');
call costs('select array_agg(v order by id) as all from r');
call costs('select max(v) as largest from r');
call costs('select id, v from r order by v, id limit 3');
call costs('select r.id, s.id as s from r join s on s.v < r.v');
call costs('select id, count(*) over (order by v rows unbounded preceding exclude ties) as place from r');
-- An index is missing, until there is one.
insert into r select i, i % 1000, i, i, now() from generate_series(21, 5000) i;
analyze r;
call costs('select r.id, s.v from r join s on s.id = r.k');
create index on r (k);
call costs('select r.id, s.v from r join s on s.id = r.k');
