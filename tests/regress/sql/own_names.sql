-- Indexes of the extension are found by their definition, under any name of the table or of other indexes.
set client_min_messages = warning;
create table t (g int, v int);
insert into t values (1, 1), (1, 2), (2, 5);

-- Another index has the name that the extension's index would get.
select pgtrickle.create_stream_table('x1', 'select g, count(*) as n from t group by g', '1h');
alter table x1 rename to x2;
create table other (a int);
create unique index x2_identity on other (a);
select pgtrickle.alter_stream_table('x2', query => 'select g, sum(v) as n from t group by g');
insert into t values (2, 1);
select pgtrickle.refresh_stream_table('x2');
select * from x2 order by g;
select indexrelid::regclass as index, indrelid::regclass as of from pg_index where indrelid in ('x2'::regclass, 'other'::regclass) order by 2, 1;

-- Two tables swap their names.
select pgtrickle.create_stream_table('a', 'select g, count(*) as n from t group by g', '1h');
select pgtrickle.create_stream_table('b', 'select v, count(*) as n from t group by v', '1h');
alter table a rename to c;
alter table b rename to a;
alter table c rename to b;
select pgtrickle.alter_stream_table('a', query => 'select v, 2 * count(*) as n from t group by v');
select pgtrickle.alter_stream_table('b', query => 'select g, 3 * count(*) as n from t group by g');
insert into t values (1, 1);
select pgtrickle.refresh_stream_table('a'), pgtrickle.refresh_stream_table('b');
select * from a order by v;
select * from b order by g;
select c.relname as table, count(*) as indexes from pg_index i join pg_class c on c.oid = i.indrelid
 where i.indrelid in ('a'::regclass, 'b'::regclass) group by 1 order by 1;

-- The former name of a renamed table.
select pgtrickle.create_stream_table('s', 'select g, count(*) as n from t group by g', '1h');
alter table s rename to s_old;
select pgtrickle.create_stream_table('s', 'select g, count(*) as n from t group by g', '1h');
select relname from pg_class where relname ~ '^s_.*identity' order by 1;

-- Another schema.
create schema elsewhere;
alter table s set schema elsewhere;
insert into t values (3, 3);
select pgtrickle.refresh_stream_table('elsewhere.s'), pgtrickle.refresh_stream_table('s_old');
select count(*) from ((table elsewhere.s except all table s_old) union all (table s_old except all table elsewhere.s)) d;

-- An index of the extension is dropped only together with its table. An index that is needed again is reused, as other objects may
-- depend on it.
drop index s_old_identity;
-- expect-error
create table u (id int primary key, v int);
insert into u values (1, 1), (2, 2);
select pgtrickle.create_stream_table('keyed', 'select id, v from u', '1h');
create table refers (id int references keyed (id) deferrable initially deferred);
insert into refers values (1);
select pgtrickle.alter_stream_table('keyed', query => 'select id, v + 1 as v from u');
insert into refers values (7);
-- expect-error
select conrelid::regclass, confrelid::regclass from pg_constraint where contype = 'f' and confrelid = 'keyed'::regclass;
select * from keyed order by id;
