title=hll
package=postgresql-$major-hll
tested='`hll_add_agg` by day, and `hll_union_agg` over that stream table'
notes='A changed group is computed anew: an index on the group key helps.'

scenario() {
  sql <<'END'
create extension hll;
create table visits (id int primary key, day date not null, visitor int not null);
insert into visits select i, date '2024-01-01' + i % 10, i % 777 from generate_series(1, 5000) i;
select pgtrickle.create_stream_table('daily', 'select day, hll_add_agg(hll_hash_integer(visitor)) as visitors from visits group by day', '0s');
select pgtrickle.create_stream_table('total', 'select hll_cardinality(hll_union_agg(visitors)) as visitors from daily', '0s');
END
  verify
  sql <<'END'
insert into visits select i, date '2024-01-03', i from generate_series(10001, 10500) i;
delete from visits where day = '2024-01-05' and visitor % 2 = 0;
update visits set day = day + 20 where id % 100 = 0;
END
}
