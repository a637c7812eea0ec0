title=PostGIS
package=postgresql-$major-postgis-3
tested='points counted by the area that contains them, `ST_Extent`, `ST_Collect`, `ST_DWithin`, a GiST index on a stream table'
notes='`ST_Collect` and `ST_Union` name functions and aggregates: a query that calls one is recomputed, and its status says so.'

scenario() {
  sql <<'END'
create extension postgis;
create table areas (id int primary key, name text, shape geometry(Polygon, 4326));
create table sights (id int primary key, at geometry(Point, 4326), seen int);
insert into areas select i, 'area ' || i, ST_MakeEnvelope(i * 10, 0, i * 10 + 10, 10, 4326) from generate_series(0, 4) i;
insert into sights select i, ST_SetSRID(ST_MakePoint(i % 50 + 0.5, i % 10 + 0.5), 4326), i from generate_series(1, 300) i;
create index on areas using gist (shape);
create index on sights using gist (at);
select pgtrickle.create_stream_table('per_area',
  'select a.name, count(*) as n, sum(s.seen) as seen from areas a join sights s on ST_Contains(a.shape, s.at) group by a.name', '0s');
select pgtrickle.create_stream_table('near_origin',
  'select id, at, ST_X(at) as x from sights where ST_DWithin(at, ST_SetSRID(ST_MakePoint(0, 0), 4326), 5)', '0s');
select pgtrickle.create_stream_table('extents', 'select seen % 10 as grp, ST_Extent(at)::text as box from sights group by 1', '0s');
select pgtrickle.create_stream_table('collected',
  'select seen % 10 as grp, ST_AsText(ST_Collect(at order by id)) as points from sights group by 1', '0s');
select pgtrickle.create_stream_table('placed', 'select a.id as area, s.id, s.at from areas a left join sights s on ST_Contains(a.shape, s.at)', '0s');
create index on near_origin using gist (at);
END
  verify
  sql <<'END'
update sights set at = ST_Translate(at, 3, 0) where id % 4 = 0;
insert into sights select i, ST_SetSRID(ST_MakePoint(1, 1), 4326), i from generate_series(1000, 1010) i;
insert into sights values (2000, null, 1);
delete from sights where id % 9 = 0;
update areas set shape = ST_MakeEnvelope(0, 0, 12, 10, 4326) where id = 0;
delete from areas where id = 3;
END
}
