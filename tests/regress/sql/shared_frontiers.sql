-- Stream tables that are often refreshed together share rows of pgt_ticks for their frontiers.
\set ECHO none
\i tests/regress/preamble.sql
create table t (id int primary key, g int, v int);
insert into t values (1, 1, 1), (2, 1, null), (3, null, 5), (4, 2, 2), (5, 2, 2);
create table u (g int, w int);
insert into u values (1, 10), (1, 10), (2, 20), (null, 1);
call follow('sums', 'select g, sum(v) as s, count(*) as n from t group by g', 'DIFFERENTIAL');
call follow('joined', 'select s.g, s.s, u.w from sums s join u on u.g = s.g', 'DIFFERENTIAL');
call follow('most', 'select max(s) as most, count(*) as n from joined', 'DIFFERENTIAL');

-- Each round is a transaction of its own that changes a table and one that refreshes, the last table of the chain by default.
create procedure rounds(count int, change text, name text default 'most') language plpgsql as $$
begin
  for round in 1 .. count loop
    execute change;
    commit;
    perform pgtrickle.refresh_stream_table(name);
    commit;
    if name = 'most' then
      perform check_stream_table(each) from unnest(array['sums', 'joined', 'most']) each;
    end if;
  end loop;
end $$;
create view shared as
select array(select coalesce(max(s.pgt_relid::regclass::text), 'dropped')
               from unnest(k.tables) id left join pgtrickle.pgt_stream_tables s on s.pgt_id = id group by id order by id) as tables
  from pgtrickle.pgt_ticks k;
create function moments() returns bigint language sql as $$ select count(distinct frontier::text) from pgtrickle.pgt_seen $$;
\set ECHO all

-- A row for each table, then one for those that were refreshed together eight times.
call rounds(7, 'update t set v = v + 1 where id < 3');
select * from shared order by 1;
call rounds(1, 'update t set v = v + 1 where id < 3');
select * from shared order by 1;
select moments();
-- The same of a part of them: a tick that changes all of them writes the row of all.
call rounds(8, 'update u set w = w + 1 where g = 1');
select * from shared order by 1;
select moments();
call rounds(2, 'insert into t select max(id) + 1, 1, null from t');
select moments();
-- Alone, and each with another set.
call rounds(1, 'delete from t where id = 6', 'sums');
select moments();
call rounds(1, 'update u set w = 0 where g is null', 'joined');
select moments();
call rounds(1, 'update t set g = 2 where id = 1');
select moments();
-- In a transaction that has written, and where it is rolled back.
begin;
update t set v = 100 where id = 4;
select refreshed('most');
insert into u values (2, 20);
select refreshed('most');
savepoint s;
delete from t where id = 5;
select refreshed('most');
rollback to s;
select refreshed('most');
rollback;
select refreshed('most');
begin;
update t set v = 100 where id = 4;
select refreshed('most');
commit;
select refreshed('most');
-- What was truncated is recomputed.
truncate u;
insert into u values (1, 1), (2, 2), (2, 2);
select refreshed_how('most');
call rounds(2, 'update t set v = v - 1 where id > 2');
select moments();
select name, refreshes, rows_changed > 0 as changed from pgtrickle.pgt_status() order by 1;
-- A row is deleted with the last table that names it.
select pgtrickle.drop_stream_table('most');
select * from shared order by 1;
call rounds(8, 'update t set v = v - 1 where id > 2', 'joined');
select check_stream_table('joined');
select * from shared order by 1;
select pgtrickle.drop_stream_table('sums', true);
select count(*) from pgtrickle.pgt_ticks;
