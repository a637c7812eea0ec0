-- $1: the id of a stream table.
select r.what
  from pgtrickle.pgt_stream_tables s
 cross join lateral (
   select format('a refresh fails if its query returns NULL in column %I', a.attname)
     from pg_attribute a
    where a.attrelid = s.pgt_relid::oid and a.attnum > 0 and a.attnotnull and age(a.xmin) <= 0
      and not a.attname::text = any (s.not_null)
      and exists (select from pg_attribute v where v.attrelid = s.definition::oid and v.attname = a.attname)
   union all
   select format(case k.contype
                   when 'c' then 'a refresh fails if a row of its query violates constraint %I'
                   when 'x' then 'a refresh fails if rows of its query violate constraint %I'
                   else 'a refresh fails if its query returns a row without a match in %2$s' end,
                 k.conname, k.confrelid::regclass)
     from pg_constraint k
    where k.conrelid = s.pgt_relid::oid and k.contype in ('c', 'x', 'f') and age(k.xmin) <= 0
   union all
   select format('a refresh fails if its query no longer returns a row that %s refers to', k.conrelid::regclass)
     from pg_constraint k
    where k.confrelid = s.pgt_relid::oid and k.contype = 'f' and k.confdeltype in ('a', 'r') and age(k.xmin) <= 0
   union all
   select format('a refresh fails if rows of its query have the same key in unique index %I', i.relname)
     from pg_index u
     join pg_class i on i.oid = u.indexrelid
    where u.indrelid = s.pgt_relid::oid and u.indisunique and age(i.xmin) <= 0
      -- An index with all columns of a key of ours is unique as well.
      and not exists (
        select from pg_depend d
          join pg_index o on o.indexrelid = d.objid and o.indisunique
         where d.classid = 'pg_class'::regclass and d.refclassid = 'pg_class'::regclass
           and d.refobjid = u.indrelid and d.refobjsubid = 0 and d.deptype = 'i'
           and o.indkey::int2[] <@ u.indkey::int2[])
 ) r(what)
 where s.pgt_id = $1
