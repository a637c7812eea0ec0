-- From a table to a stream table that follows it, as a new user would type it.
create table orders (id int primary key, customer text not null, amount numeric(10, 2) not null);
insert into orders values (1, 'ada', 10), (2, 'ada', 5.50), (3, 'bob', 7);

select pgtrickle.create_stream_table('spent', 'select customer, count(*) as orders, sum(amount) as amount from orders group by customer', schedule => '1s');
select * from spent order by customer;
\d spent

-- The sources are written as before.
insert into orders values (4, 'cy', 1);
update orders set amount = amount * 2 where id = 3;
delete from orders where customer = 'ada' and amount < 6;

-- The workers refresh it within a second; this does it at once.
select pgtrickle.refresh_stream_table('spent');
select * from spent order by customer;

-- It is read like any table, and cannot be written.
create view loyal as select * from spent where orders > 1;
-- expect-error
insert into spent values ('dan', 1, 1);
-- expect-error
update spent set amount = 0;

-- Its history.
select name, status, refresh_mode, schedule, is_populated, consecutive_errors, full_reason from pgtrickle.pgt_status();
select sum(rows_inserted) as inserted, sum(rows_updated) as updated, sum(rows_deleted) as deleted, count(error) as errors
  from pgtrickle.get_refresh_history('spent', 10);

-- Another query with the same columns, in place.
select pgtrickle.alter_stream_table('spent', query => 'select customer, count(*) as orders, max(amount)::numeric as amount from orders group by customer');
-- expect-error
select pgtrickle.alter_stream_table('spent', query => 'select customer from orders');

-- A source cannot be dropped without the stream table; CASCADE drops both.
-- expect-error
drop table orders;
-- expect-error
select pgtrickle.drop_stream_table('spent');
select pgtrickle.drop_stream_table('spent', cascade => true);
select count(*) from pgtrickle.pgt_status();
select count(*) from pg_trigger where tgrelid = 'orders'::regclass;
