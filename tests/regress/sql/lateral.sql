-- LATERAL subqueries that pass on columns of other tables in FROM: they become columns of the subquery.
\set ECHO none
\i tests/regress/preamble.sql
\set ECHO all
create table l (a int primary key, b int, w text);
create table r (c int, d int, u int primary key);
insert into l values (1, 10, 'x'), (2, 20, 'y'), (3, null, 'z'), (4, 40, null);
insert into r values (1, 100, 1), (1, 101, 2), (3, 300, 3), (null, 0, 4);
create view twice as select a, b, b as again, w from l;
call follow('passed', 'select l.a, l.b as own, v.* from l left join lateral (select l.b, r.d from r where r.c = l.a) v on true', 'DIFFERENTIAL');
call follow('counted', 'select l.a, l.b, v.* from l left join lateral (select l.b as shown, count(*) as n from r where r.c = l.a) v on true', 'DIFFERENTIAL');
call follow('conditioned', 'select l.*, v.* from l left join lateral (select l.b as vb, l.w as vw, r.d from r where r.c = l.a) v on v.d > 100 and v.vw is not null', 'DIFFERENTIAL');
call follow('nested', 'select l.a, l.b, v.* from l left join lateral (select l.b as b1, r.d, x.* from r left join lateral (select l.b as b2, r.d as d2, s.u from r s where s.c = r.c and s.u > r.u) x on true where r.c = l.a) v on true', 'DIFFERENTIAL');
call follow('crossed', 'select l.a, v.* from l, lateral (select l.b, l.b as again, r.d from r where r.c = l.a) v', 'DIFFERENTIAL');
call follow('grouped', 'select l.b, v.b as vb, count(v.d) as n from l left join lateral (select l.b, r.d from r where r.c = l.a) v on true group by l.b, v.b', 'DIFFERENTIAL');
call follow('viewed', 'select t.b, t.again, v.* from twice t left join lateral (select t.b as vb, t.again as vagain, r.d from r where r.c = t.a) v on true', 'DIFFERENTIAL');
call follow('united', 'select f.a, f.b, v.* from (select coalesce(l.a, r.c) as a, l.b, r.d from l full join r on r.c = l.a) f left join lateral (select f.b as vb, f.d, s.u from r s where s.u = f.a) v on true', 'DIFFERENTIAL');
call follow('valued', 'select l.a, l.b, (select l.b from r where r.u = l.a) as same from l', 'DIFFERENTIAL');
select * from passed order by a, d;
select * from counted order by a;

create procedure every() language plpgsql as $$
declare
  name text;
begin
  foreach name in array '{passed,counted,conditioned,nested,crossed,grouped,viewed,united,valued}'::text[] loop
    if refreshed_how(name) not in ('exact after DIFFERENTIAL', 'exact after NO_DATA') then
      raise exception '% was not followed', name;
    end if;
  end loop;
end $$;
insert into r values (2, 200, 5), (4, 400, 6);
delete from r where d = 300;
call every();
update l set b = coalesce(b, 0) + 1 where a in (1, 3);
call every();
delete from r;
call every();
insert into r values (3, 7, 1), (3, 7, 2);
insert into l values (5, 50, 'x');
call every();
select * from passed order by a, d;
