-- Texts that are equal under a collation differ in bytes, and queries show which one is stored.
\set ECHO none
\i tests/regress/preamble.sql
\set ECHO all
create collation loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
create table t (id int primary key, s text collate loose, v int);
insert into t values (1, 'abc', 1), (2, 'ABC', 2), (3, 'x', 3), (4, null, 4);
call follow('plain', 'select id, s from t', 'DIFFERENTIAL');
call follow('bag', 'select s from t', 'DIFFERENTIAL');
call follow('groups', 'select s, count(*) as n, sum(v) as v from t group by s', 'DIFFERENTIAL');
call follow('joined', 'select a.id, b.id as other, b.s from t a join t b on a.s = b.s', 'DIFFERENTIAL');
call follow('ranked', 'select id, s, rank() over (partition by s order by v) as r from t', 'DIFFERENTIAL');

-- The bytes of each.
create function looks(name text) returns text language plpgsql as $$
declare
  definition regclass;
  differing bigint;
begin
  select t.definition into strict definition from pgtrickle.pgt_stream_tables t where t.pgt_relid = name::regclass;
  execute format('select count(*) from (select q::text collate "C" from %1$s q except all select d::text collate "C" from %2$s d) x',
                 name, definition) into differing;
  return case differing when 0 then refreshed(name) else differing || ' rows look different' end;
end $$;
update t set s = 'ABC' where id = 1;
update t set s = 'aBc' where id = 2;
update t set s = 'X' where id = 3;
select name, refreshed(name), looks(name) from unnest(array['plain', 'bag', 'joined', 'ranked']) name;
select * from plain order by id;
delete from t where id = 1;
insert into t values (5, 'Abc', 5), (6, 'abc', 6);
select name, refreshed(name), looks(name) from unnest(array['plain', 'bag', 'joined', 'ranked']) name;
select refreshed('groups');
