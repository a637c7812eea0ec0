-- Shared functions. Read with \i; creates everything in the schema `public`.
set client_min_messages = warning;

-- 'exact', or an error: a table against a query, as multisets.
create function check_against(name text, query text) returns text language plpgsql as $$
declare
  extra bigint;
  missing bigint;
begin
  execute format('select (select count(*) from (select * from %1$s except all (%2$s)) x),
                         (select count(*) from ((%2$s) except all select * from %1$s) x)',
                 name::regclass, query) into extra, missing;
  if extra + missing > 0 then
    raise exception '% differs from its query: % rows too many, % missing', name, extra, missing;
  end if;
  return 'exact';
end $$;

-- The same for a stream table and its defining query.
create function check_stream_table(name text) returns text language plpgsql as $$
declare
  definition regclass;
begin
  select t.definition into strict definition
    from pgtrickle.pgt_stream_tables t where t.pgt_relid = name::regclass;
  return check_against(name, 'select * from ' || definition);
end $$;

-- Refreshes, then checks.
create function refreshed(name text) returns text language plpgsql as $$
begin
  perform pgtrickle.refresh_stream_table(name);
  return check_stream_table(name);
end $$;

-- The last refresh of all.
create function last_refresh() returns bigint language sql as $$
  select coalesce(max(refresh_id), 0) from pgtrickle.pgt_refresh_history
$$;

-- The refreshes of a stream table after that one: action, rows inserted, deleted and updated, formatted by `shape`.
create function done_since(before bigint, name text, shape text) returns text language sql as $$
  select coalesce(string_agg(format(shape, h.action, h.rows_inserted, h.rows_deleted, h.rows_updated), ', ' order by h.refresh_id),
                  'NO_DATA')
    from pgtrickle.pgt_refresh_history h join pgtrickle.pgt_stream_tables t using (pgt_id)
   where h.refresh_id > before and t.pgt_relid = name::regclass
$$;

-- Refreshes, checks, and returns the action of the refresh: 'exact after DIFFERENTIAL'.
create function refreshed_how(name text) returns text language plpgsql as $$
declare
  before bigint := last_refresh();
  verdict text := refreshed(name);
begin
  return verdict || ' after ' || done_since(before, name, '%s');
end $$;

-- A stream table that only the test refreshes. Its schedule is that of no other, so that it shows a moment of its own.
create procedure follow(name text, query text, mode text default 'AUTO') language plpgsql as $$
declare
  own text := (select 1 + coalesce(max(pgt_id), 0) from pgtrickle.pgt_stream_tables) || 'd';
begin
  perform pgtrickle.create_stream_table(name, query, schedule => own, refresh_mode => mode);
end $$;

-- Refreshes each of the table `queries`, which must follow its changes.
create procedure follow_every() language plpgsql as $$
declare
  one text;
begin
  for one in select name from queries loop
    if refreshed_how(one) not in ('exact after DIFFERENTIAL', 'exact after NO_DATA') then
      raise exception '% was not followed', one;
    end if;
  end loop;
end $$;

-- Runs a command: 'done', or the error with its SQLSTATE, message, detail and hint.
create function outcome(command text) returns text language plpgsql as $$
declare
  detail text;
  hint text;
begin
  execute command;
  return 'done';
exception when others then
  get stacked diagnostics detail = pg_exception_detail, hint = pg_exception_hint;
  return concat_ws(' | ', sqlstate, sqlerrm, nullif(detail, ''), nullif(hint, ''));
end $$;

-- Polls until a condition holds; false when it does not within five minutes, which is a hang on any machine.
create function wait_until(condition text) returns bool language plpgsql as $$
declare
  met bool;
begin
  for i in 1..6000 loop
    execute 'select ' || condition into met;
    if met then
      return true;
    end if;
    perform pg_sleep(0.05);
  end loop;
  return false;
end $$;
