-- Set-returning functions: the rows of a function are inserted and deleted with the row that it is called for.
\set ECHO none
\i tests/regress/preamble.sql
\set ECHO all
create table parcels (id int primary key, items text[], n int, doc jsonb);
insert into parcels values (1, '{a,b,a}', 2, '[{"k": 1}, {"k": 2}]'), (2, '{}', 0, '[]'), (3, null, null, null);
call follow('items', 'select p.id, i.item, i.place from parcels p, unnest(p.items) with ordinality i(item, place)', 'DIFFERENTIAL');
call follow('items_or_none', 'select p.id, i from parcels p left join lateral unnest(p.items) i on true', 'DIFFERENTIAL');
call follow('listed', 'select id, unnest(items) as item, generate_series(1, n) as n from parcels', 'DIFFERENTIAL');
call follow('documents', 'select p.id, d.k, d.missing from parcels p, jsonb_to_recordset(p.doc) d(k int, missing text)', 'DIFFERENTIAL');
call follow('doubled', 'select p.id, x.twice from parcels p, lateral (select s * 2 as twice from generate_series(1, p.n) s where s < 3) x', 'DIFFERENTIAL');
call follow('popular', 'select unnest(items) as item, count(*) as n from parcels group by 1', 'DIFFERENTIAL');
call follow('numbered', 'select id, n from parcels join generate_series(1, 3) s on s = n', 'DIFFERENTIAL');
call follow('words', 'select p.id, w.word[1] as word from parcels p, regexp_matches(array_to_string(p.items, '' ''), ''\w+'', ''g'') w(word)', 'DIFFERENTIAL');
call follow('pairs', 'select p.id, u.a, u.b from parcels p, unnest(p.items, array[p.n, p.id]) u(a, b)', 'DIFFERENTIAL');
select * from items order by id, place;
select * from items_or_none order by id, i;
select * from listed order by id, item, n;

update parcels set items = '{b,c}', n = 3, doc = '[{"k": 2, "missing": "no"}]' where id = 1;
update parcels set items = '{a}' where id = 3;
delete from parcels where id = 2;
insert into parcels values (4, '{a,a}', 1, '[{}]');
select refreshed_how('items'), refreshed_how('items_or_none'), refreshed_how('listed'), refreshed_how('documents');
select refreshed_how('doubled'), refreshed_how('popular'), refreshed_how('numbered'), refreshed_how('words'), refreshed_how('pairs');
select * from items order by id, place;
select * from listed order by id, item, n;
select * from documents order by id, k;
select * from doubled order by id, twice;
select * from popular order by item;
select * from pairs order by id, a, b;

-- Queries that are recomputed, with the reason.
-- expect-error
call follow('conditional', 'select p.id, i from parcels p left join lateral unnest(p.items) i on i <> ''a''', 'DIFFERENTIAL');
-- expect-error
call follow('rows_from', 'select p.id, x.* from parcels p, rows from (unnest(p.items), generate_series(1, p.n)) x', 'DIFFERENTIAL');
