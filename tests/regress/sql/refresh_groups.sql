-- Refresh groups: stream tables that are not connected show one moment.
\set ECHO none
\i tests/regress/preamble.sql
\set ECHO all
create table orders (id int primary key, total int not null);
create table visits (id int primary key, page text not null);
insert into orders values (1, 10), (2, 20);
insert into visits values (1, 'home');
call follow('revenue', 'select sum(total) as total from orders');
call follow('pages', 'select page, count(*) as n from visits group by page');
call follow('largest', 'select max(total) as total from orders');
call follow('twice', 'select 2 * total as total from largest');

-- expect-error
select pgtrickle.create_refresh_group(null, 'revenue', 'pages');
-- expect-error
select pgtrickle.create_refresh_group('dashboard', null);
-- expect-error
select pgtrickle.create_refresh_group('dashboard', 'revenue', null);
-- expect-error
select pgtrickle.create_refresh_group('  ', 'revenue', 'pages');
-- expect-error
select pgtrickle.create_refresh_group('dashboard', 'revenue', 'public.revenue');
-- expect-error
select pgtrickle.create_refresh_group('dashboard', array[]::text[]);
-- expect-error
select pgtrickle.create_refresh_group('dashboard', 'revenue', 'missing');
-- expect-error
select pgtrickle.create_refresh_group('dashboard', 'revenue', 'orders');
-- expect-error
select pgtrickle.drop_refresh_group('dashboard');
create role group_stranger;
grant usage on schema pgtrickle to group_stranger;
set role group_stranger;
-- expect-error
select pgtrickle.create_refresh_group('dashboard', 'revenue', 'pages');
reset role;

-- It shows one moment from its creation on; a refresh of one is a refresh of all.
insert into orders values (3, 30);
select pgtrickle.create_refresh_group('dashboard', 'revenue', 'pages');
select check_stream_table('revenue'), (select total from largest);
insert into orders values (4, 40);
insert into visits values (2, 'home');
select refreshed_how('pages'), check_stream_table('revenue'), (select total from largest);
select count(distinct data_timestamp) from pgtrickle.pgt_seen join pgtrickle.pgt_stream_tables using (pgt_id)
 where refresh_group = 'dashboard';
select name, refresh_group, waits_for, together_ms > 0 as together from pgtrickle.pgt_status();
select split_part(line, ':', 1) from pgtrickle.explain_stream_table('pages') line where line ~ 'moment';
select j -> 'refresh_group' as "group", j -> 'moment' -> 'with' as "with"
  from (select pgtrickle.explain_stream_table('pages', format => 'json')::jsonb) x(j);
-- A table whose sources did not change shows the moment of the others, too.
insert into visits values (3, 'shop');
select refreshed_how('revenue'), check_stream_table('pages');
select count(distinct data_timestamp) from pgtrickle.pgt_seen join pgtrickle.pgt_stream_tables using (pgt_id)
 where refresh_group = 'dashboard';

-- expect-error
select pgtrickle.create_refresh_group('dashboard', 'largest', 'twice');
-- expect-error
select pgtrickle.create_refresh_group('other', 'largest', 'pages');
set role group_stranger;
-- expect-error
select pgtrickle.drop_refresh_group('dashboard');
reset role;

-- A paused table holds the others back in the background; by hand all are refreshed.
select pgtrickle.alter_stream_table('revenue', status => 'PAUSED');
select name, status, waits_for from pgtrickle.pgt_status() where refresh_group = 'dashboard';
select line from pgtrickle.explain_stream_table('pages') line where line ~ 'waits';
insert into orders values (5, 50);
select refreshed('pages'), check_stream_table('revenue');
select pgtrickle.resume_stream_table('revenue');

-- A new definition stays in the group, and so does a table with another name.
select pgtrickle.create_or_replace_stream_table('revenue', 'select sum(total) as total, count(*) as n from orders');
alter table pages rename to visited;
insert into orders values (6, 60);
insert into visits values (4, 'shop');
select refreshed('visited'), check_stream_table('revenue');
-- A member that is dropped leaves it.
select pgtrickle.drop_stream_table('revenue');
select name, refresh_group from pgtrickle.pgt_status() where refresh_group is not null;
select pgtrickle.drop_refresh_group('dashboard');
-- With those that move with a member: a change of one that nothing connects.
select pgtrickle.create_refresh_group('all', array['visited', 'twice']);
insert into orders values (7, 70);
insert into visits values (5, 'home');
select refreshed('visited'), check_stream_table('twice'), check_stream_table('largest');
revoke usage on schema pgtrickle from group_stranger;
drop role group_stranger;
