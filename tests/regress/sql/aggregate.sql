-- γ: groups appear, change and vanish; NULL keys, FILTER, HAVING, aggregates of nothing.
\set ECHO none
\i tests/regress/preamble.sql
\set ECHO all
create table sales (id int generated always as identity primary key, shop text, price numeric, score float8, ok bool);
call follow('by_shop', 'select shop, count(*) as n, count(price) as priced, sum(price) as total, avg(price) as mean, min(price) as lo, max(price) as hi from sales group by shop', 'DIFFERENTIAL');
call follow('all_sales', 'select count(*) as n, sum(price) as total, max(id) as last from sales', 'DIFFERENTIAL');
call follow('good', 'select shop, count(*) filter (where ok) as n, sum(price) filter (where price > 1) as dear from sales group by shop', 'DIFFERENTIAL');
call follow('busy', 'select shop from sales group by shop having count(*) > 1', 'DIFFERENTIAL');
call follow('scores', 'select ok, sum(score) as s, avg(score) as a from sales group by ok', 'DIFFERENTIAL');
call follow('rounded', 'select price::int / 10 as tens, count(*) as n from sales group by price::int / 10', 'DIFFERENTIAL');
call follow('sizes', 'select n, count(*) as shops from (select shop, count(*) as n from sales group by shop) s group by n', 'DIFFERENTIAL');

-- Without a key there is one row, always.
select * from all_sales;

insert into sales (shop, price, score, ok) values ('a', 1, 0.5, true), ('a', 2.50, 1.5, false), ('b', null, null, true), (null, 3, 'nan', null), (null, 4, 1, null);
select refreshed_how('by_shop'), refreshed_how('all_sales'), refreshed_how('good'), refreshed_how('busy');
select * from by_shop order by shop;
select * from good order by shop;
select * from busy order by shop;
select refreshed_how('scores'), refreshed_how('rounded'), refreshed_how('sizes');
select * from sizes order by n;

-- A sum of no value is NULL, not 0; its scale is that of the present values.
update sales set price = null where shop = 'a' and price = 2.50;
select refreshed_how('by_shop');
select * from by_shop where shop = 'a';
update sales set price = null where shop = 'a';
select refreshed_how('by_shop'), refreshed_how('good');
select * from by_shop where shop = 'a';

-- The smallest and the largest value are deleted.
update sales set price = 10 where shop is null and price = 4;
delete from sales where shop is null and price = 3;
select refreshed_how('by_shop'), refreshed_how('scores');
select * from by_shop where shop is null;

-- Values that cannot be subtracted: NaN and infinities are inserted and deleted.
update sales set price = 'NaN' where shop = 'b';
insert into sales (shop, price, score) values ('b', 'Infinity', 'infinity'), ('b', 7, '-infinity');
select refreshed_how('by_shop'), refreshed_how('scores');
select * from by_shop where shop = 'b';
delete from sales where price = 'NaN';
select refreshed_how('by_shop');
select * from by_shop where shop = 'b';
delete from sales where price = 'Infinity';
select refreshed_how('by_shop'), refreshed_how('all_sales'), refreshed_how('scores');
select * from by_shop where shop = 'b';

-- A group moves as a whole, and a group vanishes with its last row.
update sales set shop = 'c' where shop = 'a';
delete from sales where shop is null;
select refreshed_how('by_shop'), refreshed_how('busy'), refreshed_how('sizes');
select * from by_shop order by shop;
delete from sales;
select refreshed_how('by_shop'), refreshed_how('all_sales'), refreshed_how('sizes'), refreshed_how('good');
select count(*) from by_shop;
select * from all_sales;
