title=pgaudit
package=postgresql-$major-pgaudit
tested='`pgaudit.log = all` with relations and parameters, in sessions and in workers'
notes='The statements of refreshes are logged like all others.'

scenario() {
  sql <<'END'
create extension pgaudit;
alter database near_pgaudit set pgaudit.log = 'all';
alter database near_pgaudit set pgaudit.log_relation = on;
alter database near_pgaudit set pgaudit.log_parameter = on;
END
  sql <<'END'
create table orders (id int primary key, region int not null, amount int not null);
insert into orders select i, i % 10, i from generate_series(1, 1000) i;
select pgtrickle.create_stream_table('revenue', 'select region, sum(amount) as total from orders group by region', '0s');
select pgtrickle.create_stream_table('big', 'select region from revenue where total > 40000', '0s');
END
  verify
  sql <<'END'
update orders set amount = amount * 2 where id % 7 = 0;
delete from orders where id % 9 = 0;
alter table orders add column note text;
truncate orders;
insert into orders select i, i % 3, i from generate_series(1, 100) i;
END
  verify
  grep -q 'AUDIT: SESSION.*public.orders' "$log" || wrong 'the log shows no audit'
}
