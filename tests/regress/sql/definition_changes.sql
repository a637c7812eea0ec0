-- Objects that a definition depends on may change: then the table is rebuilt, or reports why it cannot be, and never mixes rows of
-- both definitions.
\set ECHO none
\i tests/regress/preamble.sql
\set ECHO all
create table t (id int primary key, g int, v int, note text);
insert into t select n, n % 3, n, 'Cats and dogs' from generate_series(1, 9) n;

-- A function is replaced, in the query, behind an operator, an aggregate, a domain's check.
create function twice(int) returns int language sql immutable as 'select $1 * 2';
create function alike(int, int) returns boolean language sql immutable as 'select $1 = $2';
create operator === (leftarg = int, rightarg = int, function = alike);
create function more(int, int) returns int language sql immutable as 'select $1 + $2';
create aggregate total(int) (sfunc = more, stype = int, initcond = 0);
call follow('doubled', 'select id, twice(v) as v from t');
call follow('counted', 'select twice(g) as g, count(*) as n from t group by 1');
call follow('same', 'select id from t where g === 1');
call follow('totals', 'select g, total(v) as v from t group by g');
call follow('of_doubled', 'select sum(v) as v from doubled');
create or replace function twice(int) returns int language sql immutable as 'select $1 * 20';
create or replace function alike(int, int) returns boolean language sql immutable as 'select $1 = $2 + 1';
create or replace function more(int, int) returns int language sql immutable as 'select $1 + $2 + 1';
insert into t values (10, 1, 10, 'Cats');
delete from t where id = 1;
select name, refreshed_how(name) from unnest(array['doubled', 'counted', 'same', 'totals', 'of_doubled']) name;

-- A command that leaves a function as it is is no change.
alter function twice(int) cost 5;
insert into t values (1, 1, 1, 'Cats');
select refreshed_how('doubled');
alter function twice(int) rename to double;
update t set v = 7 where id = 1;
select refreshed('doubled');

-- Functions that become volatile.
alter function double(int) stable;
insert into t values (11, 1, 1, 'Cats');
-- expect-error
select pgtrickle.refresh_stream_table('doubled');
-- expect-error
select pgtrickle.refresh_stream_table('doubled');
alter function double(int) immutable;
select refreshed_how('doubled'), refreshed_how('counted');

-- Labels of enums, in columns and arrays of them.
create type mood as enum ('sad', 'fine');
create table m (id int primary key, mood mood, moods mood[]);
insert into m values (1, 'sad', '{sad,fine}'), (2, 'fine', null);
call follow('moods', 'select id, mood::text as mood, moods::text as moods from m');
alter type mood rename value 'sad' to 'blue';
insert into m values (3, 'blue', '{blue}');
select refreshed_how('moods');
table moods order by id;

-- Text search.
create text search configuration plain (copy = simple);
call follow('words', 'select id, to_tsvector(''plain'', note)::text as words from t');
set default_text_search_config = 'public.plain';
call follow('default_words', 'select id, to_tsvector(note)::text as words from t');
alter text search configuration plain alter mapping for asciiword with english_stem;
update t set note = 'Birds and cats' where id = 2;
select refreshed_how('words'), refreshed_how('default_words');

-- A view is replaced by one that is not incremental: an error at each refresh, until it is replaced again.
create view v3 as select id, v from t;
call follow('through', 'select id, v from v3', 'DIFFERENTIAL');
create or replace view v3 as select id, count(*) over (order by v rows unbounded preceding exclude ties)::int as v from t;
insert into t values (12, 1, 1, 'Cats');
-- expect-error
select pgtrickle.refresh_stream_table('through');
create or replace view v3 as select id, (random() * v)::int as v from t;
-- expect-error
select pgtrickle.refresh_stream_table('through');
select bool_or(line like 'will be built anew%') as stale from pgtrickle.explain_stream_table('through') line;
-- expect-error
select pgtrickle.refresh_stream_table('through');
create or replace view v3 as select id, v + 1 as v from t;
select refreshed_how('through');

-- A key is dropped under a scalar subquery.
create table k (id int unique not null, v int);
insert into k values (1, 1);
call follow('scalar', 'select t.id, (select k.v from k where k.id = t.g) as v from t');
alter table k drop constraint k_id_key;
insert into k values (1, 2);
-- expect-error
select pgtrickle.refresh_stream_table('scalar');
-- expect-error
select pgtrickle.refresh_stream_table('scalar');
delete from k where v = 1;
select refreshed_how('scalar');
select full_reason from pgtrickle.pgt_status() where name like '%scalar';

-- A definition that its own transaction alters before the first fill.
create table keyed (id int constraint keyed_id primary key, v int);
insert into keyed values (1, 1);
begin;
select pgtrickle.create_stream_table('by_key', 'select id, v from keyed', '1h', initialize => false);
alter table keyed drop constraint keyed_id, alter id drop not null;
insert into keyed values (1, 1), (1, 2), (null, 3), (null, 3);
select pgtrickle.refresh_stream_table('by_key');
commit;
delete from keyed where v = 3 and ctid = (select min(ctid) from keyed where v = 3);
select pgtrickle.refresh_stream_table('by_key');
select is_equal, table_rows from pgtrickle.verify_stream_table('by_key');
