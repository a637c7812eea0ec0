-- What a released version leaves behind: run on a server of that version by scripts/upgrade-from, which dumps the result.
-- A stream table for each operator, with changes that none has seen.

create table item (id int primary key, grp int not null, price numeric(10,2) not null, name text);
create table grp (id int primary key, parent int, label text not null);
create table event (at timestamptz not null, grp int not null, value double precision);
create table part (id int, region text, amount bigint, primary key (id, region)) partition by list (region);
create table part_north partition of part for values in ('north');
create table part_rest partition of part default;
create unlogged table hot (id int primary key, hits int not null);
create table base_row (id int primary key, v int);
create table child_row () inherits (base_row);

insert into item select n, n % 7, n * 1.25, case when n % 5 > 0 then 'item ' || n end from generate_series(1, 60) n;
insert into grp select n, case when n > 0 then (n - 1) / 2 end, 'group ' || n from generate_series(0, 6) n;
insert into event select '2026-01-01'::timestamptz + n * interval '1 hour', n % 7, n / 3.0 from generate_series(1, 40) n;
insert into part select n, (array['north', 'south', 'west'])[n % 3 + 1], n * 10 from generate_series(1, 30) n;
insert into hot select n, n from generate_series(1, 10) n;
insert into base_row select n, n * n from generate_series(1, 5) n;
insert into child_row select n, n * n from generate_series(6, 9) n;

select pgtrickle.create_stream_table('st_filter', 'select id, price * 2 as twice from item where grp <> 3', '1s');
select pgtrickle.create_stream_table('st_bag', 'select name from item', '1s');
select pgtrickle.create_stream_table('st_join', 'select i.id, i.name, g.label from item i join grp g on g.id = i.grp', '1s');
select pgtrickle.create_stream_table('st_left', 'select g.id, g.label, i.id as item from grp g left join item i on i.grp = g.id and i.price > 60', '1s');
select pgtrickle.create_stream_table('st_full', 'select g.id, b.v from grp g full join base_row b on b.id = g.id', '1s');
select pgtrickle.create_stream_table('st_semi', 'select g.id, g.label from grp g where exists (select from item i where i.grp = g.id and i.price > 70)', '1s');
select pgtrickle.create_stream_table('st_anti', 'select i.id from item i where i.grp not in (select g.id from grp g where g.parent = 1)', '1s');
select pgtrickle.create_stream_table('st_sum', 'select grp, count(*) as n, sum(price) as total, avg(price) as mean, min(price) as low, max(name) as high from item group by grp', '1s');
select pgtrickle.create_stream_table('st_nested', 'select n, count(*) as groups from (select grp, count(*) as n from item group by grp having sum(price) > 100) t group by n', '1s');
select pgtrickle.create_stream_table('st_recompute', 'select grp, string_agg(name, '','' order by id) as names from item group by grp', '1s');
select pgtrickle.create_stream_table('st_cube', 'select grp, name is null as nameless, count(*) as n from item group by cube (grp, name is null)', '1s');
select pgtrickle.create_stream_table('st_distinct', 'select distinct grp from item where price < 50', '1s');
select pgtrickle.create_stream_table('st_union', 'select id from item union select id from base_row', '1s');
select pgtrickle.create_stream_table('st_except', 'select grp from item except all select id from grp where parent = 0', '1s');
select pgtrickle.create_stream_table('st_window', 'select id, row_number() over (partition by grp order by price desc, id) as place from item', '1s');
select pgtrickle.create_stream_table('st_top', 'select id, price from item order by price desc, id limit 5', '1s');
select pgtrickle.create_stream_table('st_scalar', 'select id from item where price > (select avg(price) from item)', '1s');
select pgtrickle.create_stream_table('st_lateral', 'select g.id, t.id as item from grp g cross join lateral (select i.id from item i where i.grp = g.id order by i.id limit 2) t', '1s');
select pgtrickle.create_stream_table('st_series', 'select b.id, s from base_row b cross join lateral generate_series(1, b.v) s where b.v < 20', '1s');
select pgtrickle.create_stream_table('st_tree', 'with recursive t(id, depth) as (select id, 0 from grp where parent is null union all select g.id, depth + 1 from t join grp g on g.parent = t.id) select id, depth from t', '1s');
select pgtrickle.create_stream_table('st_part', 'select region, sum(amount) as amount from part group by region', '1s');
select pgtrickle.create_stream_table('st_children', 'select id, v from base_row where v > 3', '1s');
select pgtrickle.create_stream_table('st_hot', 'select sum(hits) as hits from hot', '1s');
select pgtrickle.create_stream_table('st_recent', 'select grp, count(*) as n from event where at > now() - interval ''100 years'' group by grp', '1s');
select pgtrickle.create_stream_table('st_whole', 'select grp, sum(value) as value from event group by grp', '1s', 'FULL');
select pgtrickle.create_stream_table('st_reader', 'select s.grp, s.n, g.label from st_sum s join grp g on g.id = s.grp', '1s');
select pgtrickle.create_stream_table('st_reader_of_reader', 'select max(n) as most from st_reader', '0s');
select pgtrickle.create_stream_table('st_suspended', 'select id, 1 / (id - 1000) as quotient from item', '1s');
select pgtrickle.create_stream_table('st_paused', 'select count(*) as n from item', '1s');
select pgtrickle.alter_stream_table('st_paused', status => 'PAUSED');

-- Its refreshes fail until it is suspended; the row that makes them fail stays.
insert into item values (1000, 1, 1, 'division by zero');
do $$
begin
  while not exists (select from pgtrickle.pgt_status() where name like '%st_suspended' and status = 'SUSPENDED') loop
    perform pg_sleep(0.1);
    commit;
  end loop;
end $$;

-- Changes that no refresh has seen.
select pgtrickle.drain();
insert into item select n, n % 7, n, 'late ' || n from generate_series(61, 70) n;
update item set price = price + 100, grp = (grp + 1) % 7 where id % 10 = 3;
delete from item where id % 10 = 7;
update grp set parent = 2 where id = 3;
insert into grp values (7, 3, 'late group');
begin; insert into event values ('2026-02-01', 5, 1); savepoint s; insert into event values ('2026-02-02', 6, 2); rollback to s; commit;
insert into part values (31, 'north', 5), (32, 'east', 7);
delete from part where id < 4;
update hot set hits = hits + 1 where id < 5;
update base_row set v = 4 where id in (2, 7);
insert into grp values (8, 3, repeat('x', 9000));
