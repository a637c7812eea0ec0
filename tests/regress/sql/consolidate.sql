-- Changes between two refreshes add up, however the values are stored.
\set ECHO none
\i tests/regress/preamble.sql
create function refreshed_to(name text) returns text language plpgsql as $$
declare
  before bigint := last_refresh();
  verdict text := refreshed(name);
begin
  return verdict || ': ' || done_since(before, name, '%s +%s -%s ~%s');
end $$;
\set ECHO all
create table t (id integer primary key, n integer, note text, plain text, other integer);
alter table t alter plain set storage plain;
create table names (n integer primary key, name text not null);
call follow('kept', 'select id, n, note, plain from t', 'DIFFERENTIAL');
call follow('joined', 'select t.id, t.note, names.name from t join names on names.n = t.n', 'DIFFERENTIAL');
insert into names select g, 'name ' || g from generate_series(0, 9) g;
insert into t select g, g % 10, 'note', 'plain', 0 from generate_series(1, 20) g;
insert into t select g, null, repeat('compressed ', 500), repeat('p', 300), 0 from generate_series(21, 25) g;
insert into t select g, 1, (select string_agg(md5(i::text), '') from generate_series(1, 300) i), repeat('p', 3000), 0
  from generate_series(26, 30) g;
select refreshed_to('kept'), refreshed_to('joined');

-- Updated and updated back.
update t set n = n + 1 where id < 30;
update t set n = n - 1 where id < 30;
select refreshed_to('kept'), refreshed_to('joined');

-- Deleted and inserted again, unchanged and changed.
create temporary table away as select * from t;
delete from t;
insert into t select * from away where id <> 7;
update t set note = note || '!' where id % 10 = 5;
select refreshed_to('kept'), refreshed_to('joined');

-- Many updates. The row in between is the new row of one change and the old row of the next.
update t set n = 0 where n is null;
update t set note = 'short ' || id where id in (21, 26);
update t set note = repeat('compressed again ', 500) where id in (21, 26);
update t set note = note || '.', plain = plain || '.' where id > 20;
update t set plain = 'p' where id > 23;
update t set n = 2 where id > 20;
select refreshed_to('kept'), refreshed_to('joined');
do $$ begin
  for i in 1..500 loop
    update t set n = i % 10, note = repeat('i', i * 10) where id = 3;
  end loop;
end $$;
select refreshed_to('kept'), refreshed_to('joined');

-- Rows swap their keys, and both sides of a join change at once.
update t set id = -id;
update t set id = 31 + id;
update names set name = 'new ' || name where n = 2;
update names set n = n + 100 where n < 2;
select refreshed_to('kept'), refreshed_to('joined');
update t set n = 100 where n = 0;
delete from names where n = 101;
truncate away;
insert into t values (100, 100, 'new', 'new', 0) on conflict do nothing;
update t set id = id + 1 where id = 100;
delete from t where id = 101;
select refreshed_to('kept'), refreshed_to('joined');
