title=pg_trgm
tested='`similarity()` in filters and in the select list, a trigram index on a stream table'

scenario() {
  sql <<'END'
create extension pg_trgm;
create table products (id int primary key, name text);
insert into products select i, (array['garden chair', 'garden table', 'office chair', 'desk lamp'])[i % 4 + 1] || ' ' || i
  from generate_series(1, 200) i;
select pgtrickle.create_stream_table('chairs',
  'select id, name, similarity(name, ''garden chair'') as score from products where similarity(name, ''garden chair'') > 0.4', '0s');
select pgtrickle.create_stream_table('names', 'select id, name from products', '0s');
create index on names using gin (name gin_trgm_ops);
END
  verify
  sql <<'END'
update products set name = 'gardening chairs' where id % 10 = 0;
delete from products where id % 7 = 0;
insert into products values (1000, 'gardn chair');
END
  verify
  expect "set enable_seqscan = off; select count(*) from names where name like '%gardn%'" 1
}
