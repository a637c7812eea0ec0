-- A refresh that is run to be measured, and rolled back: nothing of it remains.
\set ECHO none
\i tests/regress/preamble.sql
-- The measured lines, without the times.
create function analyzed(name text) returns setof text language sql as $$
  select regexp_replace(line, ' +\d+\.\d{3}', ' #', 'g')
    from pgtrickle.explain_stream_table(name, "analyze" => true) with ordinality as e (line, place)
   where place >= (select min(place) from pgtrickle.explain_stream_table(name) with ordinality as e (line, place) where line like 'cost%')
     and line !~ 'O\(|^cost| ms +rows' order by place
$$;
-- Everything that a refresh could leave: what is counted, each row of our tables and of stream tables, with its place and its transaction.
create function everything() returns text language plpgsql as $$
declare
  relation regclass;
  rows text;
  digest text := (select md5(string_agg(concat_ws(' ', relname, differential_count, full_count, reinitialize_count, no_data_count, skipped_count,
                                                  error_count, n_tup_ins, n_tup_upd, n_tup_del, n_change_rows, total_refresh_time),
                                        ',' order by relid))
                    from pgtrickle.pg_stat_stream_tables
                   where differential_count + full_count + reinitialize_count + no_data_count + skipped_count + error_count > 0);
begin
  for relation in
    select c.oid from pg_class c
     where c.relkind = 'r' and (c.relnamespace in ('pgtrickle'::regnamespace, 'pgtrickle_state'::regnamespace, 'pgtrickle_changes'::regnamespace)
                                or c.oid in (select pgt_relid from pgtrickle.pgt_stream_tables))
     order by c.oid::regclass::text
  loop
    execute format('select coalesce(string_agg(concat_ws('' '', ctid, xmin, t::text), '','' order by ctid), '''') from %s t', relation) into rows;
    digest := md5(digest || relation || rows);
  end loop;
  return digest;
end $$;
\set ECHO all
\pset format unaligned
\pset tuples_only on
create table customers (id int primary key, region text not null);
create table orders (id int primary key, customer int not null, total numeric);
insert into customers select i, 'region ' || i % 3 from generate_series(1, 9) i;
insert into orders select i, i % 9 + 1, i from generate_series(1, 30) i;
call follow('totals', 'select customer, count(*) as n, sum(total) as total from orders group by customer', 'DIFFERENTIAL');
call follow('best', 'select c.region, max(t.total) as most from customers c join totals t on t.customer = c.id group by c.region', 'DIFFERENTIAL');
-- Nothing to do.
select analyzed('best');
insert into orders values (31, 1, 100), (32, 2, 5);
delete from orders where id in (3, 4);
update orders set total = total + 1 where id = 5;
select everything() as before \gset
select analyzed('best');
select analyzed('totals');
select everything() = :'before' as nothing_remains;
-- The next refresh has all of it to do.
select refreshed_how('best');
select refreshed_how('totals');
-- Of a transaction's own changes, too, in a subtransaction as well.
begin;
insert into orders values (33, 1, 7);
select analyzed('totals');
savepoint a;
delete from orders where id = 1;
select analyzed('totals');
rollback to a;
select analyzed('totals');
commit;
select refreshed_how('totals'), refreshed_how('best');
-- Recomputing, filling, and building anew.
call follow('whole', 'select id, total from orders where total > 10', 'FULL');
update orders set total = 50 where id = 8;
select analyzed('whole');
begin;
select pgtrickle.create_stream_table('later', 'select id, customer from orders', '1d', 'DIFFERENTIAL', false);
select pgtrickle.alter_stream_table('later', status => 'PAUSED');
commit;
select everything() as before \gset
select analyzed('later');
select everything() = :'before' as nothing_remains;
select refreshed_how('later');
alter table orders alter customer drop not null;
select everything() as before \gset
select line from pgtrickle.explain_stream_table('totals', "analyze" => true) line where line like 'will be%';
select everything() = :'before' as nothing_remains;
select refreshed_how('totals'), refreshed_how('later');
-- The error of a refresh that fails is its error, and is not counted as a failure.
call follow('shares', 'select id, 100 / customer as share from orders', 'DIFFERENTIAL');
insert into orders values (40, 0, 0);
select everything() as before \gset
select outcome($$select pgtrickle.explain_stream_table('shares', "analyze" => true)$$);
select everything() = :'before' as nothing_remains;
select name, status, consecutive_errors, last_error from pgtrickle.pgt_status() where name = 'public.shares';
delete from orders where id = 40;
select refreshed('shares');
-- It needs the right to refresh, and a transaction that may write.
create role explain_analyze_reader;
set role explain_analyze_reader;
select count(*) > 0 as explained from pgtrickle.explain_stream_table('public.totals');
select outcome($$select pgtrickle.explain_stream_table('public.totals', "analyze" => true)$$);
reset role;
drop role explain_analyze_reader;
begin read only;
select count(*) > 0 as explained from pgtrickle.explain_stream_table('totals');
select outcome($$select pgtrickle.explain_stream_table('totals', "analyze" => true)$$);
commit;
