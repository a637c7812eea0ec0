-- Live reads: a stream table shows its query under the snapshot of the statement that reads it.
set client_min_messages = warning;
set timezone = 'UTC';
create table fact (id int primary key, grp int, v int);
insert into fact select i, i % 10, i from generate_series(1, 100) i;
create table cust (id int primary key, name text);
insert into cust select i, 'c' || i from generate_series(0, 9) i;
select pgtrickle.create_stream_table('agg', 'select grp, count(*) as n, sum(v) as s, max(v) as m from fact group by grp', '1h', live => true);
select pgtrickle.create_stream_table('jn', 'select f.id, c.name, f.v from fact f join cust c on c.id = f.grp', '2h');
select pgtrickle.create_stream_table('bag', 'select grp % 2 as g from fact', '3h');
select pgtrickle.create_stream_table('top', 'select m % 3 as k, sum(n) as n from agg group by 1', '4h');
select pgtrickle.create_stream_table('whole', 'select string_agg(v::text, '','' order by id) as vs from fact where id <= 3', '5h', 'FULL');
-- Differences from the query: none, ever.
create function differs(name regclass) returns bigint language plpgsql volatile as $$
declare n bigint; definition regclass;
begin
  select s.definition into definition from pgtrickle.pgt_stream_tables s where s.pgt_relid = name;
  execute format('select (select count(*) from (table %1$s except all table %2$s) a) + (select count(*) from (table %2$s except all table %1$s) b)', name, definition) into n;
  return n;
end $$;
create view differences as
  select pgt_relid::regclass::text as name, differs(pgt_relid::regclass) from pgtrickle.pgt_stream_tables;

-- Only a live one shows what has changed.
insert into fact values (101, 3, 7), (102, 77, 1);
update fact set v = -v where grp = 4;
delete from fact where grp = 5;
select * from agg where grp in (3, 4, 5, 77) order by grp;
select count(*) from jn where v < 0;
select pgt_relid from pgtrickle.pgt_stream_tables where live;
select name, differs > 0 as differs from differences order by 1;
set pg_trickle.reads = live;
select * from differences where differs <> 0;
select count(*) from jn where v < 0;
set pg_trickle.reads = stored;
select * from agg where grp in (3, 4, 5, 77) order by grp;
reset pg_trickle.reads;
set pg_trickle.reads = 'now'; -- expect-error
select pgtrickle.alter_stream_table('jn', live => true);
select count(*) from jn where v < 0;

-- Plans: index look-ups, nested loops, orders by an index.
create index on agg (grp);
insert into fact select 1000 + i, 100 + i, i from generate_series(1, 1000) i;
select pgtrickle.refresh_stream_table('agg');
analyze agg;
create function planned(query text, options text default 'verbose off') returns setof text language plpgsql as $$
begin return query execute format('explain (costs off, %s) %s', options, query); end $$;
explain (costs off) select * from agg where grp = 3;
explain (costs off) select * from cust join agg on grp = id where name = 'c3';
explain (costs off) select grp from agg order by grp limit 3;
select regexp_replace(line, ' \(returns \$0\)', '') as line from planned('select max(grp) from agg') line;
explain (costs off) update cust set name = n::text from agg where grp = id and id = 3;
delete from fact where id > 1000;
select count(*), max(grp) from agg;

-- One snapshot for all of a statement.
select count(*) from agg a join agg b using (grp) where a is distinct from b;
select (select sum(n) from agg) = (select count(*) from fact) as a, (select count(*) from jn) = (select count(*) from fact where grp < 10) as b;
select a from agg a where grp = 77;
select row_to_json(agg) from agg where grp = 77;
select i, t from generate_series(76, 77) i left join lateral (select n from agg where grp = i) t on true order by 1;
create temp table target (grp int, n bigint);
insert into target select grp, n from agg where grp < 4;
update target set n = agg.s from agg where agg.grp = target.grp;
merge into target using agg on agg.grp = target.grp when matched and agg.grp = 3 then delete when matched then update set n = agg.m when not matched and agg.grp = 77 then insert values (77, 0);
select * from target order by 1;
copy (select * from agg where grp = 77) to stdout;
create materialized view mv as select sum(n) from agg;
table mv;

-- What it cannot do.
select ctid from agg; -- expect-error
select grp, (select xmin from agg limit 1) from agg; -- expect-error
select * from agg where grp = 3 for update; -- expect-error
select count(*) from agg tablesample system (100); -- expect-error
select * from pgtrickle.pending_rows('agg'::regclass) as t (grp int, n bigint, s bigint, m int); -- expect-error
select pgtrickle.is_unchanged('agg'::regclass, '(0,1)') from agg; -- expect-error
-- COPY reads what is stored, as a dump does.
select pgtrickle.refresh_stream_table('whole');
select pgtrickle.alter_stream_table('whole', live => true);
update fact set v = 1000 where id = 1;
copy whole to stdout;
table whole;

-- Rights are those of the table.
create role live_reader;
create role live_owner;
grant select (grp, n) on agg to live_reader;
grant select on agg to live_owner;
create view of_owner as select grp, s from agg where grp in (3, 77);
alter view of_owner owner to live_owner;
grant select on of_owner to live_reader;
set role live_reader;
select grp, n from agg where grp in (3, 77) order by 1;
select s from agg; -- expect-error
table of_owner order by 1;
reset role;
alter table agg enable row level security;
create policy above on agg for select to live_reader using (grp > 5);
set role live_reader;
select count(*), min(grp), max(grp) from agg;
reset role;
alter table agg disable row level security;

-- A transaction sees what it has written: savepoints, cursors, prepared statements.
prepare total as select sum(n), (select count(*) from fact) from agg;
begin;
insert into fact values (201, 9, 1);
execute total;
savepoint a;
delete from fact where grp = 9;
execute total;
rollback to a;
execute total;
declare early cursor for select grp, n from agg where grp in (8, 9) order by grp;
delete from fact where grp in (8, 9);
fetch 1 from early;
fetch all from early;
select grp, n from agg where grp in (8, 9) order by grp;
declare held cursor with hold for select sum(n) from agg;
insert into fact values (202, 9, 1);
commit;
fetch all from held;
close held;
execute total;
begin isolation level repeatable read;
execute total;
insert into fact values (203, 9, 1);
execute total;
select pgtrickle.refresh_stream_table('agg');
execute total;
insert into fact values (204, 9, 1);
execute total;
select * from differences where differs <> 0 and name in ('agg', 'jn', 'whole');
rollback;
execute total;

-- While a statement writes, its rows are captured in part: the answer is the query.
create table seen (n numeric, rows bigint);
create function look() returns trigger language plpgsql as $$
begin insert into seen select sum(n), (select count(*) from fact) from agg; return null; end $$;
create trigger a_look after insert or update or delete on fact for each row execute function look();
create trigger z_look after insert or update or delete on fact for each row execute function look();
insert into fact values (301, 1, 1), (302, 2, 1), (303, 3, 1);
delete from fact where id in (301, 302);
copy fact (id, grp, v) from stdin;
304	4	1
305	5	1
\.
select count(*), count(*) filter (where n <> rows) as wrong from seen;
truncate seen;
drop trigger a_look on fact;
drop trigger z_look on fact;
create function add(id int) returns bigint language plpgsql volatile as $$
begin insert into fact values (id, 1, 1); return (select sum(n) from agg); end $$;
create function total() returns numeric language sql stable as 'select sum(n) from agg';
-- The caller's snapshot does not see what was added since.
select total() - (select count(*) from fact) as before, add(401) - (select count(*) from fact) as added, total() - (select count(*) from fact) as after;
with added as (insert into fact values (402, 1, 1) returning 1) select sum(n) - (select count(*) from fact) as d from agg;
select sum(add(i)) - count(*) * (select count(*) from fact) from generate_series(410, 412) i;
execute total;

-- A refresh in the same statement removes changes that the statement's own snapshot still needs.
insert into fact values (420, 1, 1);
create function refreshed() returns text language plpgsql volatile as $$
begin perform pgtrickle.refresh_stream_table(pgt_relid::regclass::text) from pgtrickle.pgt_stream_tables; return 'refreshed'; end $$;
select total() - (select count(*) from fact) as before, refreshed(), total() - (select count(*) from fact) as after;

-- Where the changes are not followed, the answer is the query.
begin;
truncate fact;
select count(*) from agg;
select differs('agg');
rollback;
select pgtrickle.create_stream_table('parts', 'select id, 100 / v as q from fact', '1d', live => true);
insert into fact values (501, 1, 0); -- fails only where it is computed
select count(*) from parts; -- expect-error
delete from fact where id = 501;
set client_min_messages = debug1;
select count(*) = (select count(*) from fact) from parts;
reset client_min_messages;
set client_min_messages = warning;
create or replace function pg_temp.reason() returns void language sql as '';
create function half(int) returns int immutable language sql as 'select $1 / 2';
select pgtrickle.create_stream_table('halves', 'select id, half(v) as h from fact', '1d', live => true);
create or replace function half(int) returns int immutable language sql as 'select $1 / 2 + 1000';
select differs('halves');
alter table fact add column extra text default 'x';
insert into fact values (601, 1, 5, 'y');
select * from differences where differs <> 0 and name in ('agg', 'jn', 'halves', 'parts', 'whole');
select pgtrickle.alter_stream_table('halves', status => 'PAUSED');
update fact set v = v + 2 where id = 601;
select differs('halves');

-- What a read would do.
create function outlook(name text) returns setof text language sql as $$
  select regexp_replace(e, '[0-9.]+ ms', 'N ms') from pgtrickle.explain_stream_table(name) e where e like '%live%'
$$;
select outlook('jn');
select outlook('whole');
select pgtrickle.refresh_stream_table('jn');
select outlook('jn');
select outlook('bag');
select pgtrickle.explain_stream_table('whole', format => 'json')::jsonb -> 'live';

-- Columns that users add to a stream table, or drop again.
alter table agg add column note text;
alter table agg add column gone int;
alter table agg drop column gone;
update fact set v = v + 1 where grp = 77;
select * from agg where grp in (3, 77) order by grp;

-- Time passes for a query as for its table.
create table events (id int, at timestamptz);
insert into events values (1, now() + interval '1 hour'), (2, now() - interval '1 hour');
select pgtrickle.create_stream_table('recent', 'select id from events where at > now()', '1d', live => true);
insert into events values (3, now() + interval '0.2 seconds');
select count(*) from recent;
select pg_sleep(0.3);
select count(*), differs('recent') from recent;

-- Where nothing is pending the stored rows are read as those of any table: by index alone, and in parallel.
create function runs(query text) returns setof text language sql as $$
  select regexp_replace(line, ' \(actual.*', '')
    from planned(query, 'analyze, buffers off, timing off, summary off') line where line !~ 'Index Searches|Workers Launched'
$$;
select pgtrickle.refresh_stream_table('agg');
vacuum agg;
set enable_seqscan = off;
select * from runs('select grp from agg where grp = 3');
update fact set v = v + 1 where id = 3;
select * from runs('select grp from agg where grp = 3');
select pgtrickle.refresh_stream_table('agg');
reset enable_seqscan;
set parallel_setup_cost = 0;
set parallel_tuple_cost = 0;
set min_parallel_table_scan_size = 0;
set enable_indexonlyscan = off;
set cpu_tuple_cost = 10;
select * from runs('select count(*) from agg');
create function n_of(int) returns numeric language plpgsql parallel safe stable as 'begin return (select n from agg where grp = $1); end';
select max(n_of(grp)) > 0 as positive from fact;
update fact set v = v + 1 where id = 3;
\set SHOW_CONTEXT never
select max(n_of(grp)) > 0 as positive from fact; -- expect-error
\set SHOW_CONTEXT errors
reset cpu_tuple_cost;
reset parallel_setup_cost;
reset parallel_tuple_cost;
reset min_parallel_table_scan_size;

-- Every session has the library, or none reads live.
explain (costs off) select * from recent where id = 1;
select pgtrickle.alter_stream_table('recent', live => false);
explain (costs off) select * from recent where id = 1;
select count(*) from recent;
drop owned by live_reader, live_owner cascade;
drop role live_reader, live_owner;
