-- A rebuild replaces the rows of the table, with any keys of the old definition and the new one.
\set ECHO none
\i tests/regress/preamble.sql
create procedure redefined(name text, query text) language plpgsql as $$
begin
  perform pgtrickle.alter_stream_table(name, query => query);
  raise notice '%: %', name, check_stream_table(name);
end $$;
set client_min_messages = notice;
\set ECHO all
create table t (g int, v int);
insert into t values (1, 1), (1, 2), (1, 2), (2, null), (null, 5), (null, 5);
call follow('s', 'select g, v from t');
call follow('reads', 'select g, count(*) as n, sum(v) as v from s group by g');
call redefined('s', 'select g, max(v) as v from t group by g');
select refreshed('reads');
call redefined('s', 'select g, v from t');
call redefined('s', 'select distinct g, v from t');
call redefined('s', 'select max(g) as g, min(v) as v from t');
call redefined('s', 'select g, v from t union all select g, v from t');
call redefined('s', 'select g, v from t where g is not null');
insert into t values (1, 2), (3, 3);
delete from t where v = 5;
select refreshed_how('s'), refreshed('reads');

-- The usual steps of a migration.
create table m (id int, name text, price numeric(8, 2));
insert into m values (1, 'a', 1.5), (2, 'b', 2.25), (2, 'b', 2.25);
call follow('plain', 'select id, name, price from m');
call follow('prices', 'select id, price from m where price > 1');
call follow('names', 'select name, count(*) as n from m group by name');
delete from m where ctid = (select max(ctid) from m);
alter table m alter id set not null;
insert into m values (3, null, 3);
select name, refreshed(name) from unnest(array['plain', 'prices', 'names']) name;
alter table m add primary key (id);
update m set price = price + 1;
insert into m values (4, 'd', 4);
select name, refreshed(name) from unnest(array['plain', 'prices', 'names']) name;
update m set name = 'c' where name is null;
alter table m alter name set not null;
insert into m values (5, 'd', 5);
select name, refreshed(name) from unnest(array['plain', 'prices', 'names']) name;
alter table m drop constraint m_pkey;
insert into m values (5, 'd', 5);
select name, refreshed(name) from unnest(array['plain', 'prices', 'names']) name;
create view cheap as select id, price from m where price < 5;
call follow('of_cheap', 'select * from cheap');
create or replace view cheap as select id, max(price)::numeric(8, 2) as price from m group by id;
insert into m values (6, 'f', 6);
select refreshed('of_cheap');
create or replace view cheap as select g as id, 0.5::numeric(8, 2) as price from t;
select refreshed('of_cheap');

-- Unchanged rows are not written: foreign keys to them hold.
create table k (id int primary key, v int);
insert into k select n, n from generate_series(1, 5) n;
call follow('kept', 'select id, v from k');
create unique index on kept (id);
create table child (id int references kept (id) on delete cascade);
insert into child select n from generate_series(1, 5) n;
call redefined('kept', 'select id, max(v) as v from k where id < 5 group by id');
table child order by id;

-- Copies become one row: the index of the old rows serves the new ones.
create table repeated (id int primary key, g text);
insert into repeated select n, 'g ' || n % 3 from generate_series(1, 12) n;
set enable_hashjoin = off;
set enable_mergejoin = off;
set enable_seqscan = off;
call follow('single', 'select g from repeated');
call redefined('single', 'select distinct g from repeated');
call redefined('single', 'select g from repeated');
reset enable_hashjoin;
reset enable_mergejoin;
reset enable_seqscan;

-- A first fill by hand creates the indexes. No worker fills it meanwhile.
select pgtrickle.drain();
select pgtrickle.create_stream_table('later', 'select id, v from k', '1d', initialize => false);
select pgtrickle.refresh_stream_table('later');
insert into k values (9, 9);
select refreshed_how('later');
select count(*) from pg_index where indrelid = 'later'::regclass;
