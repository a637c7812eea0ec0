-- An order book of current_setting('bench.rows') orders, in the first schema of the search path, with
-- the keys and foreign-key indexes that people have. One customer has 10 orders, one product 100 on
-- average, and there are 100,000 values of `key` and 1,000 pairs of region and category, whatever the size.

create table customers (
  id integer primary key,
  name text not null,
  region text not null
);

create table products (
  id integer primary key,
  name text not null,
  category text not null
);

create table orders (
  id bigint primary key,
  customer_id integer not null references customers,
  product_id integer not null references products,
  key integer not null,
  quantity integer not null,
  amount numeric(12, 2) not null,
  status text not null,
  placed_at timestamptz not null
);

select setseed(0.25);

insert into customers
select i, 'customer ' || i, 'region ' || i % 25
from generate_series(1, current_setting('bench.rows')::integer / 10) i;

insert into products
select i, 'product ' || i, 'category ' || i % 40
from generate_series(1, current_setting('bench.rows')::integer / 100) i;

insert into orders
select
  i,
  1 + floor(random() * (current_setting('bench.rows')::integer / 10)),
  1 + floor(random() * (current_setting('bench.rows')::integer / 100)),
  i % 100000,
  1 + floor(random() * 10),
  round((random() * 1000)::numeric, 2),
  case when i % 10 = 0 then 'open' else (array['paid', 'packed', 'shipped', 'returned'])[1 + i % 4] end,
  timestamptz '2024-01-01 00:00+00' + i * interval '1 minute'
from generate_series(1, current_setting('bench.rows')::integer) i;

create index on orders (customer_id);
create index on orders (product_id);
