-- Four tables of a shop, whose changes twelve stream tables follow.
create table customers (id integer primary key, region text not null, name text not null);
create table products (id integer primary key, category text not null, price numeric(10, 2) not null);
create table orders (
  id bigint primary key, customer_id integer not null, product_id integer not null,
  quantity integer not null, amount numeric(12, 2) not null, status text not null
);
create table payments (id bigint primary key, order_id bigint not null, paid numeric(12, 2) not null);

insert into customers select i, 'region ' || i % 25, 'customer ' || i from generate_series(1, 2000) i;
insert into products select i, 'category ' || i % 40, 1 + i % 97 from generate_series(1, 500) i;
insert into orders
select i, 1 + i * 7 % 2000, 1 + i * 11 % 500, 1 + i % 9, 10 + i % 990, case when i % 10 = 0 then 'open' else 'sent' end
  from generate_series(1, 20000) i;
insert into payments select i, i, 5 + i % 400 from generate_series(1, 20000) i;

create index on orders (customer_id);
create index on orders (product_id);
create index on payments (order_id);
