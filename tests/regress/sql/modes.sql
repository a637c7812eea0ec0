-- A change of the mode or the schedule keeps the rows: nothing is recomputed, whatever is pending.
\set ECHO none
\i tests/regress/preamble.sql
set client_min_messages = notice;
\set ECHO all
create table t (id int primary key, g int, v int, note text);
insert into t select n, n % 4, n, 'n' from generate_series(1, 40) n;
create view per_group as select g, count(*) as n, sum(v) as s from t group by g;
call follow('st', 'select n, max(s) as s from per_group group by n', 'AUTO');
call follow('on_st', 'select count(*) as n from st', 'AUTO');

create procedure change(mode text) language plpgsql as $$
declare
  before bigint := last_refresh();
begin
  perform pgtrickle.alter_stream_table('st', refresh_mode => mode, schedule => '2d');
  raise notice '%, then %', done_since(before, 'st', '%s'),
               (select refresh_mode || ' ' || schedule from pgtrickle.pgt_status() where name = 'public.st');
end $$;

insert into t values (41, 1, 41, 'n');
call change('DIFFERENTIAL');
select refreshed_how('st');
insert into t values (42, 2, 42, 'n');
call change('FULL');
select refreshed_how('st');

-- In mode FULL unread columns do not matter, and the changes that were captured for it are followed in another mode.
update t set note = 'unread' where id = 1;
insert into t values (43, 3, 43, 'n');
call change('DIFFERENTIAL');
select refreshed_how('st');
insert into t values (44, 3, 44, 'n');
select refreshed_how('st'), refreshed_how('on_st');

-- Created in mode FULL, which captures no values: those that are pending at the change are recomputed, once.
create table u (g int, v int);
insert into u values (1, 1), (1, 2), (2, null);
call follow('whole', 'select g, sum(v) as s from u group by g', 'FULL');
insert into u values (2, 3);
select pgtrickle.alter_stream_table('whole', refresh_mode => 'DIFFERENTIAL');
insert into u values (3, 4);
select refreshed_how('whole');
delete from u where g = 1 and v = 1;
select refreshed_how('whole');

-- What cannot be followed is refused as at creation, and keeps its mode.
call follow('clock', 'select id, now() - interval ''1 day'' > ''2000-01-01'' as late from t', 'FULL');
-- expect-error
select pgtrickle.alter_stream_table('clock', refresh_mode => 'DIFFERENTIAL');
select pgtrickle.alter_stream_table('clock', refresh_mode => 'AUTO');
select refresh_mode, full_reason is not null as recomputed from pgtrickle.pgt_status() where name = 'public.clock';
