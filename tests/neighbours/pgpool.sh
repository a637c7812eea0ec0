title='pgpool-II'
package=pgpool2
tested='session pooling with its query cache: every call of the API, writers, reads of stream tables'
notes='The cache does not see changes that workers make: list stream tables in `cache_unsafe_memqcache_table_list`, as the test does.'

scenario() {
  local direct=$port
  cat >/tmp/pgpool.conf <<END
listen_addresses = '127.0.0.1'
port = 9999
pcp_port = 9898
socket_dir = '/tmp'
pcp_socket_dir = '/tmp'
pid_file_name = '/tmp/pgpool.pid'
logdir = '/tmp'
backend_clustering_mode = 'raw'
backend_hostname0 = '127.0.0.1'
backend_port0 = $port
num_init_children = 8
enable_pool_hba = off
memory_cache_enabled = on
memqcache_oiddir = '/tmp/oiddir'
cache_unsafe_memqcache_table_list = 'revenue,big'
END
  as_postgres mkdir /tmp/oiddir
  as_postgres pgpool -n -f /tmp/pgpool.conf >/tmp/pgpool.log 2>&1 &
  export PGHOST=127.0.0.1
  for _ in {1..50}; do pg_isready -q -h 127.0.0.1 -p 9999 && break; sleep 0.2; done
  port=9999
  pooled_writers 6
  expect 'select total from big where region = 777' ''
  sql 'insert into orders (region, amount) values (777, 1000)'
  expect "select pgtrickle.wait_for_stream_table('big')" t
  expect 'select total from big where region = 777' 1000
  sql "select pgtrickle.refresh_stream_table('revenue')" >/dev/null
  verify
  port=$direct
  unset PGHOST
  as_postgres pgpool -f /tmp/pgpool.conf -m fast stop
}
