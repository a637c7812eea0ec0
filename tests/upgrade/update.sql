-- What a user meets between the installation of new files and ALTER EXTENSION UPDATE, and after it. The state is that of a real
-- server of the earlier version, with changes that it has captured and not refreshed; everything here runs with the new library.
\set VERBOSITY terse
\set SHOW_CONTEXT never
set client_min_messages = warning;

-- Nothing is refreshed, with a reason, and stream tables can be read.
create function refused(statement text) returns text language plpgsql as $$
declare hint text;
begin
  execute statement;
  return 'done';
exception when others then
  get stacked diagnostics hint = pg_exception_hint;
  return format('%s %s. %s', sqlstate, regexp_replace(sqlerrm, '\d+\.\d+\.\d+', 'N', 'g'), hint);
end $$;
select refused('select * from pgtrickle.pgt_status()');
select refused('select pgtrickle.refresh_stream_table(''st_sum'')');
select refused('select pgtrickle.wait_for_stream_table(''st_sum'')');
select refused('select pgtrickle.create_stream_table(''st_new'', ''select 1 as a'')');
select refused('select pgtrickle.get_refresh_history(''st_sum'')');
select refused('select pgtrickle.dependency_tree()');
select refused('select pgtrickle.explain_stream_table(''st_sum'')');
select refused('select * from pgtrickle_changes.pending_1');
select refused('delete from st_sum');
select refused('drop table st_bag');
select count(*) as readable from st_sum;

-- Writers do not notice, in whatever kind of transaction, nor do others who define tables.
alter table grp add added int;
insert into item values (71, 1, 500, 'during'), (72, 2, 500, null);
begin;
update item set price = price + 1 where id = 71;
savepoint s;
delete from item where id < 20;
rollback to s;
insert into part values (40, 'north', 1000);
commit;
truncate event;
insert into event values ('2026-03-01', 4, 8);
begin;
insert into grp values (9, 3, 'prepared');
delete from item where id = 21;
prepare transaction 'update';

-- An update that is rolled back changes nothing.
begin;
alter extension pg_trickle update;
select count(*) > 0 as works from pgtrickle.pgt_status();
rollback;
select refused('select * from pgtrickle.pgt_status()');
delete from item where id = 72;

-- A session that must see its own writes reads all but stream tables.
set pg_trickle.read_your_writes = on;
select count(*) > 0 as others_are_read from item;
select refused('select count(*) from st_sum');
begin isolation level repeatable read;
select count(*) > 0 as others_are_read from item;
commit;

-- The update keeps rows, frontiers and pending changes, whichever version has written them.
create table before as
select pgt_id, frontier::text as frontier, data_timestamp, refreshes from pgtrickle.pgt_frontiers;
begin;
alter extension pg_trickle update;
select count(*) as moved from pgtrickle.pgt_frontiers f full join before b using (pgt_id)
 where (f.frontier::text, f.data_timestamp, f.refreshes) is distinct from (b.frontier, b.data_timestamp, b.refreshes);
select action, sum(copies) as copies, count(distinct xid) as transactions from pgtrickle_changes.pending_1 group by 1 order by 1;
select action, id, parent, length(label) from pgtrickle_changes.pending_2 order by xid, id, action;
select action, region, amount from pgtrickle_changes.pending_4 order by xid, region, amount;
select s.source_id, m.relid::regclass, m.row_trigger is not null as row_trigger, m.truncate_trigger is not null as truncate_trigger
  from pgtrickle.pgt_sources s join pgtrickle.pgt_source_members m using (source_id) order by 1, m.relid::regclass::text;
commit;
reset pg_trickle.read_your_writes;
commit prepared 'update';

-- A table that was suspended or paused stays so, until it is resumed.
select name, status, last_error from pgtrickle.pgt_status() where status <> 'ACTIVE' order by 1;
delete from item where id = 1000;
select pgtrickle.resume_stream_table('st_suspended'), pgtrickle.resume_stream_table('st_paused');

-- Then all are exact,
create function wrong() returns setof text language plpgsql as $$
declare name text;
begin
  for name in select s.name from pgtrickle.pgt_status() s loop
    if not pgtrickle.wait_for_stream_table(name, '60s') then
      return next format('%s waits', name);
    end if;
    return query select format('%s differs: %s', name, to_jsonb(v)) from pgtrickle.verify_stream_table(name) v where not v.is_equal;
  end loop;
end $$;
select * from wrong();
select name, status, last_error, full_reason from pgtrickle.pgt_status()
 where status <> 'ACTIVE' or last_error is not null or full_reason is not null order by 1;

-- and follow changes. Their indexes and guards are those of this version, without the earlier ones.
select max(refresh_id) as last from pgtrickle.pgt_refresh_history \gset
insert into item values (80, 3, 75, 'after'), (81, 4, 76, null);
update grp set label = label || '!' where id < 5;
insert into base_row values (10, 5);
insert into part values (41, 'east', 3);
update hot set hits = 100 where id = 1;
insert into event values ('2026-03-02', 1, 9);
select * from wrong();
-- Each by its delta, or by a choice between that and recomputing.
select s.pgt_relid::regclass as name, array_agg(distinct h.action) as actions
  from pgtrickle.pgt_stream_tables s left join pgtrickle.pgt_refresh_history h on h.pgt_id = s.pgt_id and h.refresh_id > :last
 group by 1 having not coalesce(bool_and(h.action = 'DIFFERENTIAL' or h.delta_ms is not null), false) order by 1::text;
create function indexes(stream_table regclass) returns table (method text, keys text, is_unique boolean, is_internal boolean)
language sql as $$
  select m.amname, array(select pg_get_indexdef(i.indexrelid, n, false) from generate_series(1, i.indnatts) n)::text, i.indisunique,
         exists (select from pg_depend d where d.objid = i.indexrelid and d.deptype = 'i')
    from pg_index i join pg_class c on c.oid = i.indexrelid join pg_am m on m.oid = c.relam where i.indrelid = stream_table
$$;
select s.pgt_relid::regclass as name, c.relreplident from pgtrickle.pgt_stream_tables s join pg_class c on c.oid = s.pgt_relid::oid
 where c.relreplident <> 'f' order by 1::text;
select refused('delete from st_sum'), refused('truncate st_sum');
set session_replication_role = replica;
select refused('delete from st_sum');
reset session_replication_role;
do $$
declare s record;
begin
  for s in select * from pgtrickle.pgt_stream_tables order by pgt_id loop
    perform pgtrickle.create_stream_table('st_new', s.defining_query, s.schedule, s.refresh_mode);
    if (select array_agg(i order by i) from indexes(s.pgt_relid) i) is distinct from (select array_agg(i order by i) from indexes('st_new') i) then
      raise warning 'the indexes of % are not those that a new table of its query has', s.pgt_relid;
    end if;
    perform pgtrickle.drop_stream_table('st_new');
  end loop;
end $$;
select * from wrong();
select refused('alter extension pg_trickle update to ''0.1.0''');
