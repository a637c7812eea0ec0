title=pg_stat_statements
tested='300 refreshes: the statements of workers and captures take fewer than 100 entries'

scenario() {
  sql <<'END'
create extension pg_stat_statements;
create table orders (id int primary key, region int not null, amount int not null);
insert into orders select i, i % 10, i from generate_series(1, 1000) i;
select pgtrickle.create_stream_table('revenue', 'select region, sum(amount) as total, count(*) as n from orders group by region', '0s');
select pgtrickle.create_stream_table('big', 'select region, total from revenue where total > 40000', '0s');
END
  verify
  changes 10
  sql 'select from pg_stat_statements_reset()'
  changes 300
  verify
  entries=$(sql "select count(*) from pg_stat_statements s join pg_database d on d.oid = s.dbid and d.datname = current_database()
                  where query ~* 'pgtrickle|revenue'")
  say "  $entries entries"
  ((entries > 0 && entries < 100)) || wrong "$entries entries"
}

# Each in a transaction of its own, with a pause that lets a refresh run.
changes() { # how many
  sql < <(for ((i = 0; i < $1; i++)); do
    echo "update orders set amount = amount + 1 where id = $((i % 1000 + 1)); select pgtrickle.wait_for_stream_table('big');"
  done) >/dev/null
}
