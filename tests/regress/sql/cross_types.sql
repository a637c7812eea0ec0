-- IN, NOT IN, ANY, ALL and USING across types: values are equal where PostgreSQL's operator says so, in the types that it casts to.
\set ECHO none
\i tests/regress/preamble.sql
\set ECHO all
create domain amount as numeric check (value > -1e30);
create table f (id int primary key, a float8, x float8, i int, t text, c char(4), at timestamptz);
create table n (b numeric, m amount, k int8, r real, v varchar(10), c char(6), s timestamp, note text);
insert into f values (1, 1, 1, 1, 'a', 'a', '2024-01-01 00:00+00'), (2, 9007199254740992, 0.1, 2, 'b ', 'b', null),
  (3, null, 2, null, null, null, '2024-06-01 00:00+00'), (4, 0.1, 4, 4, 'c', 'c', '2024-01-02 00:00+00');
insert into n values (1, 1, 9007199254740992, 0.1, 'a', 'a', '2024-01-01', 'x'), (1.000000000000000000001, 1.000000000000000000001, 9007199254740993, 0.1, 'b', 'b', '2024-01-02', 'y');
create table queries (name text, query text);
insert into queries values
  ('numeric_in', 'select * from f where a in (select b from n)'),
  ('domain_in', 'select id, a in (select m from n) as known from f'),
  ('int8_in', 'select * from f where a in (select k from n)'),
  ('not_in', 'select * from f where a not in (select b from n where b is not null)'),
  ('not_in_nulls', 'select id from f where x not in (select b from n)'),
  ('not_in_value', 'select id, x not in (select k from n) as unknown from f'),
  ('in_other_way', 'select note from n where b in (select a from f)'),
  ('any_of', 'select id from f where a = any (select m from n where note > ''w'')'),
  ('all_of', 'select id from f where a <> all (select k from n where k is not null)'),
  ('pair_in', 'select id from f where (a, t) in (select b, v from n)'),
  ('pair_not_in', 'select id from f where (a, i) not in (select b, k from n)'),
  ('real_in', 'select id from f where x in (select r from n)'),
  ('numeric_of_int', 'select id from f where i in (select b from n)'),
  ('char_in', 'select id from f where t in (select c from n)'),
  ('char_of_char', 'select id from f where c in (select c from n)'),
  ('correlated', 'select id from f where exists (select from n where n.b = f.a and n.k in (select n2.m from n n2 where n2.note = n.note))'),
  ('lateral_in', 'select f.id, v.note from f left join lateral (select n.note from n where n.b = f.i and n.k in (select g.a from f g)) v on true'),
  ('joined_using', 'select id, a, note from f join (select b as a, note from n) n using (a)'),
  ('left_using', 'select a, note from f left join (select b as a, note from n) n using (a)'),
  ('full_using', 'select i, id, note from f full join (select k as i, note from n) n using (i)'),
  ('right_using', 'select i, id, note from f right join (select b as i, note from n) n using (i)');
select format('call follow(%L, %L, %L)', name, query, 'DIFFERENTIAL') from queries \gexec
delete from n where note = 'y';
call follow_every();
insert into n values (9007199254740993, 9007199254740993, 1, 2, 'b', 'c', null, 'z'), (1.0, null, 9007199254740993, null, 'c', 'b', '2024-01-01', 'y');
call follow_every();
delete from n where note = 'z';
update f set a = a + 1 where id = 1;
call follow_every();
insert into n values (null, null, null, null, null, null, null, null), (2.0000000000000000001, 2, 2, 2, 'a', 'a', null, 'w');
call follow_every();
delete from n where note is null or b = 1;
call follow_every();
update n set b = b + 0.00000000000000000001;
call follow_every();
select * from numeric_in order by id;
select * from left_using order by a, note;
