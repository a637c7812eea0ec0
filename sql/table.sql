-- What keeps a stream table what it is: the guard of its rows, and of its shape.

create function pgtrickle.guard() returns trigger
  language c as 'MODULE_PATHNAME', 'pg_trickle_guard';
comment on function pgtrickle.guard() is 'refuses changes of a stream table that do not come from its refresh';

create function pgtrickle.on_ddl() returns event_trigger
  language c as 'MODULE_PATHNAME', 'pg_trickle_on_ddl';
comment on function pgtrickle.on_ddl() is 'refuses commands that would break a stream table';

create event trigger pgtrickle_on_ddl on ddl_command_end
  when tag in ('ALTER TABLE', 'CREATE TABLE', 'CREATE TRIGGER', 'ALTER TRIGGER', 'CREATE RULE', 'ALTER RULE',
               'CREATE INDEX', 'ALTER INDEX', 'CREATE VIEW', 'ALTER VIEW')
  execute function pgtrickle.on_ddl();
-- A session with session_replication_role = replica alters and drops tables as others do.
alter event trigger pgtrickle_on_ddl enable always;

-- For triggers of ours alone, which are made with our rights.
revoke all on function pgtrickle.guard(), pgtrickle.on_ddl(), pgtrickle.on_drop() from public;
