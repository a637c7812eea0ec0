-- Views, CTEs and subqueries are expanded; a view may change its definition.
\set ECHO none
\i tests/regress/preamble.sql
\set ECHO all
create table items (id int primary key, kind text, price int, note text);
insert into items select n, chr(97 + n % 3), n * 10, 'note' from generate_series(1, 9) n;
create view priced as select id, kind, price from items where price > 20;
create view kinds as select kind, count(*) as n, sum(price) as total from priced group by kind;
call follow('of_view', 'select id, price * 2 as double from priced', 'DIFFERENTIAL');
call follow('of_views', 'select k.kind, k.n, p.id from kinds k join priced p on p.kind = k.kind', 'DIFFERENTIAL');
call follow('of_cte', 'with cheap as (select * from items where price < 50), counted as (select kind, count(*) as n from cheap group by kind) select c.id, k.n from cheap c join counted k using (kind)', 'DIFFERENTIAL');
call follow('of_subquery', 'select k, max(n) as n from (select kind as k, price / 10 as n from (select * from items where id > 2) i) s group by k', 'DIFFERENTIAL');
insert into items values (10, 'a', 15, 'low'), (11, 'd', 200, 'new kind');
update items set price = 25 where id = 1;
delete from items where id = 9;
select refreshed_how('of_view'), refreshed_how('of_views'), refreshed_how('of_cte'), refreshed_how('of_subquery');
select * from of_views order by kind, id;

-- A column that no view reads.
update items set note = 'other';
select refreshed_how('of_view'), refreshed_how('of_views');

-- Names change with what they name.
alter table items rename to things;
alter table things rename column price to worth;
update things set worth = worth + 1;
select refreshed_how('of_view') like 'exact%' as exact, refreshed_how('of_cte') like 'exact%' as exact;

-- Another definition of the view: a rebuild.
create or replace view priced as select id, kind, worth as price from things where worth > 100;
select refreshed_how('of_view'), refreshed_how('of_views');
select * from of_view order by id;
insert into things values (12, 'e', 300, null);
select refreshed_how('of_view'), refreshed_how('of_views');

-- A source cannot be dropped without its stream tables.
-- expect-error
drop view priced;
-- expect-error
alter table things drop column kind;
-- expect-error
alter table things alter column worth type bigint;
-- expect-error
alter table things drop column note;
alter table things add column extra text default 'x';
insert into things values (13, 'e', 400, 'y');
select refreshed('of_view'), refreshed('of_views'), refreshed('of_cte'), refreshed('of_subquery');
