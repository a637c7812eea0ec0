-- Names are resolved once: the schemas of extensions, operators, functions and tables change nothing.
\set ECHO none
\i tests/regress/preamble.sql
\set ECHO all

-- Extensions in the schema of the tables.
create extension citext;
create extension hstore;
create extension ltree;
create table u (id int primary key, email citext, tags hstore, path ltree);
insert into u values (1, 'a', 'x=>1', 'top.a'), (2, 'B', null, 'top.b'), (3, null, 'x=>1', null);
call follow('emails', 'select email, count(*) n from u group by email');
call follow('others', 'select id from u where email is distinct from ''A''');
call follow('cases', 'select id, case email when ''b'' then 1 else 2 end c, nullif(email, ''a'') e from u');
call follow('listed', 'select id from u where email in (''a'', ''c'')');
call follow('below', 'select path, tags -> ''x'' as x from u where path <@ ''top''');
call follow('pairs', 'select a.id, b.id as other from u a join u b using (email)');
call follow('bag', 'select tags, path, email from u');
call follow('distincts', 'select distinct tags, email from u');
insert into u values (4, 'A', 'x=>2', 'top.a.c'), (5, 'b', 'x=>1', 'top'), (6, 'c', null, null);
update u set email = 'AA' where id = 1;
update u set email = 'Aa' where id = 1;
delete from u where id = 2;
select name, refreshed_how(name) from unnest(array['emails', 'others', 'cases', 'listed', 'below', 'pairs', 'bag', 'distincts']) name;
select pgt_relid, search_path from pgtrickle.pgt_stream_tables where search_path <> 'pg_catalog, pg_temp' order by pgt_id;

-- An extension in another schema than the tables, not on the path.
create schema ext;
create extension pg_trgm schema ext;
create schema "quoted ""names""";
alter extension hstore set schema "quoted ""names""";
call follow('keyless', 'select email, tags from u where ext.similarity(email::text, ''aa'') > 0.1');
insert into u values (7, 'aab', 'z=>1', null);
select name, refreshed_how(name) from unnest(array['keyless', 'bag', 'distincts']) name;

-- Operators, functions and aggregates of users, some with names of built-in ones.
create function same(int, int) returns boolean language sql immutable as 'select $1 % 10 = $2 % 10';
create operator === (leftarg = int, rightarg = int, function = same);
create function lower(int) returns int language sql immutable as 'select -$1';
create function array_length(int[], int) returns int language sql immutable as 'select 99';
create aggregate lowest(int) (sfunc = int4smaller, stype = int);
create function lowest(text) returns text language sql immutable as 'select $1';
create table t (id int primary key, g int, a int[]);
insert into t select n, n % 3, array[n] from generate_series(1, 12) n;
call follow('own', 'select id, lower(g) l, array_length(a, 1) n from t where id === 2');
call follow('least', 'select g, lowest(id) m from t group by g');
insert into t values (22, 5, '{1,2}');
delete from t where id = 12;
select name, refreshed_how(name) from unnest(array['own', 'least']) name;

-- A function that calls another without its schema, and one that sets its path.
create function inner_one(int) returns int language plpgsql immutable as 'begin return $1 + 1; end';
create function outer_one(int) returns int language plpgsql immutable as 'begin return inner_one($1); end';
-- expect-error
select pgtrickle.create_stream_table('nested', 'select id, outer_one(id) as n from t');
alter function outer_one(int) set search_path = public;
call follow('nested', 'select id, outer_one(id) as n from t');
insert into t values (30, 1, null);
select refreshed_how('nested');

-- Two tables with the same name.
create schema other;
create table other.t (id int primary key, g int);
insert into other.t values (1, 1), (2, 2);
call follow('both', 'select a.id, b.g from t a join other.t b using (id)');
call follow('other.t2', 'select count(*) n from other.t');
insert into other.t values (3, 3);
update t set g = 7 where id = 1;
select name, refreshed_how(name) from unnest(array['both', 'other.t2']) name;

-- Keywords and quotes.
create schema "select";
create table "select"."Order" ("group" int primary key, "a""b" text);
insert into "select"."Order" values (1, 'x\y');
set standard_conforming_strings = off;
set escape_string_warning = off;
call follow('"select"."user"', 'select "group", "a""b", ''back\\\\slash'' as s, "a""b" || E''\\\\'' as t from "select"."Order"');
insert into "select"."Order" values (2, 'z');
select refreshed_how('"select"."user"');
reset standard_conforming_strings;
table "select"."user" order by 1;
