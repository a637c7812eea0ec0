-- A tree of current_setting('bench.rows') nodes in the first schema of the search path: every node has ten
-- children, in the order of their numbers, until they run out.

create table nodes (
  id integer primary key,
  parent integer references nodes,
  name text not null
);

insert into nodes
select i, case when i > 1 then (i + 8) / 10 end, 'node ' || i
from generate_series(1, current_setting('bench.rows')::integer) i;

create index on nodes (parent);
