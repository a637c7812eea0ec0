-- An error message may hold values of rows: only the owner of the stream table that failed, and roles that may read all
-- statistics, see it, also when a command of another role raises it.
\set ECHO none
\i tests/regress/preamble.sql
reset client_min_messages;
\set ECHO all
create role messages_ann;
create role messages_bob;
create schema ann authorization messages_ann;
create schema bob authorization messages_bob;
grant usage on schema ann, bob to public;
set role messages_ann;
create table ann.t (id int primary key, v text);
insert into ann.t values (1, '1');
select pgtrickle.create_stream_table('ann.s', 'select id, v::int as n from ann.t', '1d');
grant select on ann.s to messages_bob;
select pgtrickle.allow_capture('ann.s', 'messages_bob');
set role messages_bob;
select pgtrickle.create_stream_table('bob.s', 'select id from ann.s', '1d');
set role messages_ann;
insert into ann.t values (2, 'secret');
-- It fails in commands of the owner of a consumer, in every way that refreshes it.
set role messages_bob;
select outcome($$select pgtrickle.refresh_stream_table('bob.s')$$);
select outcome($$select pgtrickle.refresh_stream_table('bob.s', recompute => true)$$);
select outcome($$select pgtrickle.create_stream_table('bob.more', 'select id from ann.s', '1d')$$);
select outcome($$select pgtrickle.alter_stream_table('bob.s', query => 'select id from ann.s where id > 0')$$);
select outcome($$select pgtrickle.create_or_replace_stream_table('bob.s', 'select id + 1 as id from ann.s')$$);
-- A unique index of the owner: the value is in the detail.
set role messages_ann;
update ann.t set v = '1' where id = 2;
create unique index on ann.s (n);
select outcome($$select pgtrickle.refresh_stream_table('ann.s')$$);
set role messages_bob;
select outcome($$select pgtrickle.refresh_stream_table('bob.s')$$);
reset role;
grant pg_read_all_stats to messages_bob;
set role messages_bob;
select outcome($$select pgtrickle.refresh_stream_table('bob.s')$$);
reset role;
revoke pg_read_all_stats from messages_bob;
drop index ann.s_n_idx;
-- explain_stream_table() shows no more: the planner calls a function with constant arguments, whose error shows a row.
set role messages_ann;
create function ann.tell(v int) returns int immutable language plpgsql as $$
begin
  if current_setting('session_replication_role') = 'local' then
    raise exception 'it is %', (select max(t.v) from ann.t);
  end if;
  return v;
end $$;
select pgtrickle.create_stream_table('ann.told', 'select id from ann.t where id > ann.tell(0)', '1d');
reset role;
set session_replication_role = local;
select outcome($$select pgtrickle.explain_stream_table('ann.told', verbose => true)$$);
set role messages_bob;
select outcome($$select pgtrickle.explain_stream_table('ann.told', verbose => true)$$);
reset role;
reset session_replication_role;
set role messages_bob;
select line from pgtrickle.explain_stream_table('ann.told') line limit 1;
reset role;
drop schema ann, bob cascade;
drop role messages_ann, messages_bob;
