-- $1: the table; $2: the id of the source. Each part is computed once: a table may have thousands of partitions.
with recursive member(oid, depth) as (
  select $1, 0
  union
  select i.inhrelid, m.depth + 1
    from pg_catalog.pg_inherits i join member m on i.inhparent = m.oid
   where not i.inhdetachpending),
recorded(row_trigger, truncate_trigger) as materialized (
  select row_trigger, truncate_trigger from pgtrickle.pgt_source_members where source_id = $2),
fired as materialized (
  select t.oid, t.tgrelid, t.tgtype, t.tgname::text as name, t.tgenabled::text as state, t.tgparentid, t.tgargs, t.tgfoid,
         pg_catalog.format('%s:%s', t.oid, t.xmin) as mark
    from pg_catalog.pg_trigger t
   where t.tgfoid = 'pgtrickle.capture()'::pg_catalog.regprocedure
     and t.tgargs = ($2::text::bytea || decode('00', 'hex'))
     and t.tgtype in (29, 32) and t.tgqual is null and t.tgattr = '' and t.tgconstraint = 0),
ours as materialized (
  select distinct on (t.tgrelid, t.tgtype) t.*
    from fired t
    left join pg_catalog.pg_trigger p on p.oid = t.tgparentid and p.tgfoid = t.tgfoid and p.tgargs = t.tgargs
   where t.oid in (select row_trigger from recorded where row_trigger is not null)
      or t.oid in (select truncate_trigger from recorded where truncate_trigger is not null)
      or p.oid in (select row_trigger from recorded where row_trigger is not null)
      or p.tgparentid <> 0 and exists (select from recorded)
   order by t.tgrelid, t.tgtype, t.oid),
generated as materialized (
  select d.adrelid, pg_catalog.string_agg(d.oid::text, ',' order by d.oid) as mark
    from member m
    join pg_catalog.pg_attrdef d on d.adrelid = m.oid
    join pg_catalog.pg_attribute a on a.attrelid = d.adrelid and a.attnum = d.adnum and a.attgenerated = 's'
   group by d.adrelid)
select c.oid, c.relkind::text, c.relispartition, c.relpersistence = 'u',
       pg_catalog.concat_ws('/', r.mark, t.mark, g.mark, case c.relpersistence when 'u' then 'unlogged' end),
       r.oid, r.name, r.state, t.oid, t.name, t.state
  from (select oid, pg_catalog.min(depth) as depth from member group by oid) m
  join pg_catalog.pg_class c on c.oid = m.oid
  left join ours r on r.tgrelid = c.oid and r.tgtype = 29
  left join ours t on t.tgrelid = c.oid and t.tgtype = 32
  left join generated g on g.adrelid = c.oid
 order by m.depth, c.oid
