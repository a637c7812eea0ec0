-- $1: the id of a stream table; $2, $3: the names of its guards.
select p.what, p.instead
  from pgtrickle.pgt_stream_tables s
  join pg_class c on c.oid = s.pgt_relid::oid
 cross join lateral (
   select 'A crash would empty it without a trace.',
          'Make its sources unlogged if their rows may be lost.'
    where c.relpersistence <> 'p'
   union all
   select 'With inheritance, it would have rows of other tables, or other tables its rows.',
          'Combine the tables in a view or in another stream table.'
    where exists (select from pg_inherits i where i.inhrelid = c.oid or i.inhparent = c.oid)
   union all
   select format('Rule %I would replace the statements of its refresh.', r.rulename),
          'Use an AFTER trigger.'
     from pg_rewrite r where r.ev_class = c.oid
   union all
   select 'Row security would hide rows from its owner, and so from its refresh.',
          'Use ENABLE ROW LEVEL SECURITY without FORCE to hide rows from other roles.'
    where c.relforcerowsecurity
   union all
   select format('Trigger %I could change or skip rows of its refresh.', t.tgname), 'Use an AFTER trigger.'
     from pg_trigger t
    where t.tgrelid = c.oid and not t.tgisinternal and t.tgtype & 3 = 3 and t.tgname <> $2
   union all
   select format('Trigger %I refuses changes that do not come from a refresh.', g.name),
          'Disable or drop other triggers by name.'
     from unnest(array[$2, $3]) g(name)
    where not exists (select from pg_trigger t
                       where t.tgrelid = c.oid and t.tgname = g.name and t.tgenabled = 'A'
                         and t.tgfoid = 'pgtrickle.guard()'::regprocedure)
   union all
   select format('Column %I comes from its query.', v.attname),
          'Change the query: pgtrickle.alter_stream_table() or pgtrickle.create_or_replace_stream_table().'
     from pg_attribute v
    where v.attrelid = s.definition::oid and v.attnum > 0
      and not exists (select from pg_attribute a
                       where a.attrelid = c.oid and a.attname = v.attname and not a.attisdropped
                         and (a.atttypid, a.atttypmod, a.attcollation)
                           = (v.atttypid, v.atttypmod, v.attcollation)
                         and a.attgenerated = '' and a.attidentity = '')
   union all
   select format('Column %I would be NULL in every row.', a.attname), 'Give it a default.'
     from pg_attribute a
    where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
      and a.attnotnull and not a.atthasdef and a.attidentity = ''
      and not exists (select from pg_attribute v where v.attrelid = s.definition::oid and v.attname = a.attname)
   union all
   select 'With a publication its refresh would fail.', 'Use REPLICA IDENTITY FULL or a primary key.'
    where case c.relreplident
            when 'n' then true
            when 'd' then not exists (select from pg_index i where i.indrelid = c.oid and i.indisprimary)
            else false end
 ) p(what, instead)
 where s.pgt_id = $1
 limit 1
