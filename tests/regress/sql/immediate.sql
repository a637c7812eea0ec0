-- Refresh mode IMMEDIATE: the transaction that changes a source maintains the stream tables over it.
set client_min_messages = warning;
create table parent (id int primary key, g int not null);
create table child (id int primary key, parent int references parent on delete cascade on update cascade, v int not null);
insert into parent select i, i % 3 from generate_series(1, 9) i;
insert into child select i, 1 + i % 9, i from generate_series(1, 40) i;
select pgtrickle.create_stream_table('sums', 'select p.g, count(*) as n, sum(c.v) as s from parent p join child c on c.parent = p.id group by p.g', refresh_mode => 'immediate');
select pgtrickle.create_stream_table('pairs', 'select p.id, c.id as child, c.v from parent p left join child c on c.parent = p.id', refresh_mode => 'IMMEDIATE');
select pgtrickle.create_stream_table('total', 'select sum(s) as s from sums', refresh_mode => 'IMMEDIATE');
select name, refresh_mode, schedule, is_populated, status from pgtrickle.pgt_status();
-- Differences from the queries: none, ever. Of one statement.
create view differences as
  select (select count(*) from (table sums except all table pgtrickle_state.q_1) d) + (select count(*) from (table pgtrickle_state.q_1 except all table sums) d) as sums,
         (select count(*) from (table pairs except all table pgtrickle_state.q_2) d) + (select count(*) from (table pgtrickle_state.q_2 except all table pairs) d) as pairs,
         (select count(*) from (table total except all table pgtrickle_state.q_3) d) + (select count(*) from (table pgtrickle_state.q_3 except all table total) d) as total;

-- Its own changes, savepoints, and what is undone.
begin;
insert into child values (100, 1, 1000);
select * from sums where g = 1;
savepoint s;
delete from parent where g = 2;
table differences;
select count(*) from sums;
rollback to s;
select count(*) from sums;
table differences;
savepoint s;
update child set v = v + 1;
release s;
table total;
commit;
table total;
table differences;

-- Whatever changes the rows.
delete from parent where id = 3;
update parent set id = 104 where id = 4;
table differences;
with d as (delete from child where v < 10 returning *), i as (insert into child select id + 1000, parent, v + 1 from d where parent <> 3 returning *)
select (select count(*) from d) as deleted, (select count(*) from i) as inserted;
table differences;
merge into child c using (values (11, 1, 500), (2001, 1, 7)) s(id, p, v) on c.id = s.id
  when matched then update set v = s.v when not matched then insert values (s.id, s.p, s.v);
insert into child values (12, 1, 1), (2002, 2, 2) on conflict (id) do update set v = excluded.v + 1;
copy child from stdin;
3001	1	5
3002	2	6
\.
table differences;
truncate child;
table sums;
table differences;
insert into child select i, 1, i from generate_series(1, 10) i;

-- Whatever reads them.
create function volatile_of(i int) returns bigint language plpgsql as
  'begin insert into child values (i, 1, i); return (select sum(s) from sums); end';
create function stable_of() returns bigint stable language plpgsql as 'begin return (select sum(s) from sums); end';
create function inlined() returns bigint stable language sql as 'select sum(s)::bigint from sums';
select volatile_of(4001), volatile_of(4002);
begin;
insert into child values (4003, 1, 1);
select stable_of(), inlined(), (select sum(v) from child);
insert into child values (4004, 1, 1);
copy total to stdout;
declare old cursor for table total;
insert into child values (4005, 1, 100000);
declare new cursor for table total;
fetch old;
fetch new;
prepare cached as table total;
execute cached;
insert into child values (4006, 1, 1);
execute cached;
do $$
declare line text; shown text := '';
begin
  for line in execute 'explain (costs off, analyze, timing off, summary off) select from total where s > 100000' loop
    shown := shown || line;
  end loop;
  if shown !~ 'actual rows=1(.00)? ' then raise exception '%', shown; end if;
end $$;
create temporary table copied as table total;
table copied;
rollback;
do $$
declare a bigint; b bigint;
begin
  insert into child values (4007, 1, 1);
  a := (select s from total);
  begin
    insert into child values (4008, 1, 1);
    raise division_by_zero;
  exception when division_by_zero then null;
  end;
  b := stable_of();
  if a <> b then raise exception '% is not %', a, b; end if;
end $$;
table differences;

-- Within a statement that writes, as of before it.
create function shows() returns trigger language plpgsql as
  $$ begin raise notice 'total %', (select s from total); return null; end $$;
create trigger shows after insert on child for each row execute function shows();
set client_min_messages = notice;
begin;
insert into child values (4009, 1, 1);
insert into child values (4010, 1, 1), (4011, 1, 1);
commit;
set client_min_messages = warning;
drop trigger shows on child;
table differences;

-- Other isolation levels, other times.
begin isolation level repeatable read;
insert into child values (4012, 1, 1);
table differences;
update child set v = 0 where id = 4012;
table differences;
set local pg_trickle.immediate_at = 'commit';
delete from child where id = 4012;
table differences;
commit;
table differences;
set pg_trickle.immediate_at = 'statement';
begin isolation level serializable;
insert into child values (4013, 1, 1);
table differences;
commit;
reset pg_trickle.immediate_at;
set pg_trickle.immediate_at = 'never'; -- expect-error
begin;
insert into child values (4014, 1, 1);
prepare transaction 'immediate';
table differences;
commit prepared 'immediate';
table differences;

-- Errors of the query: where the table is maintained.
select pgtrickle.create_stream_table('quotients', 'select id, 100 / v as q from child where v <> 100000', refresh_mode => 'IMMEDIATE');
insert into child values (5000, 1, 0); -- expect-error
begin;
insert into child values (5000, 1, 0);
delete from child where id = 5000;
commit;
begin;
insert into child values (5000, 1, 0);
select count(*) from quotients; -- expect-error
rollback;
set pg_trickle.immediate_at = 'statement';
begin;
insert into child values (5000, 1, 0); -- expect-error
rollback;
reset pg_trickle.immediate_at;
table differences;

-- Triggers on the stream table that change a source.
create table notes (id int generated always as identity, n bigint);
select pgtrickle.create_stream_table('noted', 'select count(*) as n from notes', refresh_mode => 'IMMEDIATE');
create function notes() returns trigger language plpgsql as 'begin insert into public.notes (n) values (new.s); return null; end';
create trigger notes after insert or update on total for each row execute function notes();
insert into child values (5001, 1, 1);
select n, (select count(*) from notes) from noted;
create constraint trigger late after insert or update on total deferrable initially deferred for each row execute function notes();
insert into child values (5002, 1, 1);
select n, (select count(*) from notes) from noted;
drop trigger notes on total;
drop trigger late on total;

-- A role with nothing but the right to write.
create role immediate_writer;
grant insert on child to immediate_writer;
set role immediate_writer;
insert into child values (5003, 1, 1);
insert into child values (5004, 1, 0); -- expect-error
reset role;
table differences;
revoke all on child from immediate_writer;
drop role immediate_writer;

-- There and back. Rows stay.
select pgtrickle.alter_stream_table('quotients', refresh_mode => 'AUTO');
insert into child values (5005, 1, 0);
delete from child where id = 5005;
select pgtrickle.alter_stream_table('sums', refresh_mode => 'AUTO'); -- expect-error
select pgtrickle.alter_stream_table('total', refresh_mode => 'AUTO', schedule => '1h');
select pgtrickle.alter_stream_table('sums', refresh_mode => 'AUTO', schedule => '1h');
insert into child values (5006, 1, 1);
select sums > 0 as sums, pairs, total from differences;
begin;
insert into child values (5007, 1, 1);
select pgtrickle.alter_stream_table('sums', refresh_mode => 'IMMEDIATE');
table differences;
insert into child values (5008, 1, 1);
select sums, pairs from differences;
commit;
select pgtrickle.alter_stream_table('total', refresh_mode => 'IMMEDIATE');
table differences;
select name, refresh_mode, schedule from pgtrickle.pgt_status();
select pgtrickle.alter_stream_table('sums', query => 'select p.g, count(*) as n, sum(c.v) as s from parent p join child c on c.parent = p.id and c.v > 1 group by p.g');
table differences;
insert into child values (5009, 1, 2);
table differences;
select pgtrickle.refresh_stream_table('total');
select is_equal from pgtrickle.verify_stream_table('total');
select pgtrickle.wait_for_stream_table('total');

-- A table that workers refresh reads one that writers maintain.
select pgtrickle.create_stream_table('deferred', 'select s, count(*) as n from sums group by s', '1h');
insert into child values (5010, 1, 2);
begin;
insert into child values (5011, 1, 2);
table differences;
insert into child values (5012, 1, 2);
table differences;
select is_equal from pgtrickle.verify_stream_table('total');
insert into child values (5013, 1, 2);
select pgtrickle.refresh_stream_table('deferred');
insert into child values (5014, 1, 2);
select pgtrickle.refresh_stream_table('sums', recompute => true);
table differences;
commit;
table differences;
select pgtrickle.refresh_stream_table('deferred');
select is_equal from pgtrickle.verify_stream_table('deferred');

-- Definitions that change.
create function weight(int) returns int language sql immutable as 'select $1';
select pgtrickle.create_stream_table('weights', 'select id, public.weight(v) as w from child', refresh_mode => 'IMMEDIATE');
create or replace function weight(int) returns int language sql immutable as 'select $1 + 1';
select count(*) from weights join child using (id) where w <> v + 1;
begin;
create or replace function weight(int) returns int language sql immutable as 'select $1 + 2';
select count(*) from weights join child using (id) where w <> v + 2;
savepoint s;
create or replace function weight(int) returns int language sql immutable as 'select $1 + 3';
select count(*) from weights join child using (id) where w <> v + 3;
rollback to s;
select count(*) from weights join child using (id) where w <> v + 2;
commit;
select count(*) from weights join child using (id) where w <> v + 2;
alter table child add column extra int default 4;
alter table child rename column v to amount;
insert into child values (6001, 1, 1);
table differences;

-- What is refused.
select pgtrickle.create_stream_table('refused', 'select id from child', '1s', 'IMMEDIATE'); -- expect-error
select pgtrickle.create_stream_table('refused', 'select id from child', refresh_mode => 'IMMEDIATE', initialize => false); -- expect-error
select pgtrickle.create_stream_table('refused', 'select id from child where now() > timestamptz ''2020-01-01'' + amount * interval ''1 day''', refresh_mode => 'IMMEDIATE'); -- expect-error
select pgtrickle.create_stream_table('refused', 'select s from deferred', refresh_mode => 'IMMEDIATE'); -- expect-error
select pgtrickle.create_stream_table('refused', 'select id, count(*) over (order by amount rows unbounded preceding exclude ties) as r from child', refresh_mode => 'IMMEDIATE'); -- expect-error
select pgtrickle.alter_stream_table('sums', schedule => '1h'); -- expect-error
select pgtrickle.alter_stream_table('sums', status => 'PAUSED'); -- expect-error
select pgtrickle.create_refresh_group('both', 'sums', 'deferred'); -- expect-error
select explain_stream_table as line from pgtrickle.explain_stream_table('sums') where explain_stream_table ~ 'IMMEDIATE|writers';
select pgtrickle.create_stream_table('linear', 'select c.id, p.g from child c join parent p on p.id = c.parent', refresh_mode => 'IMMEDIATE');
select explain_stream_table as line from pgtrickle.explain_stream_table('linear') where explain_stream_table ~ 'writers';

-- The right to capture is not the right to hold up writers.
create role immediate_reader;
grant select on child to immediate_reader;
grant create on schema public to immediate_reader;
select pgtrickle.allow_capture('child', 'immediate_reader');
set role immediate_reader;
select pgtrickle.create_stream_table('theirs', 'select id from child', refresh_mode => 'IMMEDIATE'); -- expect-error
select pgtrickle.create_stream_table('theirs', 'select id from child', '1h');
select pgtrickle.alter_stream_table('theirs', refresh_mode => 'IMMEDIATE'); -- expect-error
reset role;
grant trigger on child to immediate_reader;
set role immediate_reader;
select pgtrickle.alter_stream_table('theirs', refresh_mode => 'IMMEDIATE');
reset role;
insert into child values (7001, 1, 1);
select count(*) from theirs where id = 7001;
-- A right that its owner loses is no error of the writer.
revoke select on child from immediate_reader;
insert into child values (7003, 1, 1);
update child set amount = 2 where id = 7003;
select count(*) from theirs where id = 7003;
select status, last_error from pgtrickle.pgt_status() where name = 'public.theirs';
set pg_trickle.reads = 'live';
select count(*) from theirs where id = 7003; -- expect-error
reset pg_trickle.reads;
grant select on child to immediate_reader;
set pg_trickle.reads = 'live';
select count(*) from theirs where id = 7003;
reset pg_trickle.reads;
select staleness > interval '0' as stale from pgtrickle.pgt_status() where name = 'public.theirs';
begin;
select pgtrickle.alter_stream_table('theirs', refresh_mode => 'AUTO');
select pgtrickle.resume_stream_table('theirs');
select pgtrickle.refresh_stream_table('theirs');
select count(*) from theirs where id = 7003;
rollback;
select pgtrickle.resume_stream_table('theirs');
insert into child values (7004, 1, 1);
select count(*) from theirs where id in (7003, 7004);
select pgtrickle.alter_stream_table('theirs', refresh_mode => 'AUTO', status => 'PAUSED');
select pgtrickle.alter_stream_table('theirs', refresh_mode => 'IMMEDIATE'); -- expect-error
drop owned by immediate_reader;
drop role immediate_reader;
insert into child values (7002, 1, 1);
