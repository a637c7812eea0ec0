-- What wide queries read, in the first schema of the search path: current_setting('bench.rows') sales, a table of one row,
-- fifty facts with nine dimensions, and fifty tables to join in a chain.

create table sales (
  id bigint primary key,
  quantity integer,
  discount numeric(7, 2),
  paid numeric(7, 2)
);

insert into sales
select i, i * 7919 % 100 + 1, (i * 104729 % 100000) / 100.0, (i * 1299709 % 2000000) / 100.0
from generate_series(1, current_setting('bench.rows')::bigint) i;

create table reason (id integer primary key);
insert into reason values (1);

create table facts (id integer primary key, d1 integer, d2 integer, d3 integer, d4 integer, d5 integer, d6 integer,
                    d7 integer, d8 integer, d9 integer);
insert into facts select i, i, i, i, i, i, i, i, i, i from generate_series(1, 50) i;

do $$
begin
  for n in 1..9 loop
    execute format('create table d%s (id integer primary key, name text)', n);
    execute format('insert into d%s select i, ''name '' || i from generate_series(1, 50) i', n);
    execute format('create index on facts (d%s)', n);
  end loop;
  for n in 1..50 loop
    execute format('create table link%s (id integer primary key, next integer, v integer)', n);
    execute format('insert into link%s select i, i, i from generate_series(1, 10) i', n);
    execute format('create index on link%s (next)', n);
  end loop;
end
$$;
