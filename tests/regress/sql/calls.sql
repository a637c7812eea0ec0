-- Functions whose results can change without a change of a source are refused by name, anywhere in the query.
\set ECHO none
\i tests/regress/preamble.sql
\set ECHO all
create table t (id int primary key, v int, at timestamptz, doc jsonb);
create function top() returns int language sql stable as 'select max(v) from t';
create function near(int, int) returns boolean language sql stable as 'select abs($1 - $2) < top()';
create operator ~~~ (leftarg = int, rightarg = int, function = near);
create function widen(int, int) returns int language sql stable as 'select $1 + top()';
create aggregate total(int) (sfunc = widen, stype = int, initcond = 0);
create type box_of as (n int);
create function unbox(box_of) returns int language sql stable as 'select $1.n + top()';
create cast (box_of as int) with function unbox(box_of);
create function fits(int) returns boolean language sql stable as 'select $1 <= coalesce(top(), $1)';
create domain small as int check (fits(value));
create view vv as select id, top() as c from t;
create view vvv as select id, c + 1 as c from vv;
-- expect-error
select pgtrickle.create_stream_table('st', 'select * from vvv');
-- expect-error
select pgtrickle.create_stream_table('st', 'select id from t where id ~~~ v');
-- expect-error
select pgtrickle.create_stream_table('st', 'select total(v) from t');
-- expect-error
select pgtrickle.create_stream_table('st', 'select id, row(v)::box_of::int as n from t');
-- expect-error
select pgtrickle.create_stream_table('st', 'select id, v::small as n from t');
-- expect-error
select pgtrickle.create_stream_table('st', 'select id, "current_user"() as u from t');
-- expect-error
select pgtrickle.create_stream_table('st', 'select id, current_user as u from t');
-- expect-error
select pgtrickle.create_stream_table('st', 'select id, table_to_xml(''t'', true, true, '''')::text as x from t');
-- expect-error
select pgtrickle.create_stream_table('st', 'select id from t where has_column_privilege(''t'', ''id'', ''select'')');
-- expect-error
select pgtrickle.create_stream_table('st', 'select id from t where pg_has_role(''pg_monitor'', ''member'')');
-- expect-error
select pgtrickle.create_stream_table('st', 'select id, obj_description(id::oid, ''pg_class'') as d from t');
-- expect-error
select pgtrickle.create_stream_table('st', 'select id, pg_stat_get_live_tuples(id::oid) as n from t');
-- expect-error
select pgtrickle.create_stream_table('st', 'select id, txid_current_if_assigned() as x from t');
-- expect-error
select pgtrickle.create_stream_table('st', 'select id, id::regclass::text as x from t');
-- expect-error
select pgtrickle.create_stream_table('st', 'select id, current_setting(''work_mem'') as x from t');
-- expect-error
select pgtrickle.create_stream_table('st', 'select id, age(at) as x from t');
-- expect-error
select pgtrickle.create_stream_table('st', 'select id from t tablesample system (50)');
-- expect-error
select pgtrickle.create_stream_table('st', 'select id from t order by random()');

-- Functions that depend only on settings that a stream table stores are accepted like immutable ones.
set timezone = 'Asia/Tokyo';
set datestyle = 'German';
call follow('kept', $$
  select id, at::date as day, date_trunc('month', at) as month, to_char(at, 'TMMonth YYYY HH24') as text,
         at::text as plain, current_setting('TimeZone') as zone, age(at, '2000-01-01') as age, at + interval '1 month' as later,
         to_jsonb(at) as js, concat(id, at) as con, (doc ->> 'at')::timestamptz as parsed
    from t $$);
call follow('grouped', $$ select at::date as day, json_agg(v order by v)::text as vs, count(*) as n from t group by 1 $$);
insert into t values (1, 1, '2024-02-29 20:00+00', '{"at": "01.02.2024 10:00"}'), (2, 2, '2024-03-01 14:59+00', null);
set timezone = 'UTC';
set datestyle = 'ISO';
insert into t values (3, 3, '2024-03-01 15:01+00', '{"at": "01.02.2024 10:00"}');
select pgtrickle.refresh_stream_table('kept'), pgtrickle.refresh_stream_table('grouped');
set timezone = 'Asia/Tokyo';
set datestyle = 'German';
select check_stream_table('kept'), check_stream_table('grouped');
select id, day, text, plain, zone, parsed from kept order by id;

-- Unread columns need no privilege and no capture: in views, subqueries, joins and CTEs, at any depth.
create view stamped as select t.*, random() as r, now() as seen, top() as highest, v::small as few from t;
create view counted as select id, v, r, seen, count(*) over () as n from (select id, v, r + 1 as r, seen from stamped) s;
call follow('unread', 'select id, v from stamped where id > 0', 'DIFFERENTIAL');
call follow('unread_deep', 'select id, v from counted', 'DIFFERENTIAL');
call follow('unread_join', 'select j.id, j.w from (stamped s join (select id as other, v as w, random() as q from t) u on s.id = u.other) j', 'DIFFERENTIAL');
call follow('unread_using', 'select id, v from (select id, random() as r from t) a join (select id, v, top() as c from t) b using (id)', 'DIFFERENTIAL');
call follow('unread_cte', 'with a as materialized (select id, random() as r from t), b as (select id, r from a) select x.id, y.id as other from b x left join b y on y.id > x.id', 'DIFFERENTIAL');
call follow('unread_lateral', 'select t.id, l.n from t, lateral (select count(*) as n, random() as r from t u where u.v = t.v) l', 'DIFFERENTIAL');
call follow('unread_group', 'select v, n from (select v, count(*) as n, max(random()) as r from t group by v) g', 'DIFFERENTIAL');
-- An aggregate whose rows are counted is read.
call follow('unread_one', 'select t.id, l.w from t left join lateral (select t.v as w, count(u.v) as n from t u where u.v = t.id) l on true', 'DIFFERENTIAL');
call follow('unread_none', 'select count(*) as n from (select max(v) as m from t where id > 100) s', 'DIFFERENTIAL');
call follow('unread_outer', 'select (select count(*) from (select max(t.v) as m from t u) s) as n from t');
call follow('unread_having', 'select count(*) as n from (select max(v) + count(*) as m from t having count(*) > 2) s', 'DIFFERENTIAL');
select name, full_reason from pgtrickle.pgt_status() where name like 'public.unread%' order by name;
insert into t values (4, 1), (5, 5);
update t set v = v + 1 where id = 2;
delete from t where id = 1;
select name, refreshed_how(name) from pgtrickle.pgt_status() where name like 'public.unread%' order by name;
-- expect-error
select pgtrickle.create_stream_table('st', 'select s from stamped s');
-- expect-error
select pgtrickle.create_stream_table('st', 'select j::text from (stamped s join t u using (id)) j');
-- expect-error
select pgtrickle.create_stream_table('st', 'select id from (select id, r from stamped union select id, v from t) s');
-- expect-error
select pgtrickle.create_stream_table('st', 'select id from (select distinct id, r from stamped) s');
-- expect-error
select pgtrickle.create_stream_table('st', 'select id from (select id, generate_series(1, random()::int) as r from t) s');
-- expect-error
select pgtrickle.create_stream_table('st', 'select id from t where v < (select max(r) from stamped)');
-- expect-error
select pgtrickle.create_stream_table('st', 'select count(*) as n from (select id, r from stamped) s group by r');

-- The mark of a function that only an aggregate can call means nothing; that of another one does.
create function accumulate(internal, bigint) returns internal language internal as 'int8_avg_accum';
create function conclude(internal) returns numeric language internal as 'numeric_poly_avg';
create aggregate mean(bigint) (sfunc = accumulate, stype = internal, finalfunc = conclude);
create function bump(int, int) returns int language sql as 'select $1 + $2';
create aggregate bumped(int) (sfunc = bump, stype = int, initcond = 0);
call follow('means', 'select v % 2 as odd, mean(id) as m from t group by 1', 'DIFFERENTIAL');
insert into t values (50, 4), (51, 5);
delete from t where id = 4;
select pgtrickle.refresh_stream_table('means');
select is_equal from pgtrickle.verify_stream_table('means');
-- expect-error
select pgtrickle.create_stream_table('st', 'select v, bumped(id) as b from t group by v');

-- The settings of a refresh are those of the creation, and no setting of the refreshing session delays or ends it.
create function says(name text) returns text language plpgsql immutable as 'begin return current_setting(name); end';
create table asked (name text primary key);
set timezone = 'UTC';
call follow('answers', 'select name, says(name) as value from asked', 'DIFFERENTIAL');
set timezone = 'Asia/Tokyo';
set lc_monetary = 'C';
set lc_time = 'C';
set intervalstyle = 'iso_8601';
set standard_conforming_strings = off;
set escape_string_warning = off;
set search_path = public, pg_catalog;
set jit = on;
set jit_above_cost = 0;
insert into asked values ('timezone'), ('lc_monetary'), ('lc_time'), ('intervalstyle'), ('standard_conforming_strings'), ('search_path'), ('jit');
select pgtrickle.refresh_stream_table('answers');
select name, value, value = current_setting(name) as same from answers order by name;
