-- Sources whose changes cannot be captured are read as a whole and compared, where the user asks for it.
\set ECHO none
\i tests/regress/preamble.sql
create extension file_fdw;
create server files foreign data wrapper file_fdw;
-- The file behind the foreign tables: what `query` gives.
create procedure put_away(query text) language plpgsql as $$
begin
  execute format('copy (%s) to %L', query, current_setting('data_directory') || '/polled-' || current_database());
end $$;
create procedure attach(definition text) language plpgsql as $$
begin
  execute format('create foreign table %s server files options (filename %L)', definition,
                 current_setting('data_directory') || '/polled-' || current_database());
end $$;
\set ECHO all
\set VERBOSITY default
call put_away('select i, i / 2.0, case when i % 3 > 0 then i % 3 end from generate_series(1, 6) i');
call attach('far (id int, amount numeric, kind int)');
create table kinds (kind int primary key, name text);
insert into kinds values (1, 'one'), (2, 'two');
create materialized view summary as select kind, sum(amount) as total, count(*) as n from far group by kind;

-- Only in mode FULL: AUTO does not read whole sources at each refresh.
-- expect-error
call follow('v', 'select id, amount from far');
-- expect-error
call follow('v', 'select kind, n from summary', 'DIFFERENTIAL');
call follow('far_copy', 'select * from far', 'FULL');
call follow('summary_copy', 'select * from summary', 'FULL');
call follow('with_kinds', 'select f.id, k.name from far f left join kinds k using (kind)', 'FULL');
-- A consumer of a copy follows its changes.
call follow('per_kind', 'select kind, count(*) as n, sum(amount) as total from far_copy group by kind');
create view names as select unnest(array['far_copy', 'summary_copy', 'with_kinds', 'per_kind']) as name;
select tree, kind from pgtrickle.dependency_tree();
select name, full_reason from pgtrickle.pgt_status() order by 1;

select name, refreshed_how(name) from names;
call put_away('select i, i / 2.0, case when i % 4 > 0 then i % 4 end from generate_series(2, 7) i union all select 2, 1, 2');
-- Refreshing a consumer by hand refreshes its sources, that copy too.
select refreshed_how('per_kind');
select name, check_stream_table(name) from names where name in ('far_copy', 'summary_copy', 'per_kind');
select refreshed_how('with_kinds');
refresh materialized view summary;
select refreshed_how('summary_copy');
select refreshed_how('summary_copy');
-- Joined with a table that is captured.
update kinds set name = upper(name);
insert into kinds values (3, 'three');
select refreshed_how('with_kinds');

-- A file that cannot be read leaves everything as it was.
call put_away($$select 'no number', null, null$$);
\set VERBOSITY sqlstate
-- expect-error
select refreshed_how('per_kind');
\set VERBOSITY default
call put_away('select 1, 2, 3');
select refreshed_how('per_kind');

-- Foreign partitions.
create table parts (id int, v int) partition by list (v);
create table near_part partition of parts for values in (1);
insert into parts select i, 1 from generate_series(1, 3) i;
call follow('whole', 'select id from parts');
call put_away('select i, 2 from generate_series(4, 6) i');
call attach('far_part partition of parts for values in (2)');
-- expect-error
select refreshed_how('whole');
select pgtrickle.alter_stream_table('whole', refresh_mode => 'FULL');
select check_stream_table('whole');
insert into parts values (9, 1);
select refreshed_how('whole');
alter table parts detach partition far_part;
select refreshed_how('whole');
select pgtrickle.alter_stream_table('whole', refresh_mode => 'AUTO');
insert into parts values (10, 1);
select refreshed_how('whole');

-- Columns that are read cannot be dropped; others can be added.
-- expect-error
drop foreign table far;
alter foreign table far add column more text;
alter foreign table far drop column more;
drop materialized view summary cascade;
drop foreign table far cascade;
select name from pgtrickle.pgt_status();
