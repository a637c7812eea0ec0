-- Capture records for the triggers that pg_trickle made and for no others, and its functions check what they are given.
create role forger;
create schema yard;
grant usage, create on schema yard to forger;
create table src (id int primary key, v int);
insert into src values (1, 10);
-- Text settings of the session do not affect the extension.
set standard_conforming_strings = off; set escape_string_warning = off; set transform_null_equals = on;
set quote_all_identifiers = on; set array_nulls = off;
select pgtrickle.create_stream_table('st', 'select v, count(*) as n from src group by v', '1h');
select pgtrickle.alter_stream_table('st', query => 'select v, count(*) as n from src where v > 0 group by v');
reset standard_conforming_strings; reset transform_null_equals; reset quote_all_identifiers; reset array_nulls;
select source_id as id from pgtrickle.pgt_sources where relid = 'src'::regclass \gset
-- A table of the same shape with a row trigger for this source, under whatever name.
set role forger;
create table yard.twin (id int primary key, v int);
select format('create trigger pgtrickle_capture_%1$s after insert or update or delete on yard.twin for each row execute function pgtrickle.capture(''%1$s'')', :id) \gexec
select format('create trigger pgtrickle_truncate_%1$s after truncate on yard.twin for each statement execute function pgtrickle.capture(''%1$s'')', :id) \gexec
alter table yard.twin enable always trigger pgtrickle_capture_1;
insert into yard.twin values (7, 70);
truncate yard.twin;
reset role;
select * from pgtrickle_changes.pending_1;
insert into src values (2, 20);
select pgtrickle.refresh_stream_table('st');
table st order by v;
-- A trigger that only has the name of a capture trigger captures nothing.
create table other (id int primary key, v int);
create function other_trigger() returns trigger language plpgsql as $$ begin return null; end $$;
create trigger pgtrickle_capture_2 after insert or update or delete on other for each row execute function other_trigger();
create trigger pgtrickle_truncate_2 after truncate on other for each statement execute function pgtrickle.capture('2');
alter table other enable always trigger pgtrickle_capture_2;
alter table other enable always trigger pgtrickle_truncate_2;
select pgtrickle.create_stream_table('st2', 'select v, count(*) as n from other group by v', '1h');
select source_id from pgtrickle.pgt_sources where relid = 'other'::regclass;
insert into other values (1, 1);
select pgtrickle.refresh_stream_table('st2');
table st2;
truncate other;
select pgtrickle.refresh_stream_table('st2');
table st2;
-- Nor does a capture trigger that was altered: the table is rebuilt with a new trigger.
select tgname as name from pg_trigger
 where tgrelid = 'other'::regclass and tgfoid = 'pgtrickle.capture()'::regprocedure and tgtype = 29 \gset
create or replace trigger :name after insert or update or delete on other for each row when (false)
  execute function pgtrickle.capture('2');
insert into other values (2, 2);
select pgtrickle.refresh_stream_table('st2');
table st2;
insert into other values (3, 3);
select pgtrickle.refresh_stream_table('st2');
table st2 order by v;
-- Triggers of other kinds, in every role.
set role forger;
create view yard.face as select * from yard.twin;
create function yard.outcome(command text) returns text language plpgsql as $$
declare code text; message text;
begin
  execute command;
  return 'done';
exception when others then
  get stacked diagnostics code = returned_sqlstate, message = message_text;
  return code || ' ' || message;
end $$;
create function yard.attempt(kind text, "table" text, level text) returns setof text language plpgsql as $$
declare command text;
begin
  execute format('create trigger attempt %s on yard.%s for each %s execute function pgtrickle.capture(''1'')', kind, "table", level);
  foreach command in array array['insert into yard.%s values (1, 1)', 'update yard.%s set v = 2', 'delete from yard.%s', 'truncate yard.%s'] loop
    return next kind || ' ' || level || ': ' || yard.outcome(format(command, "table"));
  end loop;
  execute format('drop trigger attempt on yard.%s', "table");
end $$;
select yard.attempt('before insert or update or delete', 'twin', 'row');
select yard.attempt('before insert or update or delete or truncate', 'twin', 'statement');
select yard.attempt('after insert or update or delete or truncate', 'twin', 'statement');
select yard.attempt('instead of insert or update or delete', 'face', 'row');
select yard.outcome('create constraint trigger late after insert on yard.twin deferrable initially deferred for each row execute function pgtrickle.capture(''1'')');
insert into yard.twin values (1, 1);
drop trigger late on yard.twin;
create trigger odd after insert on yard.twin for each row execute function pgtrickle.capture('99999999999999999999');
create trigger none after insert on yard.twin for each row execute function pgtrickle.capture();
insert into yard.twin values (2, 2);
select yard.outcome('select pgtrickle.capture()');
select yard.outcome('create trigger g before insert on yard.twin for each row execute function pgtrickle.guard()');
-- Pending rows, read with wrong types.
reset role;
select yard.outcome('select * from pgtrickle.pending_changes(1) as c(action text, copies bigint, xid text)');
select yard.outcome('select * from pgtrickle.pending_changes(1) as c(action text)');
select yard.outcome('select * from pgtrickle.pending_changes(1) as c(action text, copies bigint, xid xid8, v text)');
select yard.outcome('select * from pgtrickle.pending_changes(1) as c(action text, copies bigint, xid xid8, v int, more int)');
select yard.outcome('select pgtrickle.pending_changes(1)');
insert into src values (3, 30);
select action, copies, v from pgtrickle.pending_changes(1) as c(action text, copies bigint, xid xid8, v int);
set role forger;
select yard.outcome('select * from pgtrickle_changes.pending_1');
select yard.outcome('select * from pgtrickle.pending_changes(null) as c(action text)');
reset role;
drop schema yard cascade;
drop role forger;
