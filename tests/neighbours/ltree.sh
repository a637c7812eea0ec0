title=ltree
tested='`<@` and `~` in filters and joins, groups of `subpath()`, a GiST index on a stream table'

scenario() {
  sql <<'END'
create extension ltree;
create table categories (path ltree primary key, name text);
create table items (id int primary key, category ltree not null, price int);
insert into categories select ('top.c' || i)::ltree, 'category ' || i from generate_series(1, 10) i;
insert into items select i, ('top.c' || i % 10 + 1 || '.s' || i % 4)::ltree, i from generate_series(1, 300) i;
select pgtrickle.create_stream_table('below', 'select id, category from items where category <@ ''top.c3''', '0s');
select pgtrickle.create_stream_table('totals', 'select subpath(category, 0, 2) as branch, sum(price) as total from items group by 1', '0s');
select pgtrickle.create_stream_table('named',
  'select c.name, count(i.id) as n from categories c left join items i on i.category <@ c.path group by c.name', '0s');
select pgtrickle.create_stream_table('matching', 'select id from items where category ~ ''*.s1''', '0s');
create index on below using gist (category);
END
  verify
  sql <<'END'
update items set category = 'top.c3.s9' where id % 11 = 0;
update items set category = subpath(category, 0, 2) || 's1' where id % 5 = 0;
insert into items select i, 'top.c4.s1', i from generate_series(1000, 1010) i;
delete from categories where path = 'top.c5';
update categories set path = 'top.c5' where path = 'top.c6';
END
}
