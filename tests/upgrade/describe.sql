-- Everything that the extension's scripts define, one line each, without oids: two ways to one version give the same text.
\pset format unaligned
\pset tuples_only on
\set QUIET on
set search_path = pg_catalog;
create temporary view member as
  select d.classid, d.objid, (pg_identify_object(d.classid, d.objid, 0)).*
    from pg_depend d
   where d.refclassid = 'pg_extension'::regclass and d.deptype = 'e'
     and d.refobjid = (select oid from pg_extension where extname = 'pg_trickle');
create temporary view relation as
  select c.*, m.identity from pg_class c join member m on m.classid = 'pg_class'::regclass and m.objid = c.oid;

select format('member %s %s, comment %s', type, identity, obj_description(objid, (select relname from pg_class where oid = classid)))
  from member order by 1;
select format('schema %s acl %s', nspname, nspacl::text) from pg_namespace where nspname like 'pgtrickle%' order by 1;
-- An owner's own rights are the same whether they are written down or not.
select format('relation %s kind %s persistence %s replica identity %s options %s tablespace %s acl %s', identity, relkind,
              relpersistence, relreplident, reloptions, reltablespace,
              array(select x::text from unnest(coalesce(relacl, acldefault(case relkind when 'S' then 's' else 'r' end::"char", relowner))) x
                     order by 1))
  from relation order by 1;
select format('column %s.%s %s type %s not null %s default %s identity %s storage %s comment %s acl %s', identity,
              row_number() over (partition by attrelid order by attnum), attname, format_type(atttypid, atttypmod), attnotnull,
              pg_get_expr(adbin, adrelid), attidentity, attstorage, col_description(attrelid, attnum),
              array(select x::text from unnest(attacl) x order by 1))
  from relation join pg_attribute on attrelid = oid left join pg_attrdef on adrelid = attrelid and adnum = attnum
 where attnum > 0 and not attisdropped
 order by identity, attnum;
select format('constraint %s %s', identity, pg_get_constraintdef(k.oid))
  from relation r join pg_constraint k on conrelid = r.oid order by 1;
select format('index %s %s', identity, pg_get_indexdef(indexrelid)) from relation join pg_index on indrelid = oid order by 1;
select format('view %s %s', identity, pg_get_viewdef(oid)) from relation where relkind = 'v' order by 1;
select format('function %s %s acl %s', identity, pg_get_functiondef(p.oid),
              array(select x::text from unnest(coalesce(proacl, acldefault('f', proowner))) x order by 1))
  from pg_proc p join member m on m.classid = 'pg_proc'::regclass and m.objid = p.oid order by 1;
select format('trigger %s enabled %s', pg_get_triggerdef(t.oid), tgenabled)
  from relation r join pg_trigger t on tgrelid = r.oid where not tgisinternal order by 1;
select format('event trigger %s on %s tags %s calls %s enabled %s', evtname, evtevent, evttags, evtfoid::regprocedure, evtenabled)
  from pg_event_trigger e join member m on m.classid = 'pg_event_trigger'::regclass and m.objid = e.oid order by 1;
select format('initial rights %s %s %s', (pg_identify_object(classoid, objoid, objsubid)).identity, objsubid > 0, granted)
  from pg_init_privs
 cross join lateral (select array(select x::text from unnest(initprivs) x where x::text not like 'postgres=%' order by 1) as granted) g
 where exists (select from member where (classid, objid) = (classoid, objoid)) and (granted <> '{}' or classoid = 'pg_proc'::regclass)
 order by 1;
select format('dumped %s %s', config::regclass, condition)
  from pg_extension, unnest(extconfig, extcondition) as dumped(config, condition) where extname = 'pg_trickle' order by 1;
select format('extension version %s comment %s', extversion, obj_description(oid, 'pg_extension'))
  from pg_extension where extname = 'pg_trickle';
