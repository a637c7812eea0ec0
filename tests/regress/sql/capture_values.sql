-- Values of every size and shape are captured as they were written.
\set ECHO none
\i tests/regress/preamble.sql
\set ECHO all
create table t (
  id integer primary key, small "char", flag boolean, two smallint, eight bigint, f4 real, f8 double precision,
  n numeric, name name, x text, c char(5), v varchar(10), by bytea, u uuid, ts timestamptz, iv interval,
  r int4range, arr text[], vec oidvector, j jsonb, inet inet, bits bit(12), huge text, plain text, elsewhere text, other text);
alter table t alter plain set storage plain, alter elsewhere set storage external, alter huge set storage external;
call follow('v', 'select id, small, flag, two, eight, f4, f8, n, name, x, c, v, by, u, ts, iv, r, arr, vec, j, inet, bits, huge, plain, elsewhere from t');

insert into t (id) values (0);
insert into t values (1, 'c', true, -2, -8, 'NaN', '-Infinity', 'NaN', 'a name', '', 'ab', 'é', '\x00ff', '00000000-0000-0000-0000-000000000001',
  '2020-02-02 02:02:02+02', '1 mon -3 days 00:00:01.5', '[1,5)', '{a,NULL,"b c"}', '1 2 3', '{"a": [1, null]}', '10.0.0.1/8', B'101010101010', 'h', 'p', 'e', 'o');
select refreshed('v');

-- Lengths around the limits: of a short header, of a chunk, of a page.
insert into t (id, x, huge) select g, repeat('x', g), repeat('y', 8150 - g)
  from unnest(array[2, 3, 5, 124, 125, 126, 127, 128, 129, 130, 2030, 4000, 8000, 8050, 8060, 8070, 8080, 8090, 8091,
                    8092, 8093, 8094, 8095, 8096, 8097, 8098, 8099, 8100, 8101, 8102, 8103, 8104, 8105, 8106, 8107, 8108,
                    8109, 8110, 8111, 8112, 8113, 8114, 8120, 8140, 8149]) g;
select refreshed('v');
update t set x = x || 'x', huge = null where id > 8000;
select refreshed('v');

-- Compressed, out of line, both; far longer than a page. None is read when it did not change.
insert into t (id, x, huge, elsewhere) select 10000 + g, repeat('compressible ', 5000), repeat(md5(g::text), 5000), repeat(md5(g::text), 100 * g)
  from generate_series(1, 20) g;
select refreshed('v');
update t set other = 'not read' where id > 10000;
select refreshed_how('v');
update t set two = 2 where id > 10000;
select refreshed('v');
update t set huge = huge || 'more', plain = repeat('p', 5000) where id % 3 = 0;
select refreshed('v');
delete from t where id > 10010;
select refreshed('v');
select count(*), sum(length(huge)), sum(length(elsewhere)), sum(length(x)), sum(length(plain)) from v;
vacuum t;
update t set id = -id;
select refreshed('v');

-- More than eight columns with every pattern of NULLs.
create table sparse (a integer, b text, c bigint, d boolean, e numeric, f text, g "char", h double precision, i text, j smallint);
call follow('vs', 'select a, b, c, d, e, f, g, h, i, j from sparse');
insert into sparse
select case when m & 1 = 0 then m end, case when m & 2 = 0 then repeat('b', m % 200) end, case when m & 4 = 0 then m end,
       case when m & 8 = 0 then m % 3 = 0 end, case when m & 16 = 0 then m / 7.0 end, case when m & 32 = 0 then 'f' end,
       case when m & 64 = 0 then 'g' end, case when m & 128 = 0 then m / 3.0 end, case when m & 256 = 0 then 'i' || m end,
       case when m & 512 = 0 then m end
  from generate_series(0, 1023) m;
select refreshed('vs');
update sparse set (a, b, c) = (c, f, a) where j is not null;
delete from sparse where a % 5 = 0;
select refreshed('vs');

-- A composite, a domain, an enum, an array of each.
create type pair as (x integer, y text);
create domain positive as integer check (value > 0);
create type colour as enum ('red', 'green');
create table own (p pair, ps pair[], n positive, ns positive[], c colour, cs colour[]);
call follow('vo', 'select p, ps, n, ns, c, cs from own');
insert into own values ((1, repeat('y', 3000)), array[(1, 'a')::pair, null], 5, '{5,6}', 'red', '{red,green}'), (null, null, null, null, null, null);
insert into own select (g, repeat(md5(g::text), 400))::pair, array[(g, repeat(md5(g::text), 400))::pair], g, array[g], 'green', '{}' from generate_series(1, 30) g;
select refreshed('vo');
update own set n = n + 1, p = null where n > 10;
select refreshed('vo');
