-- psql shows what each object of the API is: no function, view, table or schema lacks a comment.
select pg_describe_object(classid, objid, 0) as without_comment
  from (select 'pg_proc'::regclass::oid as classid, oid as objid from pg_proc where pronamespace = 'pgtrickle'::regnamespace
        union all
        select 'pg_class'::regclass, oid from pg_class
         where relnamespace = 'pgtrickle'::regnamespace and relkind in ('r', 'p', 'v', 'm', 'f')
        union all
        select 'pg_namespace'::regclass, oid from pg_namespace where nspname like 'pgtrickle\_%') o
 where coalesce(obj_description(objid, classid::regclass::name), '') = '' order by 1;
-- Each fits into a line, and begins as an entry of psql's own lists does: without a capital, without a full stop.
select pg_describe_object(classoid, objoid, 0) as object, description
  from pg_description d
 where (classoid, objoid) in (select classid, objid from pg_depend where deptype = 'e'
                               and refobjid = (select oid from pg_extension where extname = 'pg_trickle'))
   and (length(description) > 160 or description ~ '^[[:upper:]][[:lower:]]|\.$|\n') order by 1;
\x on
select obj_description('pgtrickle.refresh_stream_table(text, boolean)'::regprocedure, 'pg_proc') as refresh,
       obj_description('pgtrickle.stream_table_status'::regclass, 'pg_class') as status;
