-- What can change while no source does is refused by its name, wherever in the query it is.
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

-- What depends on settings that a stream table keeps is as good as immutable.
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
