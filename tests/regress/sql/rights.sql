-- The right to capture a table, stream tables whose owner loses rights, and who may read the errors.
\set ECHO none
\i tests/regress/preamble.sql
reset client_min_messages;
\set ECHO all
create role rights_ann;
create role rights_bob;
create role rights_team;
create role rights_eve;
grant rights_team to rights_bob;
create schema ann authorization rights_ann;
create schema bob authorization rights_bob;
grant usage on schema ann, bob to public;
set role rights_ann;
create table ann.t (id int primary key, v text);
insert into ann.t values (1, '1'), (2, '2');
-- SELECT alone does not allow capture; the hint names the call, and only the owner may make it.
grant select on ann.t to rights_bob;
set role rights_bob;
-- expect-error
select pgtrickle.create_stream_table('bob.s', 'select id, v::int as n from ann.t', '1d');
-- expect-error
select pgtrickle.allow_capture('ann.t', 'rights_bob');
set role rights_ann;
select pgtrickle.allow_capture('ann.t', 'rights_team');
select pgtrickle.allow_capture('ann.t', 'rights_team');
select * from pgtrickle.pgt_capture_grants;
-- expect-error
select pgtrickle.allow_capture('ann.t', null);
-- expect-error
select pgtrickle.allow_capture('pg_class', 'rights_bob');
-- expect-error
select pgtrickle.allow_capture('ann.t', 0);
-- expect-error
select pgtrickle.allow_capture(4294967295, 'rights_bob');
set role rights_bob;
select pgtrickle.create_stream_table('bob.s', 'select id, v::int as n from ann.t', '1d');
-- It gives no right to run code as the roles that write the table.
-- expect-error
create trigger mine before insert on ann.t for each row execute function suppress_redundant_updates_trigger();
set role rights_ann;
select pgtrickle.revoke_capture('ann.t', 'rights_team');
select pgtrickle.revoke_capture('ann.t', 'rights_team');
insert into ann.t values (3, '3');
set role rights_bob;
select pgtrickle.refresh_stream_table('bob.s');
table bob.s order by id;
-- expect-error
select pgtrickle.alter_stream_table('bob.s', query => 'select id, v::int + 1 as n from ann.t');
-- TRIGGER allows it as well.
reset role;
grant trigger on ann.t to rights_bob;
set role rights_bob;
select pgtrickle.alter_stream_table('bob.s', query => 'select id, v::int + 1 as n from ann.t');

-- After a revocation nothing is read: the table, a column, a membership; row security.
reset role;
revoke select on ann.t from rights_bob;
insert into ann.t values (4, '4');
select outcome($$select pgtrickle.refresh_stream_table('bob.s')$$);
grant select (id, v) on ann.t to rights_bob;
select outcome($$select pgtrickle.refresh_stream_table('bob.s')$$);
revoke select (v) on ann.t from rights_bob;
insert into ann.t values (5, '5');
select outcome($$select pgtrickle.refresh_stream_table('bob.s')$$);
grant select on ann.t to rights_team;
select outcome($$select pgtrickle.refresh_stream_table('bob.s')$$);
revoke rights_team from rights_bob;
insert into ann.t values (6, '6');
select outcome($$select pgtrickle.refresh_stream_table('bob.s')$$);
grant rights_team to rights_bob;
select outcome($$select pgtrickle.refresh_stream_table('bob.s')$$);
alter table ann.t enable row level security;
insert into ann.t values (7, '7');
select outcome($$select pgtrickle.refresh_stream_table('bob.s')$$);
select max(id) from bob.s;
alter role rights_bob bypassrls;
select outcome($$select pgtrickle.refresh_stream_table('bob.s')$$);
alter role rights_bob nobypassrls;
insert into ann.t values (8, '8');
select outcome($$select pgtrickle.refresh_stream_table('bob.s')$$);
alter table ann.t disable row level security;
select outcome($$select pgtrickle.refresh_stream_table('bob.s')$$);
select max(id) from bob.s;

-- A table that only a subquery of the select list reads is checked as well, without any change.
create table ann.u (id int, w int);
grant select on ann.u to rights_bob;
select pgtrickle.allow_capture('ann.u', 'rights_bob');
set role rights_bob;
select pgtrickle.create_stream_table('bob.u', 'select t.id, (select max(u.w) from ann.u u where u.id = t.id) as w from ann.t t', '1h');
reset role;
select outcome($$select pgtrickle.refresh_stream_table('bob.u')$$);
revoke select on ann.u from rights_bob;
select outcome($$select pgtrickle.refresh_stream_table('bob.u')$$);
select pgtrickle.drop_stream_table('bob.u');
drop table ann.u;

-- A worker suspends it with the reason.
select pgtrickle.alter_stream_table('bob.s', schedule => '0s');
revoke select on ann.t from rights_team;
insert into ann.t values (9, '9');
select wait_until($$exists (select from pgtrickle.pgt_status() where name = 'bob.s' and status = 'SUSPENDED')$$);
select status, last_error from pgtrickle.pgt_status();
grant select on ann.t to rights_team;
select pgtrickle.resume_stream_table('bob.s');
select wait_until($$exists (select from bob.s where id = 9)$$);

-- Values of rows are in messages for the owner, its members, and roles that may read all statistics.
insert into ann.t values (10, 'secret');
select wait_until($$exists (select from pgtrickle.pgt_status() where last_error is not null)$$);
set role rights_eve;
select last_error from pgtrickle.pgt_status();
set role rights_bob;
select last_error from pgtrickle.pgt_status();
reset role;
select pgtrickle.alter_stream_table('bob.s', status => 'PAUSED');
set role rights_bob;
select error from pgtrickle.get_refresh_history('bob.s', 1);
set role rights_eve;
select error from pgtrickle.get_refresh_history('bob.s', 1);
select count(*) from pgtrickle.get_refresh_history('bob.s', 100) where error like '%secret%';
-- The views behind these functions hide them as well.
select distinct error from pgtrickle.refresh_history where error is not null order by 1;
select last_error from pgtrickle.stream_table_status;
-- expect-error
select error from pgtrickle.pgt_refresh_history;
-- expect-error
select last_error from pgtrickle.pgt_frontiers;
-- expect-error
select reinitialize from pgtrickle.pgt_frontiers;
select count(sqlstate) > 0 as told from pgtrickle.pgt_refresh_history where sqlstate = '22P02';
reset role;
grant pg_read_all_stats to rights_eve;
set role rights_eve;
select error from pgtrickle.get_refresh_history('bob.s', 1);
reset role;

-- The permission is deleted with the table and with the role.
set role rights_ann;
create table ann.gone (id int);
select pgtrickle.allow_capture('ann.gone', 'rights_bob');
select pgtrickle.allow_capture('ann.t', 'rights_eve');
drop table ann.gone;
reset role;
drop role rights_eve;
select pgtrickle.allow_capture('ann.t', 'rights_bob');
select * from pgtrickle.pgt_capture_grants;
drop schema ann, bob cascade;
select count(*) from pgtrickle.pgt_capture_grants;
drop role rights_ann, rights_bob, rights_team;
