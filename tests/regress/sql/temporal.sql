-- Temporal filters: rows appear and vanish as time passes. Exact at the time of the frontier.
\set ECHO none
\i tests/regress/preamble.sql
-- 'exact', or an error: the stream table against its query with the clock standing at its data_timestamp.
create function check_at_its_time(name text) returns text language plpgsql as $$
declare
  query text;
begin
  select replace(replace(replace(t.canonical, 'now()', quote_literal(f.data_timestamp) || '::timestamptz'),
                         'CURRENT_DATE', quote_literal(f.data_timestamp) || '::timestamptz::date'),
                 'LOCALTIMESTAMP', quote_literal(f.data_timestamp) || '::timestamptz::timestamp')
    into strict query
    from pgtrickle.pgt_stream_tables t join pgtrickle.pgt_seen f using (pgt_id)
   where t.pgt_relid = name::regclass;
  return check_against(name, rtrim(query, '; '));
end $$;

-- Refreshes, checks, and returns the action and the rows written.
create function passed(name text) returns text language plpgsql as $$
declare
  before bigint := last_refresh();
begin
  perform pgtrickle.refresh_stream_table(name);
  return check_at_its_time(name) || ' after ' || done_since(before, name, '%s +%s -%s ~%s');
end $$;

create view names as
  select unnest(array['recent', 'due', 'open', 'valid', 'quiet', 'today', 'local', 'top']) as name;
\set ECHO all
create table events (id int primary key, at timestamptz, kind text not null);
create table kinds (kind text primary key, until timestamptz);
insert into events select i, clock_timestamp() - interval '1 hour', 'old' from generate_series(1, 3) i;
insert into events values (10, null, 'never'), (11, 'infinity', 'new'), (12, '-infinity', 'old');
insert into kinds values ('old', null), ('new', 'infinity'), ('soon', null);
call follow('recent', $$select id, kind from events where at > now() - interval '2 seconds'$$, 'DIFFERENTIAL');
call follow('due', 'select id from events where now() >= at', 'DIFFERENTIAL');
call follow('open', $$select kind, count(*) as n from events where at between current_timestamp - interval '2 seconds' and now() + interval '1 second' group by kind$$, 'DIFFERENTIAL');
call follow('valid', 'select e.id, k.kind from events e left join kinds k on k.kind = e.kind and k.until > now()', 'DIFFERENTIAL');
call follow('quiet', $$select kind from events group by kind having max(at) < now() - interval '2 seconds'$$, 'DIFFERENTIAL');
call follow('today', 'select id from events where at::date = current_date', 'FULL');
call follow('local', $$select id from events where exists (select from kinds k where k.kind = events.kind and k.until at time zone 'UTC' > localtimestamp)$$, 'DIFFERENTIAL');
call follow('top', 'select kind, count(*) as n from recent group by kind', 'DIFFERENTIAL');
-- Without a write, and without a row that crosses a bound, nothing is done.
select name, passed(name) from names where name <> 'today';
-- Rows that are written, and then cross.
insert into events values (20, clock_timestamp() - interval '0.5 seconds', 'new'), (21, clock_timestamp() + interval '1 second', 'soon');
update kinds set until = clock_timestamp() + interval '1 second' where kind = 'soon';
select name, passed(name) from names where name <> 'today';
select pg_sleep(2);
select name, passed(name) from names where name <> 'today';
-- A row that was inserted and crossed since; one that moves into the past; one that is deleted.
insert into events values (30, clock_timestamp() - interval '1.9 seconds', 'new');
update events set at = clock_timestamp() - interval '1 year' where id = 20;
delete from events where id = 11;
select pg_sleep(1.2);
select name, passed(name) from names where name <> 'today';
select * from recent order by id;
select * from due order by id;
select * from quiet order by kind;
select split_part(passed('today'), ' ', 1);
-- A rollback undoes the refresh and its time.
begin;
insert into events values (40, clock_timestamp() - interval '1 second', 'new');
select passed('recent');
rollback;
select pg_sleep(1.2);
select passed('recent');
-- Comparisons as parts of conditions, and distances from the clock. A day of a distance has 24 hours, a month 30 days.
insert into events values (60, clock_timestamp() + interval '1 second', 'soon'), (61, clock_timestamp() - interval '30 days' + interval '1 second', 'old');
call follow('either', $$select id from events where at is null or not (at < now()) or id = 2 and at > now() - interval '1 day'$$, 'DIFFERENTIAL');
call follow('month', $$select id from events where isfinite(at) and now() - at < interval '1 month'$$, 'DIFFERENTIAL');
call follow('days', $$select id from events where isfinite(at) and current_date - at::date <= 25 and extract(epoch from now() - at) > -0.5$$, 'DIFFERENTIAL');
select name, passed(name) from unnest(array['either', 'month', 'days']) name;
select pg_sleep(1.2);
select name, passed(name) from unnest(array['either', 'month', 'days']) name;
delete from events where id in (60, 61);
select name, passed(name) from unnest(array['either', 'month', 'days']) name;
-- Comparisons as values: in FILTER, CASE and GROUP BY, in conditions with subqueries, on both sides of outer joins.
insert into events values (62, clock_timestamp() + interval '1 second', 'soon'), (63, null, 'never');
call follow('values', $$select id, at > now() as open, case when at <= now() then 'past' when at < now() + interval '1 day' then 'next' end as phase from events$$, 'DIFFERENTIAL');
call follow('filtered', $$select kind, count(*) filter (where at > now()) as due, count(*) as n from events group by kind having count(*) filter (where at <= now()) >= 0$$, 'DIFFERENTIAL');
call follow('phases', $$select at > now() as open, count(*) as n from events group by 1$$, 'DIFFERENTIAL');
call follow('odd', $$select id from events where (id = 1) = (at > now()) or at > now() and kind in (select kind from kinds)$$, 'DIFFERENTIAL');
call follow('kept', 'select e.id, k.kind from events e full join kinds k on k.kind = e.kind and e.at > now()', 'DIFFERENTIAL');
select name, passed(name) from unnest(array['values', 'filtered', 'phases', 'odd', 'kept']) name;
select pg_sleep(1.2);
select name, passed(name) from unnest(array['values', 'filtered', 'phases', 'odd', 'kept']) name;
delete from events where id in (62, 63);
select name, passed(name) from unnest(array['values', 'filtered', 'phases', 'odd', 'kept']) name;
-- expect-error
select pgtrickle.create_stream_table('no', $$select count(*) filter (where at > now()) as a, count(*) filter (where at > now() - interval '1 h') as b, count(*) filter (where at > now() - interval '1 d') as c, count(*) filter (where at > now() - interval '9 d') as d from events$$, refresh_mode => 'DIFFERENTIAL');
-- Other uses of the clock than comparing it with a column are not incremental.
-- expect-error
select pgtrickle.create_stream_table('no', 'select id, now() from events', refresh_mode => 'DIFFERENTIAL');
-- expect-error
select pgtrickle.create_stream_table('no', $$select id from events where now() - at < id * interval '1 day'$$, refresh_mode => 'DIFFERENTIAL');
-- expect-error
select pgtrickle.create_stream_table('no', $$select id from events where now() > '2020-01-01'$$, refresh_mode => 'DIFFERENTIAL');
-- expect-error
select pgtrickle.create_stream_table('no', $$select id from events where localtime > '10:00'$$);
-- Otherwise it is recomputed on its schedule, by the clock of the refresh.
call follow('ages', $$select id, date_part('epoch', now() - at)::int as age, current_date as today from events where isfinite(at)$$);
call follow('early', $$select id from events where (id = 1) is distinct from (at > now() - interval '1 second')$$);
call follow('arrays', 'select array(select e.id from events e order by 1) as ids from events where at > now()');
call follow('of_ages', 'select count(*) as n, max(age) as most from ages');
select name, full_reason from pgtrickle.pgt_status() where full_reason is not null order by 1;
insert into events values (50, clock_timestamp(), 'new');
select name, split_part(passed(name), ' ', 1) from unnest(array['ages', 'early', 'arrays']) name;
select pg_sleep(1.2);
select name, split_part(passed(name), ' ', 1) from unnest(array['ages', 'early', 'arrays']) name;
select refreshed('of_ages');
-- A range of rows is found by an index. Temporal filters are not idle, but write nothing while nothing crosses.
create table log (id bigint primary key, at timestamptz, until timestamptz);
insert into log select i, '2020-01-01'::timestamptz + i * interval '1 hour', null from generate_series(1, 5000) i;
reset client_min_messages;
call follow('log_week', $$select count(*) as n from log where at > now() - interval '7 days' and until < now()$$);
create index on log (at);
create index on log (until);
select missing from pgtrickle.explain_stream_table('log_week') missing where missing like 'missing index%';
select array_agg(f.xmin::text order by f.pgt_id) as seen from pgtrickle.pgt_frontiers f \gset
select pgtrickle.refresh_stream_table('log_week');
select array_agg(f.xmin::text order by f.pgt_id) = :'seen' as nothing_written from pgtrickle.pgt_frontiers f;
