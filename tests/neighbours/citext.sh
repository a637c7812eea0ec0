title=citext
tested='groups and joins on case-insensitive text; a change of case only'
notes='A group shows one of its spellings, as in PostgreSQL.'

scenario() {
  sql <<'END'
create extension citext;
create table people (id int primary key, email citext not null, country text);
create table countries (name citext primary key, region text);
insert into countries values ('Austria', 'Europe'), ('CHILE', 'America');
insert into people select i, 'user' || i % 40 || '@example.org', case i % 3 when 0 then 'austria' else 'Chile' end
  from generate_series(1, 200) i;
select pgtrickle.create_stream_table('by_email', 'select email, count(*) as n, max(id) as newest from people group by email', '0s');
select pgtrickle.create_stream_table('by_region',
  'select c.region, count(*) as n from people p join countries c on c.name = p.country group by c.region', '0s');
select pgtrickle.create_stream_table('emails', 'select distinct email from people', '0s');
END
  verify
  sql <<'END'
insert into people values (1001, 'USER7@example.org', 'AUSTRIA'), (1002, 'New@example.org', 'chile');
update people set email = upper(email) where id % 10 = 0;
update people set email = 'Moved@Example.org' where id % 13 = 0;
delete from people where id % 7 = 0;
update countries set region = 'South America' where name = 'chile';
END
}
