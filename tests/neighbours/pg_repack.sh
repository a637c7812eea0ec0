title=pg_repack
package=postgresql-$major-repack
tested='`pg_repack` of a source and of a stream table while a writer runs'
notes='pg_repack takes tables with a primary key alone: give a stream table one with `alter table … add primary key`.'

scenario() {
  sql <<'END'
create extension pg_repack;
create table orders (id int primary key, region int not null, amount int not null);
insert into orders select i, i % 50, i from generate_series(1, 50000) i;
delete from orders where id % 2 = 0;
select pgtrickle.create_stream_table('revenue', 'select region, sum(amount) as total, count(*) as n from orders group by region', '0s');
select pgtrickle.create_stream_table('kept', 'select id, region, amount from orders where amount > 100', '0s');
alter table kept add primary key (id);
END
  verify
  local orders kept
  orders=$(sql "select pg_relation_filenode('orders')") kept=$(sql "select pg_relation_filenode('kept')")
  echo "update orders set amount = amount + 1 where id = 2 * (random() * 20000)::int + 1;
        insert into orders values (100000 + :client_id * 1000000 + (random() * 900000)::int, 3, 7) on conflict do nothing;" >/tmp/writer.sql
  as_postgres pgbench -n -p "$port" -c 2 -T 8 -f /tmp/writer.sql "$database" &
  as_postgres pg_repack -p "$port" -d "$database" -t orders
  as_postgres pg_repack -p "$port" -d "$database" -t kept
  wait $!
  [[ $(sql "select pg_relation_filenode('orders')") != "$orders" ]] || wrong 'the source was not repacked'
  [[ $(sql "select pg_relation_filenode('kept')") != "$kept" ]] || wrong 'the stream table was not repacked'
  verify
  sql "update orders set region = region + 1 where id % 100 = 1"
}
