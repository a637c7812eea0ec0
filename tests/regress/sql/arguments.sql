-- A NULL stands for the default of an argument. Where there is none it is an error that names the argument.
create table t (id int primary key, v int);
insert into t values (1, 1);
select pgtrickle.create_stream_table('x', 'select id, v from t', null, null, null);
select name, status, schedule, refresh_mode, is_populated from pgtrickle.pgt_status();
create function outcome(call text) returns text language plpgsql as $$
begin
  execute 'select count(*) from pgtrickle.' || call;
  return 'passed';
exception when others then
  return sqlstate || ' ' || sqlerrm;
end $$;
select call, outcome(call) from unnest(array[
  'create_stream_table(null, ''select id, v from t'')',
  'create_stream_table(''y'', null)',
  'create_stream_table_if_not_exists(''x'', null)',
  'create_or_replace_stream_table(null, null)',
  'alter_stream_table(null, schedule => ''1s'')',
  'drop_stream_table(null)',
  'refresh_stream_table(null)',
  'resume_stream_table(null)',
  'wait_for_stream_table(null)',
  'explain_stream_table(null)',
  'get_refresh_history(null)',
  'verify_stream_table(null)',
  'cancel_refresh(null)',
  'allow_capture(null, null)',
  'revoke_capture(null, null)']) call;
select is_equal from pgtrickle.verify_stream_table('x', null);
select pgtrickle.alter_stream_table('x', null, null, null, null, null);
select pgtrickle.drain(null), pgtrickle.undrain();
select pgtrickle.refresh_stream_table('x', null);
select count(*) from pgtrickle.get_refresh_history('x', null);
select pgtrickle.wait_for_stream_table('x', null);
select count(*) > 0 as tree from pgtrickle.dependency_tree(null);
-- Replacing retains omitted options, also with other columns.
select pgtrickle.alter_stream_table('x', schedule => '7m', refresh_mode => 'FULL');
select pgtrickle.create_or_replace_stream_table('x', 'select id, v + 1 as v from t');
select schedule, refresh_mode from pgtrickle.pgt_status();
select pgtrickle.create_or_replace_stream_table('x', 'select id from t', refresh_mode => null);
select schedule, refresh_mode from pgtrickle.pgt_status();
select pgtrickle.create_or_replace_stream_table('x', 'select id from t', '1h', 'AUTO');
select schedule, refresh_mode from pgtrickle.pgt_status();
select pgtrickle.drop_stream_table('x', null);
-- A name without a stream table is an error, also where the catalog is empty.
select call, outcome(call) from unnest(array['get_refresh_history(''x'')', 'dependency_tree(''x'')']) call;
-- No function of the API is strict: a NULL would make it do nothing, silently.
select p.oid::regprocedure from pg_proc p join pg_depend d on d.objid = p.oid and d.deptype = 'e' and d.classid = 'pg_proc'::regclass
 where p.pronamespace = 'pgtrickle'::regnamespace and p.proisstrict and p.prolang = (select oid from pg_language where lanname = 'c')
   and p.pronargs > 0 order by p.proname;
