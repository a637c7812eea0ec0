-- $1: the table; $2: the id of the source.
with recursive member(oid, depth) as (
  select $1, 0
  union
  select i.inhrelid, m.depth + 1
    from pg_catalog.pg_inherits i join member m on i.inhparent = m.oid
   where not i.inhdetachpending),
ours as (
  select t.oid, t.tgrelid, t.tgtype, t.tgname::text as name, t.tgenabled::text as state,
         pg_catalog.format('%s:%s', t.oid, t.xmin) as mark
    from member m
    join pg_catalog.pg_trigger t on t.tgrelid = m.oid
   where t.tgfoid = 'pgtrickle.capture()'::pg_catalog.regprocedure
     and t.tgargs = ($2::text::bytea || decode('00', 'hex'))
     and t.tgtype in (29, 32) and t.tgqual is null and t.tgattr = '' and t.tgconstraint = 0
     and exists (
       select from pgtrickle.pgt_source_members k left join pg_catalog.pg_trigger p on p.oid = t.tgparentid
        where k.source_id = $2
          and (t.oid in (k.row_trigger, k.truncate_trigger)
               or p.tgfoid = t.tgfoid and p.tgargs = t.tgargs and (p.oid = k.row_trigger or p.tgparentid <> 0))))
select c.oid, c.relkind::text, c.relispartition, c.relpersistence = 'u',
       pg_catalog.concat_ws('/', r.mark, t.mark, g.mark, case c.relpersistence when 'u' then 'unlogged' end),
       r.oid, r.name, r.state, t.oid, t.name, t.state
  from (select oid, pg_catalog.min(depth) as depth from member group by oid) m
  join pg_catalog.pg_class c on c.oid = m.oid
  left join lateral (select * from ours where tgrelid = c.oid and tgtype = 29 limit 1) r on true
  left join lateral (select * from ours where tgrelid = c.oid and tgtype = 32 limit 1) t on true
  left join lateral (
    select pg_catalog.string_agg(d.oid::text, ',' order by d.oid) as mark
      from pg_catalog.pg_attrdef d
      join pg_catalog.pg_attribute a on a.attrelid = d.adrelid and a.attnum = d.adnum
     where d.adrelid = c.oid and a.attgenerated = 's') g on true
 order by m.depth, c.oid
