-- By what the rows are found, and what would make that a key: each answer is followed, and the identity is a key then.
\set ECHO none
\i tests/regress/preamble.sql
create function identity(name text) returns setof text language sql as $$
  select line from pgtrickle.explain_stream_table(name) line where line ~ '^identity|^  it would'
$$;
-- The same after a refresh, which builds the table anew where a constraint changed.
create function identity_after(name text) returns setof text language sql as $$
  select refreshed(name); select identity(name);
$$;
\set ECHO all
\pset format unaligned
\pset tuples_only on
create table loose (a int, b text, c int);
create table maybe (id int unique, v int);
create table keyed (id int primary key, v int, loose int);
insert into loose values (1, 'x', 1), (2, 'y', 1);
insert into maybe values (1, 1), (2, 2);
insert into keyed values (1, 1, 1), (2, 2, 1);
-- Nothing is better than these.
call follow('best', 'select id, v from keyed');
select identity('best');
call follow('one', 'select count(*) as n from loose');
select identity('one');
-- A primary key that is missing, on any of the columns.
call follow('bag', 'select a, b from loose');
select identity('bag');
alter table loose add primary key (b);
select identity_after('bag');
alter table loose drop constraint loose_pkey;
alter table loose add primary key (a, b);
select identity_after('bag');
alter table loose drop constraint loose_pkey;
alter table loose alter a drop not null, alter b drop not null;
select identity_after('bag');
-- Two of them.
create table loose_too as table loose;
call follow('pairs', 'select l.a, t.c from loose l join loose_too t on t.b = l.b');
select identity('pairs');
alter table loose add primary key (a);
select identity('pairs');
alter table loose_too add primary key (c, b);
alter table loose_too drop constraint loose_too_pkey;
update loose_too set c = a;
alter table loose_too add primary key (c);
select identity_after('pairs');
-- NOT NULL, which a unique index lacks.
call follow('nullable', 'select id, v from maybe');
select identity('nullable');
alter table maybe alter id set not null;
select identity_after('nullable');
alter table maybe alter id drop not null;
-- NOT NULL of a group's key; a text may be too long for an index, whatever the constraints.
call follow('groups', 'select v, count(*) as n from maybe group by v');
select identity('groups');
alter table maybe alter v set not null;
select identity_after('groups');
alter table maybe alter v drop not null;
call follow('texts', 'select b, count(*) as n from loose_too group by b');
select identity('texts');
alter table loose_too alter b set not null;
select identity_after('texts');
-- The key is there and not selected; both.
call follow('unselected', 'select v from keyed where loose = 1');
select identity('unselected');
select pgtrickle.create_or_replace_stream_table('unselected', query => 'select v, id from keyed where loose = 1');
select identity('unselected');
call follow('joined', 'select k.v, m.v as w from keyed k left join maybe m on m.id = k.loose');
select identity('joined');
select pgtrickle.drop_stream_table('joined');
call follow('joined', 'select k.v, m.v as w, k.id from keyed k left join maybe m on m.id = k.loose');
alter table maybe alter id set not null;
select identity_after('joined');
-- The key of a stream table.
call follow('of_another', 'select v from unselected');
select identity('of_another');
-- Rows of a union repeat, whatever the constraints. A stream table takes none, and those of a parent do not concern its heirs.
call follow('united', 'select id from keyed union all select id from maybe');
select identity('united');
call follow('of_united', 'select id from united');
select identity('of_united');
create table parent (a int);
create table child () inherits (parent);
call follow('heirs', 'select a from parent');
select identity('heirs');
select refreshed(name) from pgtrickle.pgt_status() order by name;
