-- Prints statements for what a dump of a database leaves out, to be run after it.
select 'reset all; set client_min_messages = warning;';

-- Parts of stream tables and of the extension.
select format('insert into pg_depend values (''pg_class''::regclass, %L::regclass, 0, %L::regclass, %s, 0, %L);',
              c.oid::regclass, d.refclassid::regclass,
              case d.refclassid when 'pg_class'::regclass then format('%L::regclass', d.refobjid::regclass)
                                else '(select oid from pg_extension where extname = ''pg_trickle'')' end, d.deptype)
  from pg_depend d join pg_class c on d.classid = 'pg_class'::regclass and c.oid = d.objid
 where d.deptype = 'i' and c.relkind in ('r', 'v') and d.refobjid in (select pgt_relid::oid from pgtrickle.pgt_stream_tables)
    or d.deptype = 'a' and d.refclassid = 'pg_extension'::regclass
 order by c.oid;

-- Identity columns go on where they were.
select format('select setval(%L, %s);', format('%I.%I', schemaname, sequencename), last_value)
  from pg_sequences where schemaname = 'pgtrickle' and last_value is not null order by 1;

-- Frontiers and chunks name transactions that have ended: the server must have had as many.
select format('do $$ begin while pg_current_xact_id() < %L::xid8 loop commit; end loop; end $$;',
              pg_snapshot_xmax(pg_current_snapshot()));

-- The triggers have other oids, and are those of the last verification.
select $$update pgtrickle.pgt_source_members m set fingerprint = concat_ws('/',
  (select format('%s:%s', oid, xmin) from pg_trigger where tgrelid = m.relid and tgname = 'pgtrickle_capture_' || m.source_id),
  (select format('%s:%s', oid, xmin) from pg_trigger where tgrelid = m.relid and tgname = 'pgtrickle_truncate_' || m.source_id),
  (select 'unlogged' from pg_class where oid = m.relid and relpersistence = 'u'));$$;
