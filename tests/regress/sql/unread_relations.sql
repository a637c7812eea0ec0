-- Relations that a query names without reading their rows: in a subquery that always has a row, and in constants.
\set ECHO none
\i tests/regress/preamble.sql
\set ECHO all
create table t (id int primary key, g int, c regclass);
create table u (g int, v int);
insert into t values (1, 1, 'u'), (2, 2, 'pg_class'), (3, null, null);
insert into u values (1, 10);
call follow('always', 'select id from t where exists (select max(v) from u where u.g = t.g)', 'DIFFERENTIAL');
call follow('never', 'select id from t where not exists (select count(*) from u where u.g = t.g)', 'DIFFERENTIAL');
call follow('unread', 'select id from (select id, (select max(v) from u where u.g = t.g) as m from t) x', 'DIFFERENTIAL');
call follow('constant', 'select id, c = ''u''::regclass as is_u, c = ''pg_class''::regclass as is_class from t', 'DIFFERENTIAL');
call follow('itself', 'select id from t where c is distinct from ''t''::regclass', 'DIFFERENTIAL');
create procedure every() language plpgsql as $$
declare
  one text;
begin
  foreach one in array '{always,never,unread,constant,itself}'::text[] loop
    perform refreshed(one);
  end loop;
end $$;
insert into t values (4, 2, 'u'), (5, 1, 't');
call every();
insert into u values (2, 20), (null, null);
call every();
delete from u;
update t set c = 'u' where id = 2;
call every();
truncate u;
delete from t where id = 1;
call every();
select * from constant order by id;
select name, consecutive_errors from pgtrickle.pgt_status() order by 1;
