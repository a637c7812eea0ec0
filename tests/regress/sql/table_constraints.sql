-- Constraints that users add to a stream table hold as on any table: each refresh counts as one statement.
set client_min_messages = warning;
create table t (id int primary key, u int, v int);
insert into t values (1, 1, 10), (2, 2, 20), (3, 3, 30);
select pgtrickle.create_stream_table('s', 'select id, u, v from t', '1h', 'DIFFERENTIAL');
create unique index on s (u);
create table log (at serial, what text);
create function log() returns trigger language plpgsql as $$
begin insert into public.log (what) values (tg_op || ' ' || coalesce(new, old)); return null; end $$;
create trigger log after insert or update or delete on s for each row execute function log();
create view differences as select count(*) from ((table s except all table t) union all (table t except all table s)) d;

-- A swap of unique values, and one passed on to another row. Only these rows are deleted and inserted.
update t set u = 3 - u where id < 3;
update t set v = 31 where id = 3;
select pgtrickle.refresh_stream_table('s');
table differences;
select what from log order by what;
update t set u = u + 1;
delete from t where id = 3;
insert into t values (4, 1, 40);
select pgtrickle.refresh_stream_table('s');
table differences;
truncate log;

-- An index of an expression, and one of some rows.
drop index s_u_idx;
create unique index on s ((u + 1)) where u < 100;
update t set u = case id when 1 then (select u from t where id = 2) when 2 then (select u from t where id = 1) else u end;
select pgtrickle.refresh_stream_table('s');
table differences;
drop index s_expr_idx;

-- Deferrable constraints: they are checked after the whole refresh.
alter table s add constraint later unique (u) deferrable initially deferred, add constraint soon unique (u, v) deferrable;
update t set u = case id when 1 then (select u from t where id = 2) when 2 then (select u from t where id = 1) else u end;
select pgtrickle.refresh_stream_table('s');
table differences;

-- As an ORM creates them.
alter table s drop constraint later, drop constraint soon;
create unique index on s (u);
create table note (id int primary key, s int not null references s (u) deferrable initially deferred);
insert into note select row_number() over (), u from t;
update t set u = case id when 1 then (select u from t where id = 2) when 2 then (select u from t where id = 1) else u end;
select pgtrickle.refresh_stream_table('s');
table differences;
-- A row that a foreign key refers to cannot be deleted, and the whole refresh fails.
delete from t where id = 4;
select pgtrickle.refresh_stream_table('s');
-- expect-error
delete from note where s = (select u from s where id = 4);
select pgtrickle.refresh_stream_table('s');
table differences;
-- The caller's own deferred constraints stay deferred.
begin;
insert into t values (9, 9, 9);
insert into note values (9, 9);
select pgtrickle.refresh_stream_table('s');
commit;
table differences;
select count(*) from note;

-- Triggers that run during a refresh may not write the table.
create function meddle() returns trigger language plpgsql as $$
begin update public.s set v = 0 where id = new.id; return null; end $$;
create trigger meddle after insert or update on s for each row execute function meddle();
update t set v = 12 where id = 1;
select pgtrickle.refresh_stream_table('s');
-- expect-error
drop trigger meddle on s;
select pgtrickle.refresh_stream_table('s');
table differences;

-- The background does the same.
select pgtrickle.alter_stream_table('s', schedule => '0s');
update t set u = case id when 1 then (select u from t where id = 2) when 2 then (select u from t where id = 1) else u end;
select pgtrickle.wait_for_stream_table('s');
table differences;
select status, consecutive_errors, last_error from pgtrickle.pgt_status();
