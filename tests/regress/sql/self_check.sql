-- A creation that is cancelled, or waits for a lock, at any moment of its analysis fails: it never makes a table that is always
-- recomputed. The check of a domain runs whenever a literal of it is read, and raises the error at the nth time.
\set ECHO none
\i tests/regress/preamble.sql
\set ECHO all
create table t (id int primary key, v int);
insert into t values (1, 1), (2, 3);
create sequence times;
create table moment (nth int, code text);
create function judge(int) returns boolean language plpgsql immutable set search_path = public as $$
begin
  if nextval('times') = (select nth from moment) then
    raise exception 'now' using errcode = (select code from moment);
  end if;
  return true;
end $$;
create domain d as int check (judge(value));
create function attempt(nth int, code text) returns text language plpgsql as $$
declare
  why text;
begin
  truncate moment;
  insert into moment values (nth, code);
  perform setval('times', 1, false);
  begin
    perform pgtrickle.create_stream_table('s', 'select id, v = any (''{1,2}''::d[]) as known from t', '1d');
  exception when query_canceled or lock_not_available then
    return sqlstate || ', no table: ' || (to_regclass('s') is null)::text;
  end;
  truncate moment;
  select coalesce(full_reason, 'incremental') into why from pgtrickle.pgt_stream_tables where pgt_relid = 's'::regclass;
  perform pgtrickle.drop_stream_table('s');
  return why;
end $$;
create function attempts(code text) returns table (outcome text, several boolean) language sql as $$
  select a, count(*) > 1 from generate_series(1, 40) n, attempt(n, code) a group by a order by a
$$;
select * from attempts('57014');
select * from attempts('55P03');
select attempt(0, '57014');
