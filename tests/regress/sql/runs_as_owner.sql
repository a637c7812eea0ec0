-- A query is analysed, described, explained, built anew and run as the owner of its stream table, in every command: the check
-- of a domain, which runs when a literal is read, never runs with other rights.
create role runs_as_owner_owner;
create schema lab;
grant create, usage on schema lab to runs_as_owner_owner;
create table lab.ran (as_role text);
grant insert, select on lab.ran to public;
set role runs_as_owner_owner;
create function lab.note() returns bool language plpgsql as $$
begin
  insert into lab.ran values (current_user);
  perform set_config('search_path', 'lab, pg_catalog', false), set_config('DateStyle', 'German', false);
  begin
    create role runs_as_owner_thief superuser;
  exception when others then null;
  end;
  return true;
end $$;
create function lab.spy(v int) returns bool immutable language plpgsql as $$ begin return lab.note(); end $$;
create domain lab.d as int check (lab.spy(value));
create table lab.mine (id int primary key, v int);
insert into lab.mine values (1, 1), (2, 2);
\set query 'select id, v, ''{1,2}''::lab.d[] as a from lab.mine where v = any (''{1,2,3}''::lab.d[])'
select pgtrickle.create_stream_table('lab.st', :'query', '1d');
table lab.st order by id;
-- Other roles and a superuser explain, alter and refresh it.
reset role;
select count(*) > 0 as explained from pgtrickle.explain_stream_table('lab.st', verbose => true);
select pgtrickle.alter_stream_table('lab.st', query => :'query' || ' and id > 0');
select pgtrickle.create_or_replace_stream_table('lab.st', :'query' || ' and id > -1');
insert into lab.mine values (3, 3);
select pgtrickle.refresh_stream_table('lab.st');
table lab.st order by id;
-- A superuser replaces a function that it uses, so that it is verified and rebuilt.
set role runs_as_owner_owner;
create or replace function lab.spy(v int) returns bool immutable language plpgsql as $$ begin return lab.note() and v is not null; end $$;
alter table lab.mine add column other int;
reset role;
select count(*) > 0 as explained from pgtrickle.explain_stream_table('lab.st', verbose => true);
select pgtrickle.refresh_stream_table('lab.st');
-- Parts of it: a node whose column is of the domain, an index over an expression of it.
set role runs_as_owner_owner;
select pgtrickle.create_stream_table('lab.grouped',
  'select count(*) as n from (select v::lab.d as w, sum(id) as s from lab.mine group by v::lab.d) q where s > 0', '1d');
reset role;
insert into lab.mine values (4, 4);
select pgtrickle.refresh_stream_table('lab.grouped');
table lab.grouped;
select is_equal from pgtrickle.verify_stream_table('lab.st');
-- Its SET ends with it: no session continues under its path.
select current_setting('search_path') as path, current_setting('DateStyle') as style;
select as_role, count(*) > 0 as often from lab.ran group by as_role;
select count(*) as thieves from pg_roles where rolname = 'runs_as_owner_thief';
drop schema lab cascade;
drop role runs_as_owner_owner;
