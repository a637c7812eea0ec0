-- What is called from the benches and must run inside the server.

create function bench_refresh(name text) returns double precision
language plpgsql as $$
declare
  began timestamptz := clock_timestamp();
begin
  perform pgtrickle.refresh_stream_table(name);
  return extract(epoch from clock_timestamp() - began) * 1000;
end
$$;
comment on function bench_refresh(text) is 'refreshes a stream table; milliseconds, without the commit';

create function bench_recompute(query text, answer text) returns double precision
language plpgsql as $$
declare
  began timestamptz := clock_timestamp();
begin
  execute format('create temporary table %I as %s', answer, query);
  return extract(epoch from clock_timestamp() - began) * 1000;
end
$$;
comment on function bench_recompute(text, text) is 'what a query answers, as a table; milliseconds, without the commit';
