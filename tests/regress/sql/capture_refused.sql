-- Sources that cannot be captured are refused, with the reason and a hint, and nothing is left behind.
\set ECHO none
\i tests/regress/preamble.sql
\set ECHO all
\set VERBOSITY default
-- expect-error
call follow('v', 'select relname from pg_class');
create table base (id integer);
create materialized view mv as select id from base;
-- expect-error
call follow('v', 'select id from mv');
-- Privileges: to read the source, and to have triggers on it.
create role capture_owner;
grant create on schema public to capture_owner;
set role capture_owner;
-- expect-error
call follow('v', 'select id from base');
reset role;
grant select on base to capture_owner;
set role capture_owner;
-- expect-error
call follow('v', 'select id from base');
reset role;
grant trigger on base to capture_owner;
set role capture_owner;
call follow('v', 'select id from base');
reset role;
insert into base values (1);
select refreshed_how('v');

-- Row security that applies to the owner.
create table secret (id integer, who name);
alter table secret enable row level security;
create policy own_rows on secret using (who = current_user);
grant select, trigger on secret to capture_owner;
set role capture_owner;
-- expect-error
call follow('vs', 'select id from secret');
reset role;
call follow('vs', 'select id from secret');
insert into secret values (1, 'someone');
select refreshed_how('vs');

select pgtrickle.drop_stream_table('v');
select pgtrickle.drop_stream_table('vs');
select count(*) from pgtrickle.pgt_sources;
select count(*) from pg_trigger where tgname ~ '^pgtrickle_';
drop owned by capture_owner;
drop role capture_owner;
