-- A catalog of another version than the library: as if an update had been run before the server was restarted.
\set VERBOSITY terse
create table source (id int primary key, v int not null);
insert into source values (1, 1), (2, 2);
select pgtrickle.create_stream_table('s', 'select sum(v) as total from source', '1s');
create function refused(statement text) returns text language plpgsql as $$
declare hint text;
begin
  execute statement;
  return 'done';
exception when others then
  get stacked diagnostics hint = pg_exception_hint;
  return format('%s %s. %s', sqlstate, replace(sqlerrm, current_setting('pg_trickle.version'), 'N'), hint);
end $$;
select extversion as version from pg_extension where extname = 'pg_trickle' \gset
select :'version' = current_setting('pg_trickle.version') as is_current;

-- Every script of an update defines something, which the library is told of.
update pg_extension set extversion = '99.1.0' where extname = 'pg_trickle';
create or replace function pgtrickle.qualified_name(relation oid) returns text language sql stable
begin atomic
  select format('%I.%I', n.nspname, c.relname) from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = $1;
end;
select refused('select * from pgtrickle.pgt_status()');
select refused('select pgtrickle.refresh_stream_table(''s'')');
select refused('delete from s');
table s;
insert into source values (3, 3);

-- Where that catalog cannot be read, a writer does not fail, and the loss is recorded.
alter table pgtrickle.pgt_layouts rename attnums to columns;
insert into source values (4, 4);
begin;
insert into source values (5, 5), (6, 6);
savepoint p;
delete from source where id = 5;
rollback to p;
update source set v = 7 where id = 6;
commit;
truncate source;
insert into source values (10, 10);
alter table pgtrickle.pgt_layouts rename columns to attnums;

update pg_extension set extversion = :'version' where extname = 'pg_trickle';
alter table source add note text;
select pgtrickle.wait_for_stream_table('s', '30s');
table s;
select is_equal from pgtrickle.verify_stream_table('s');
select exists (select from pgtrickle.get_refresh_history('s') where action = 'REINITIALIZE') as started_over;
-- Not because a change was too large.
select count(error) as errors from pgtrickle.get_refresh_history('s') where action = 'REINITIALIZE';
insert into source values (11, 11);
select pgtrickle.wait_for_stream_table('s', '30s');
table s;
