-- $1: the view that holds a definition; $2: the text search configuration that it uses, by name.
with recursive object(classid, objid) as (
  select 'pg_rewrite'::regclass::oid, r.oid from pg_rewrite r where r.ev_class = $1
  union
  select 'pg_ts_config'::regclass::oid, c.oid
    from pg_ts_config c join pg_namespace n on n.oid = c.cfgnamespace
   where $2 in (c.cfgname::text, format('%I.%I', n.nspname, c.cfgname))
  union
  select n.classid, n.objid
    from object o, lateral (
      select d.refclassid, d.refobjid from pg_depend d
       where d.classid = o.classid and d.objid = o.objid
         and d.refclassid in ('pg_proc'::regclass, 'pg_type'::regclass, 'pg_operator'::regclass,
                              'pg_collation'::regclass, 'pg_ts_config'::regclass, 'pg_ts_dict'::regclass)
      union all
      select 'pg_rewrite'::regclass, r.oid
        from pg_depend d join pg_rewrite r on r.ev_class = d.refobjid join pg_class c on c.oid = r.ev_class
       where d.classid = o.classid and d.objid = o.objid and d.refclassid = 'pg_class'::regclass and c.relkind = 'v'
      union all
      select part.classid, part.objid
        from pg_depend d join pg_attribute a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid,
             lateral (values ('pg_type'::regclass, a.atttypid), ('pg_collation', a.attcollation)) part(classid, objid)
       where d.classid = o.classid and d.objid = o.objid and d.refclassid = 'pg_class'::regclass and d.refobjsubid > 0
      union all
      select part.classid, part.objid
        from pg_type t left join pg_range g on g.rngtypid = t.oid,
             lateral (values ('pg_type'::regclass, t.typelem), ('pg_type', t.typbasetype),
                             ('pg_type', g.rngsubtype), ('pg_collation', t.typcollation),
                             ('pg_collation', g.rngcollation)) part(classid, objid)
       where o.classid = 'pg_type'::regclass and t.oid = o.objid
      union all
      select 'pg_type'::regclass, a.atttypid
        from pg_type t join pg_attribute a on a.attrelid = t.typrelid
       where o.classid = 'pg_type'::regclass and t.oid = o.objid and a.attnum > 0 and not a.attisdropped
      union all
      select 'pg_constraint'::regclass, k.oid from pg_constraint k
       where o.classid = 'pg_type'::regclass and k.contypid = o.objid
    ) n(classid, objid)
   where n.objid >= 12000
), fact(classid, objid, body) as (
  select o.*, to_jsonb(p) - '{proname,pronamespace,proowner,proacl,procost,prorows,proparallel,proargnames}'::text[]
              || coalesce(to_jsonb(a), '{}')
    from object o join pg_proc p on o.classid = 'pg_proc'::regclass and p.oid = o.objid
    left join pg_aggregate a on a.aggfnoid = p.oid
  union all
  select o.*, jsonb_build_array(t.typnotnull, t.typbasetype, t.typtypmod,
                (select jsonb_agg(to_jsonb(e) order by e.oid) from pg_enum e where e.enumtypid = t.oid),
                (select jsonb_agg(jsonb_build_array(a.attname, a.atttypid, a.atttypmod) order by a.attnum)
                   from pg_attribute a
                  where a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped and t.typtype = 'c'))
    from object o join pg_type t on o.classid = 'pg_type'::regclass and t.oid = o.objid
  union all
  select o.*, to_jsonb(p.oprcode::oid)
    from object o join pg_operator p on o.classid = 'pg_operator'::regclass and p.oid = o.objid
  union all
  select o.*, to_jsonb(c) - '{collname,collnamespace,collowner}'::text[]
    from object o join pg_collation c on o.classid = 'pg_collation'::regclass and c.oid = o.objid
  union all
  select o.*, to_jsonb(k.conbin::text)
    from object o join pg_constraint k on o.classid = 'pg_constraint'::regclass and k.oid = o.objid
  union all
  select o.*, jsonb_build_array(c.cfgparser, (select jsonb_agg(to_jsonb(m) order by m.maptokentype, m.mapseqno)
                                                from pg_ts_config_map m where m.mapcfg = c.oid))
    from object o join pg_ts_config c on o.classid = 'pg_ts_config'::regclass and c.oid = o.objid
  union all
  select o.*, jsonb_build_array(d.dicttemplate, d.dictinitoption)
    from object o join pg_ts_dict d on o.classid = 'pg_ts_dict'::regclass and d.oid = o.objid
)
select coalesce(array_agg(classid order by classid, objid), '{}'), coalesce(array_agg(objid order by classid, objid), '{}'),
       encode(sha256(convert_to(coalesce(string_agg(format('%s %s %s', classid, objid, body), E'\n'
                                                    order by classid, objid), ''), 'UTF8')), 'hex')
  from fact
