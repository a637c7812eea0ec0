title=tdigest
package=postgresql-$major-tdigest
tested='`tdigest_percentile` of groups, and digests that are merged over a stream table'
notes='A changed group is computed anew: an index on the group key helps.'

scenario() {
  sql <<'END'
create extension tdigest;
create table calls (id int primary key, host int not null, ms double precision not null);
insert into calls select i, i % 10, (i * 7919 % 10007) / 10.0 from generate_series(1, 20000) i;
select pgtrickle.create_stream_table('p95', 'select host, tdigest_percentile(ms, 100, 0.95) as ms from calls group by host', '0s');
select pgtrickle.create_stream_table('digests', 'select host, tdigest(ms, 100) as digest from calls group by host', '0s');
select pgtrickle.create_stream_table('overall', 'select tdigest_percentile(digest, 0.95) as ms from digests', '0s');
END
  verify
  sql <<'END'
insert into calls select i, i % 3, i % 900 from generate_series(30001, 31000) i;
update calls set ms = ms * 2 where id % 50 = 0;
delete from calls where host = 4 and id % 3 = 0;
END
}
