title='PgBouncer'
package=pgbouncer
tested='pool mode `transaction`: every call of the API, 20 writers on 4 connections, `wait_for_stream_table()` after a write'
notes='Workers connect to the server directly.'

scenario() {
  local direct=$port
  cat >/tmp/pgbouncer.ini <<END
[databases]
* = host=127.0.0.1 port=$port
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = 6432
unix_socket_dir = /tmp
auth_type = any
pool_mode = transaction
default_pool_size = 4
pidfile = /tmp/pgbouncer.pid
logfile = /tmp/pgbouncer.log
END
  sed -i 's/^\* = .*/& user=postgres/' /tmp/pgbouncer.ini
  as_postgres pgbouncer -q -d /tmp/pgbouncer.ini
  export PGHOST=127.0.0.1
  port=6432
  pooled_writers 20
  expect "insert into orders (region, amount) values (777, 1000)" ''
  expect "select pgtrickle.wait_for_stream_table('big')" t
  expect 'select total from big where region = 777' 1000
  expect "select count(*) from orders" 2001
  sql "select pgtrickle.refresh_stream_table('revenue'); select count(*) from pgtrickle.explain_stream_table('big')" >/dev/null
  verify
  port=$direct
  unset PGHOST
  as_postgres sh -c 'kill "$(cat /tmp/pgbouncer.pid)"'
}
