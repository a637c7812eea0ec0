-- Window functions: a change recomputes its partition, and writes the rows whose values changed.
\set ECHO none
\i tests/regress/preamble.sql
\set ECHO all
create table scores (player text primary key, team text, points int);
insert into scores values ('ada', 'red', 7), ('bob', 'red', 5), ('cyd', 'blue', 7), ('dan', null, 1), ('eve', null, 2);
call follow('ranks', 'select player, team, rank() over (partition by team order by points desc) as place from scores', 'DIFFERENTIAL');
call follow('overall', 'select player, row_number() over (order by points desc, player) as place, points - avg(points) over () as above from scores', 'DIFFERENTIAL');
call follow('steps', 'select player, points - lag(points, 1, 0) over w as step, sum(points) over (w rows 1 preceding) as two, count(*) over (partition by points) as alike from scores window w as (partition by team order by player)', 'DIFFERENTIAL');
call follow('teams', 'select team, sum(points) as points, dense_rank() over (order by sum(points) desc) as place from scores group by team', 'DIFFERENTIAL');
call follow('best', 'select player, team from (select player, team, row_number() over (partition by team order by points desc, player) as r from scores) x where r = 1', 'DIFFERENTIAL');
-- A bound on the rank retains the first rows of each partition; rows of the same rank count as one.
call follow('podium', 'select player, team, place from (select player, team, rank() over (partition by team order by points desc) as place from scores) x where place <= 2 and team <> ''blue''', 'DIFFERENTIAL');
select law from pgtrickle.explain_stream_table('podium') law where law ~ '[τω] ';
select * from ranks order by team, place, player;
select * from steps order by player;

update scores set points = 9 where player = 'bob';
update scores set points = 3 where player = 'dan';
select refreshed_how('ranks'), refreshed_how('overall'), refreshed_how('steps'), refreshed_how('teams'), refreshed_how('best'), refreshed_how('podium');
select * from ranks order by team, place, player;
select * from overall order by place;
select * from steps order by player;
select * from teams order by place, team;
select * from best order by player;
select * from podium order by place, player;
-- The blue team is not read, and rows that keep their rank are not written.
select rows_inserted, rows_updated, rows_deleted from pgtrickle.get_refresh_history('ranks', 1);

-- Rows move between partitions, to the one without a name too.
update scores set team = null where player = 'ada';
insert into scores values ('fay', 'blue', 7), ('gus', 'red', 9), ('hal', 'red', 9);
delete from scores where player = 'dan';
select refreshed_how('ranks'), refreshed_how('overall'), refreshed_how('steps'), refreshed_how('teams'), refreshed_how('best'), refreshed_how('podium');
select * from ranks order by team, place, player;
select * from best order by player;
select * from podium order by place, player;
truncate scores;
select refreshed_how('ranks'), refreshed_how('overall'), refreshed_how('teams');
select count(*) from ranks;

-- The rows of a partition share the hash by which an index finds them.
create table entries (id int primary key, team text not null, day int not null);
insert into entries select i, 'team ' || i % 5, i % 200 from generate_series(1, 4000) i;
call follow('running', 'select team, day, n, sum(n) over (partition by team order by day) as total from (select team, day, count(*) as n from entries group by team, day) q', 'DIFFERENTIAL');
set enable_seqscan = off; set enable_bitmapscan = off; set enable_hashjoin = off; set enable_mergejoin = off;
insert into entries values (4001, 'team 1', 50), (4002, 'team 2', 201), (4003, 'team 3', 103);
select refreshed_how('running');
reset enable_seqscan; reset enable_bitmapscan; reset enable_hashjoin; reset enable_mergejoin;

-- Partitions of several grouping sets are no longer those of one table.
-- expect-error
call follow('sets', 'select team, rank() over (order by sum(points)) as place from scores group by rollup (team)', 'DIFFERENTIAL');
