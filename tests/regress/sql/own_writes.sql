-- A session reads what it has committed, in stream tables that are refreshed rarely, too.
create table t (id int primary key, g int not null);
insert into t values (1, 1);
select pgtrickle.create_stream_table('v', 'select g, count(*) as n from t group by g', '1h');
select pgtrickle.create_stream_table('w', 'select sum(n) as n from v', '1h');
create function n_stable() returns numeric stable language sql as 'select n from w';
create function n_volatile() returns numeric language sql as 'select n from w';
select pgtrickle.last_write() is null as has_written_nothing;
insert into t values (2, 1);
select n from w;
set pg_trickle.read_your_writes = on;
select n from w;
select n from v;

-- However it reads.
insert into t values (3, 1);
select n_volatile();
prepare cached as select n from w;
execute cached;
insert into t values (4, 1);
execute cached;
insert into t values (5, 1);
copy w to stdout;
insert into t values (6, 1);
begin;
declare c cursor for select n from w;
fetch all from c;
commit;
insert into t values (7, 1);
create table kept as select n from w;
select * from kept;
insert into t values (8, 1);
begin isolation level repeatable read;
select n from w;
commit;
insert into t values (9, 1);
begin;
set transaction isolation level serializable;
select n from w;
commit;

-- Where the snapshot is an older one it fails, and the next attempt succeeds.
insert into t values (10, 1);
-- expect-error
select n_stable();
select n_stable();
set default_transaction_isolation = 'repeatable read';
insert into t values (11, 1);
-- expect-error
select n from w;
select n from w;
reset default_transaction_isolation;

-- What is not refreshed is said at once; or the statement warns, and reads older rows.
insert into t values (12, 1);
select pgtrickle.alter_stream_table('v', status => 'PAUSED');
-- expect-error
select n from w;
-- expect-error
select n from v;
set pg_trickle.read_your_writes_on_failure = warning;
select n from v;
select pgtrickle.resume_stream_table('v');
select n from v;
reset pg_trickle.read_your_writes_on_failure;

-- A refresh cannot read a table that this transaction has locked.
insert into t values (13, 1);
set pg_trickle.read_your_writes_timeout = '200ms';
begin;
lock t;
-- expect-error
select n from v;
rollback;
set pg_trickle.read_your_writes_timeout = '1min';
select n from v;

-- Uncommitted changes are not promised.
begin;
insert into t values (14, 1);
select n from v;
select pgtrickle.last_write() = pg_current_xact_id()::text as is_this_transaction;
rollback;
select n from v;

-- Another connection gets a token.
insert into t values (15, 1);
select pgtrickle.last_write() as token \gset
\c
select n from v;
set pg_trickle.read_after = :'token';
select n from v;
-- expect-error
set pg_trickle.read_after = 'yesterday';
set pg_trickle.read_after = '12+';
select n from v;
-- expect-error
set pg_trickle.read_after = '12++';
-- expect-error
set pg_trickle.read_after = '-1';
-- expect-error
set pg_trickle.read_your_writes_on_failure = 'maybe';
reset pg_trickle.read_after;
select name, is_equal from unnest(array['v', 'w']) name, pgtrickle.verify_stream_table(name);
