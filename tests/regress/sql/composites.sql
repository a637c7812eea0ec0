-- Values of composite types: one with NULL fields is a value, and `=` compares two such values.
\set ECHO none
\i tests/regress/preamble.sql
\set ECHO all
create type pair as (x int, y text);
create table p (id int primary key, g int, a int, b text, v pair, o bool);
create table q (v pair, w int, vs pair[]);
insert into p values (1, 1, null, 'a', (null, 'a'), true), (2, 1, 1, null, (1, null), true), (3, 1, null, null, (null, null), false),
  (4, 2, 1, 'a', (1, 'a'), true), (5, 2, 2, 'b', null, null), (6, 2, 1, 'a', (1, 'a'), true);
insert into q values ((null, 'a'), 1, array[(null, null)::pair]), ((1, 'a'), 2, null), (null, 3, array[null]::pair[]);
create table queries (name text, query text);
insert into queries values
  ('counted', 'select g, count((a, b)) filter (where o) as n, count(v) as vs, count(v) filter (where o) as ovs from p group by g'),
  ('distinct_values', 'select distinct v from p'),
  ('by_value', 'select v, count(*) as n, max(id) as last, string_agg(b, '','' order by b) as bs from p group by v'),
  ('joined', 'select p.id, q.w from p join q on p.v = q.v'),
  ('left_joined', 'select p.id, q.w from p left join q on q.v = p.v'),
  ('member', 'select id from p where v in (select v from q)'),
  ('no_member', 'select id from p where v not in (select v from q where w < 3)'),
  ('no_member_nulls', 'select id from p where v not in (select v from q)'),
  ('member_value', 'select id, v in (select v from q where w < 3) as is_in from p'),
  ('exists_same', 'select id from p where not exists (select from q where q.v = p.v)'),
  ('numbered', 'select id, v, row_number() over (partition by v order by id) as nth, count(v) over (partition by g) as n from p'),
  ('first_of', 'select distinct on (v) v, id from p order by v, id'),
  ('common', 'select v from p intersect select v from q'),
  ('others', 'select v from p except all select v from q'),
  ('tested', 'select id, v is null as is_null, v is not null as is_not_null, v is distinct from null as is_there from p where not (v is not null)'),
  ('rows_alike', 'select x.id, y.w from (select id, row(a, b) as k from p) x join (select w, row((v).x, (v).y) as k from q) y on x.k = y.k'),
  ('arrays', 'select vs, count(*) as n from q group by vs'),
  ('grouped_sets', 'select v, g, count(v) as n from p group by rollup (v, g)'),
  ('latest', 'select v, max(w) as w, count(distinct v) as n from q group by v');
select format('call follow(%L, %L, %L)', name, query, 'DIFFERENTIAL') from queries \gexec
insert into p values (7, 1, null, 'a', (null, 'a'), true), (8, 1, null, null, (null, null), true), (9, 2, 3, null, (3, null), true), (10, 3, null, null, null, true);
insert into q values ((1, null), 4, array[(null, null)::pair]), ((null, null), 5, array[(1, null)::pair]);
call follow_every();
delete from p where id in (1, 3, 4);
delete from q where w in (1, 3);
call follow_every();
update p set v = (null, 'b'), a = null where id in (2, 5);
update q set v = (3, null) where w = 5;
call follow_every();
delete from q;
call follow_every();
insert into q values (null, 6, null), ((null, 'b'), 7, null);
delete from p where g = 1;
call follow_every();
select * from counted order by g;

-- A row without a type of its own cannot be stored.
-- expect-error
call follow('nameless', 'select distinct (a, b) as k from p');
call follow('nameless_inside', 'select count(*) from (select (a, b) as k from p group by (a, b)) x');
select refreshed_how('nameless_inside');
select full_reason from pgtrickle.pgt_status() where full_reason is not null;
