-- The document for programs: its fields, and what they hold.
\set ECHO none
\i tests/regress/preamble.sql
create function explained(name text, details bool default false, measured bool default false) returns jsonb language sql as $$
  select line::jsonb from pgtrickle.explain_stream_table(name, details, measured, 'json') line
$$;
-- Each path of a document with the type of its value; elements of arrays share a path.
create function shape(of jsonb) returns table (path text, type text) language sql as $$
  with recursive walk(path, value) as (
    values ('', of)
    union all
    select w.path || x.step, x.value from walk w cross join lateral (
      select '.' || key as step, value from jsonb_each(case jsonb_typeof(w.value) when 'object' then w.value end)
      union all
      select '[]', value from jsonb_array_elements(case jsonb_typeof(w.value) when 'array' then w.value end)) x
  )
  select path, string_agg(distinct jsonb_typeof(value), ' or ' order by jsonb_typeof(value)) from walk where path <> '' group by path
$$;
\set ECHO all
create table customers (id int primary key, region text not null);
create table orders (id int primary key, customer int not null, total numeric);
insert into customers select i, 'region ' || i % 7 from generate_series(1, 20) i;
insert into orders select i, i % 20 + 1, i from generate_series(1, 3000) i;
analyze customers, orders;
call follow('joined', 'select c.region, o.total from orders o join customers c on c.id = o.customer', 'DIFFERENTIAL');
-- One row, whatever is asked for.
select count(*) from pgtrickle.explain_stream_table('joined', format => 'json');
select count(*) from pgtrickle.explain_stream_table('joined', true, true, 'JSON');
select * from shape(explained('joined')) where path !~ 'inputs.*inputs' order by path collate "C";
select d ->> 'name' as name, d ->> 'refresh_mode' as mode, d ->> 'schedule' as schedule, d -> 'identity' as identity,
       d -> 'missing_indexes' as missing_indexes
  from explained('joined') d;
select c ->> 'source' as source, c ->> 'class' as class, c -> 'rarely' as rarely, c ->> 'missing_index' as missing_index
  from explained('joined') d, jsonb_array_elements(d -> 'cost') c;
select d #>> '{operators,operator}' as top, d #>> '{operators,inputs,0,law}' as below from explained('joined') d;
-- With more asked for, there are more fields.
select key from jsonb_object_keys(explained('joined', true, true)) key except select jsonb_object_keys(explained('joined')) order by key;
select * from shape(explained('joined', true)) where path ~ '^.(nodes|statements)' and path !~ 'inputs' order by path collate "C";
insert into orders values (9001, 1, 1), (9002, 2, 2);
select * from shape(explained('joined', false, true)) where path ~ '^.analyze' order by path collate "C";
select a ->> 'action' as action, a ->> 'delta_rows' as delta_rows, a ->> 'rows_inserted' as inserted,
       a ->> 'rows_updated' as updated, a ->> 'rows_deleted' as deleted, a -> 'upstream' as upstream
  from explained('joined', false, true) d, lateral (select d -> 'analyze' as a) x;
select s ->> 'table' as table, s ->> 'statement' as statement, s ->> 'law' as law, s ->> 'rows' as rows
  from explained('joined', false, true) d, jsonb_array_elements(d #> '{analyze,statements}') s;
-- What is not known is null.
call follow('ranked', 'select id, count(*) over (order by total rows unbounded preceding exclude ties) as place from orders');
select d - 'name' - 'schedule' - 'refresh_mode' - 'moment' as others from explained('ranked') d;
call follow('aged', 'select id, customer from orders');
alter table orders alter customer drop not null;
select d -> 'rebuild_reason' as rebuild_reason, d -> 'operators' as operators, d -> 'cost' as cost from explained('aged') d;
-- The last choice.
call follow('summed', 'select customer, sum(total) as total from orders group by customer');
select explained('summed') -> 'last_choice' as last_choice;
insert into orders values (9003, 1, 1);
select refreshed('summed');
select c ->> 'action' in ('FULL', 'DIFFERENTIAL') as action, c ->> 'reason' <> '' as reason, (c ->> 'delta_ms')::numeric > 0 as delta, (c ->> 'full_ms')::numeric > 0 as full
  from explained('summed') d, lateral (select d -> 'last_choice' as c) x;
