-- Calls of the extension by functions of a query, and by triggers, during a refresh.
\set ECHO none
\i tests/regress/preamble.sql
\set ECHO all
create table t (id int primary key, v int);
create table deed (sql text);
create function meddle(v int) returns int language plpgsql immutable set search_path = public as $$
declare
  wish text := (select sql from deed);
begin
  if wish is not null then
    execute wish;
  end if;
  return v;
end $$;
call follow('s', 'select id, meddle(v) as v from t');
call follow('reader', 'select count(*) as n from s');
call follow('other', 'select max(v) as m from t');
insert into t values (1, 1);
create table wishes (n int, sql text);
insert into wishes values
  (1, 'select pgtrickle.refresh_stream_table(''s'')'),
  (2, 'select pgtrickle.refresh_stream_table(''reader'')'),
  (3, 'select pgtrickle.refresh_stream_table(''s'', true)'),
  (4, 'select pgtrickle.verify_stream_table(''s'')'),
  (5, 'select pgtrickle.alter_stream_table(''s'', query => ''select id, v from t'')'),
  (6, 'select pgtrickle.alter_stream_table(''s'', schedule => ''5s'')'),
  (7, 'select pgtrickle.drop_stream_table(''s'', true)'),
  (8, 'select pgtrickle.create_stream_table(''another'', ''select v from s'')'),
  (9, 'insert into s values (99, 9)'),
  (10, 'delete from s');
create procedure grant_each(call text) language plpgsql as $$
declare
  wish record;
begin
  for wish in select * from wishes order by n loop
    truncate deed;
    insert into deed values (wish.sql);
    raise warning '%: %', wish.sql, outcome(call);
  end loop;
  truncate deed;
end $$;
call grant_each('select pgtrickle.refresh_stream_table(''s'')');
call grant_each('select pgtrickle.verify_stream_table(''s'')');
-- Nothing of it lasts.
select refreshed('s'), refreshed('reader'), refreshed('other');
select pgtrickle.refresh_stream_table('s', recompute => true);
-- A trigger may refresh other tables.
create function chain() returns trigger language plpgsql set search_path = public as $$
begin
  perform pgtrickle.refresh_stream_table(tg_argv[0]);
  return null;
end $$;
create trigger chained after insert on s execute function chain('other');
insert into t values (2, 2);
select refreshed('s'), check_stream_table('other');
drop trigger chained on s;
create trigger chained after insert on s execute function chain('reader');
insert into t values (3, 3);
-- expect-error
select pgtrickle.refresh_stream_table('s');
drop trigger chained on s;
-- Nor does it write the table.
create function write() returns trigger language plpgsql set search_path = public as $$
begin
  execute tg_argv[0];
  return null;
end $$;
create trigger chained after insert on s for each row execute function write('insert into s values (99, 9)');
select outcome('select pgtrickle.refresh_stream_table(''s'')');
drop trigger chained on s;
create trigger chained after insert on s execute function write('delete from s where id = 1');
select outcome('select pgtrickle.refresh_stream_table(''s'')');
drop trigger chained on s;
create function judge(int) returns bool language plpgsql immutable set search_path = public as $$
begin
  if exists (select from deed) then
    delete from s where id = 1;
  end if;
  return true;
end $$;
alter table s add constraint judged check (judge(v));
insert into deed values ('');
select outcome('select pgtrickle.refresh_stream_table(''s'')');
alter table s drop constraint judged;
truncate deed;
select refreshed('s'), refreshed('reader');
