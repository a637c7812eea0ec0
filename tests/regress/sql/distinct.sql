-- δ: a row exists as long as an equal row of the input does; NULL equals NULL.
\set ECHO none
\i tests/regress/preamble.sql
\set ECHO all
create table visits (who text, page int);
insert into visits values ('a', 1), ('a', 1), ('a', null), (null, 1), (null, null), (null, null);
call follow('seen', 'select distinct who, page from visits', 'DIFFERENTIAL');
call follow('people', 'select distinct upper(who) as who from visits where page is not null', 'DIFFERENTIAL');
call follow('how_many', 'select count(*) as n from (select distinct who from visits) v', 'DIFFERENTIAL');
select * from seen order by who, page;

-- One of two equal rows is deleted, then the other.
delete from visits where ctid = (select min(ctid) from visits where who = 'a' and page = 1);
select refreshed_how('seen');
select count(*) from seen;
delete from visits where who = 'a' and page = 1;
select refreshed_how('seen');
select count(*) from seen;
select refreshed_how('people'), refreshed_how('how_many');

-- Further duplicates change nothing.
insert into visits select * from visits;
select refreshed_how('seen'), refreshed_how('how_many');
select * from how_many;
update visits set who = 'A' where who is null;
select refreshed_how('seen'), refreshed_how('people'), refreshed_how('how_many');
select * from seen order by who, page;

-- Equality is that of the type: 1.0 is 1.
create table numbers (n numeric);
insert into numbers values (1), (1.0), (2.50), ('NaN'), ('NaN');
call follow('values_of', 'select distinct n from numbers', 'DIFFERENTIAL');
delete from numbers where ctid = (select min(ctid) from numbers);
insert into numbers values (2.5), (1.00);
select refreshed_how('values_of');
select count(*) from values_of;
delete from numbers where n = 1;
select refreshed_how('values_of');
select count(*) from values_of;
