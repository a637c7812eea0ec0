-- A schema on the path of the query in which other roles may create is reported when the table is created, altered and
-- explained: an operator created there could replace one of the query.
create role open_ann;
create role open_bob;
create schema shared;
grant usage on schema shared to public;
create extension citext schema shared;
create schema ann authorization open_ann;
set role open_ann;
create table ann.u (id int primary key, email shared.citext);
create function ann.warned() returns setof text language sql as $$
  select line from pgtrickle.explain_stream_table('ann.s') line where line like 'evaluated under%'
$$;
-- No other role may create there.
select pgtrickle.create_stream_table('ann.s', 'select email, count(*) as n from ann.u group by email', '1d');
select ann.warned();
-- Every role may.
reset role;
grant create on schema shared to public;
set role open_ann;
select ann.warned();
select pgtrickle.alter_stream_table('ann.s', query => 'select email, count(*) as n from ann.u where id > 0 group by email');
select pgtrickle.create_or_replace_stream_table('ann.s', 'select email, count(*) + 1 as n from ann.u group by email');
-- The path of a query that uses nothing of the schema omits it.
create table ann.plain (id int primary key);
select pgtrickle.create_stream_table('ann.ids', 'select id from ann.plain', '1d');
-- One role may; the owner and its members do not count.
reset role;
revoke create on schema shared from public;
grant create on schema shared to open_bob, open_ann;
select count(*) from ann.warned();
grant open_ann to open_bob;
select count(*) from ann.warned();
revoke open_ann from open_bob;
alter schema shared owner to open_bob;
revoke create on schema shared from open_bob;
select count(*) from ann.warned();
set role open_bob;
grant create on schema shared to open_bob;
reset role;
select ann.warned();
drop schema ann cascade;
drop schema shared cascade;
drop role open_ann, open_bob;
