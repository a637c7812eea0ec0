-- Grouping sets: a row counts in a group of every set; NULL of the data is not NULL of a set.
\set ECHO none
\i tests/regress/preamble.sql
\set ECHO all
create table sales (region text, product text, amount int);
insert into sales values ('n', 'a', 1), ('n', 'b', 2), ('s', 'a', 3), (null, 'a', 4);
call follow('rolled', 'select region, product, grouping(region, product) as g, sum(amount) as s from sales group by rollup (region, product)', 'DIFFERENTIAL');
call follow('cubed', 'select region, product, count(*) as n from sales group by cube (region, product) having count(*) > 1', 'DIFFERENTIAL');
call follow('sets', 'select region is null as nowhere, product, max(amount) as m from sales group by grouping sets ((region is null), (product), (), ())', 'DIFFERENTIAL');
call follow('beside', 'select product, region, sum(amount) + grouping(region) as x from sales group by product, rollup (region)', 'DIFFERENTIAL');
call follow('unrepeated', 'select region, product, count(*) as n from sales group by distinct rollup (region, product), rollup (product, region)', 'DIFFERENTIAL');
call follow('once', 'select distinct region, count(*) as n from sales group by cube (region, product)', 'DIFFERENTIAL');
select * from rolled order by g, region, product;
select * from sets order by nowhere, product, m;

select count(*) from unrepeated;

update sales set amount = amount + 10 where region = 'n';
delete from sales where region is null;
select refreshed_how('unrepeated');
select refreshed_how('rolled'), refreshed_how('cubed'), refreshed_how('sets'), refreshed_how('beside'), refreshed_how('once');
select * from rolled order by g, region, product;
select * from cubed order by region, product, n;
select * from beside order by product, region, x;
-- Only the groups of the changed rows are written.
select rows_inserted, rows_updated, rows_deleted from pgtrickle.get_refresh_history('rolled', 1);

-- Without rows, only the empty grouping set has a group.
delete from sales;
select refreshed_how('rolled'), refreshed_how('cubed'), refreshed_how('sets'), refreshed_how('beside'), refreshed_how('once');
select * from rolled;
select * from sets;
select * from beside;
insert into sales values (null, null, 1);
select refreshed_how('rolled'), refreshed_how('sets'), refreshed_how('once');
select * from rolled order by g;

-- Too many sets for a table each.
-- expect-error
call follow('too_many', 'select count(*) from (select 1 as a, 2 as b, 3 as c, 4 as d, 5 as e, 6 as f, amount as g from sales) x group by cube (a, b, c, d, e, f, g)', 'DIFFERENTIAL');
