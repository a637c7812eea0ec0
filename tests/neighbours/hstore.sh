title=hstore
tested='keys read with `->` and `?`, rows of `each()`, an `hstore` column that is stored'

scenario() {
  sql <<'END'
create extension hstore;
create table devices (id int primary key, tags hstore);
insert into devices select i, hstore(array['site', 's' || i % 5, 'k' || i % 3, i::text]) from generate_series(1, 100) i;
select pgtrickle.create_stream_table('by_site', 'select tags -> ''site'' as site, count(*) as n from devices group by 1', '0s');
select pgtrickle.create_stream_table('tagged', 'select id, tags from devices where tags ? ''k1''', '0s');
select pgtrickle.create_stream_table('keys', 'select t.key, count(*) as n from devices d, lateral each(d.tags) t group by t.key', '0s');
END
  verify
  sql <<'END'
update devices set tags = tags || '"site"=>"s9"' where id % 4 = 0;
update devices set tags = delete(tags, 'k1') where id % 6 = 1;
update devices set tags = null where id = 50;
insert into devices values (500, 'k1=>x'), (501, '');
delete from devices where id % 9 = 0;
END
}
