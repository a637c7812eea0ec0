-- The first rows of an order: from the stored ones if they are enough, else from all rows.
\set ECHO none
\i tests/regress/preamble.sql
\set ECHO all
create table bids (id int primary key, item text, amount int);
insert into bids select n, case n % 3 when 0 then 'vase' when 1 then 'lamp' end, n * 10 from generate_series(1, 9) n;
call follow('highest', 'select id, amount from bids order by amount desc, id limit 3', 'DIFFERENTIAL');
call follow('tied', 'select amount from bids order by amount desc fetch first 2 rows with ties', 'DIFFERENTIAL');
call follow('middle', 'select id from bids order by amount, id limit 2 offset 3', 'DIFFERENTIAL');
call follow('best', 'select distinct on (item) item, id, amount from bids order by item, amount desc, id', 'DIFFERENTIAL');
call follow('items', 'select item, count(*) as n from bids group by item order by count(*) desc, item limit 2', 'DIFFERENTIAL');
call follow('either', 'select id from bids union all select amount from bids order by 1 desc limit 2', 'DIFFERENTIAL');
select * from highest order by amount desc;
select * from best order by item;

-- One is inserted above, one is deleted, one far behind changes.
insert into bids values (10, 'lamp', 85);
delete from bids where id = 9;
update bids set amount = 11 where id = 1;
select refreshed_how('highest'), refreshed_how('tied'), refreshed_how('middle'), refreshed_how('best'), refreshed_how('items'), refreshed_how('either');
select * from highest order by amount desc;
select * from best order by item;
select * from middle order by id;

-- All stored rows are deleted: others, which did not change, replace them.
delete from bids where amount > 60;
select refreshed_how('highest'), refreshed_how('tied'), refreshed_how('middle'), refreshed_how('best'), refreshed_how('items'), refreshed_how('either');
select * from highest order by amount desc;
select * from best order by item;

-- Equals of the last one are shown with ties; fewer rows than the limit are all of them.
insert into bids values (11, 'vase', 50), (12, null, 50);
select refreshed_how('highest'), refreshed_how('tied'), refreshed_how('best');
select * from highest order by amount desc, id;
select * from tied order by amount desc;
delete from bids where id not in (2, 12);
select refreshed_how('highest'), refreshed_how('tied'), refreshed_how('best');
select * from highest order by amount desc;
select * from tied order by amount desc;
select * from best order by item;

-- The limit must not depend on rows.
-- expect-error
call follow('half', 'select id from bids order by id limit (select count(*) / 2 from bids)', 'DIFFERENTIAL');
