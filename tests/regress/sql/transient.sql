-- Transient errors are retried, however often they occur; errors in the data suspend the table.
\set ECHO none
\i tests/regress/preamble.sql
reset client_min_messages;
\set ECHO all
create table t (id int primary key, code text);
create function fail(code text) returns text immutable language plpgsql as $$
begin
  if code <> 'none' then
    raise exception using errcode = code, message = 'as asked';
  end if;
  return code;
end $$;
-- Each code in a stream table of its own.
create table codes (code text primary key, expected text);
insert into codes values
  ('08006', 'ACTIVE'), ('08001', 'ACTIVE'), ('40001', 'ACTIVE'), ('40003', 'ACTIVE'), ('40P01', 'ACTIVE'),
  ('53000', 'ACTIVE'), ('53100', 'ACTIVE'), ('53200', 'ACTIVE'), ('53300', 'ACTIVE'), ('53400', 'ACTIVE'),
  ('55P03', 'ACTIVE'), ('55006', 'ACTIVE'), ('57P03', 'ACTIVE'), ('58000', 'ACTIVE'), ('58030', 'ACTIVE'),
  ('58P01', 'ACTIVE'), ('72000', 'ACTIVE'), ('HV00N', 'ACTIVE'),
  ('22012', 'SUSPENDED'), ('22P02', 'SUSPENDED'), ('23505', 'SUSPENDED'), ('55000', 'SUSPENDED'), ('P0001', 'SUSPENDED'),
  ('42501', 'SUSPENDED');
select count(pgtrickle.create_stream_table('st_' || code,
  format($$select id, fail(case when code = %L then code else 'none' end) as f from t$$, code), '0s')) from codes;
insert into t select row_number() over (), code from codes;
select wait_until($$(select count(*) = 6 from pgtrickle.pgt_status() where status = 'SUSPENDED')$$);
select wait_until($$not exists (select from codes c join pgtrickle.pgt_status() s on upper(s.name) like '%' || c.code || '%'
  where c.expected = 'ACTIVE' and s.last_error is null)$$);
select c.code, expected, s.status, s.consecutive_errors > 0 as counted, s.last_error
  from codes c join pgtrickle.pgt_status() s on upper(s.name) like '%' || c.code || '%' order by c.code;
-- Once the cause has ended.
create or replace function fail(code text) returns text immutable language sql return code;
select count(pgtrickle.refresh_stream_table(name)) from pgtrickle.pgt_status() where status = 'ACTIVE';
select count(*) from pgtrickle.pgt_status() where status = 'ACTIVE' and last_error is null;
