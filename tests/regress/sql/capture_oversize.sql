-- A change whose values are too large to be recorded makes its consumers start over, and they say why. No writer fails.
\set ECHO none
\i tests/regress/preamble.sql
\set ECHO all
create table t (id integer primary key, n integer, x text, y text);
alter table t alter x set storage external, alter y set storage external;
call follow('v', 'select id, n, x, y from t', 'DIFFERENTIAL');
call follow('lengths', 'select id, n, octet_length(x) + octet_length(y) as length from v', 'DIFFERENTIAL');
create view said as
  select t.pgt_relid as name, h.action, h.error
    from pgtrickle.pgt_refresh_history h join pgtrickle.pgt_stream_tables t using (pgt_id)
   where h.error is not null order by h.refresh_id;

-- Large, but not too large, with other rows before and behind it in the chunk.
insert into t values (1, 1, 'x', 'y'), (2, 2, repeat('x', 3000000), repeat('y', 3000000)), (3, 3, 'x', 'y');
select refreshed_how('v');
select refreshed_how('lengths');
update t set x = repeat('z', 2000000), n = 4 where id <= 2;
select refreshed_how('v');
select refreshed_how('lengths');
delete from t where id <= 2;
select refreshed_how('v');
select refreshed_how('lengths');
table said;

-- One row, among others. The change of the stream table is as large, for those that read it.
insert into t values (4, 4, 'x', 'y'), (5, 5, repeat('x', 135000000), repeat('y', 135000000)), (6, 6, 'x', 'y');
select pgtrickle.refresh_stream_table('v');
select refreshed_how('lengths');
select id, n, octet_length(x), octet_length(y), left(x, 1), right(y, 1) from v order by id;
table said;
-- One that is rolled back leaves nothing.
begin;
savepoint s;
delete from t where id = 5;
rollback to s;
update t set n = 7 where id <= 4;
commit;
select pgtrickle.refresh_stream_table('v');
select refreshed_how('lengths');
delete from t where id >= 5;
select refreshed_how('v');
select refreshed_how('lengths');
select name, action from said;
update t set n = 8;
select refreshed_how('v');
select source, pending_rows from pgtrickle.change_buffer_sizes() where source = 'public.t';
