-- The functions of live reads. The planner adds calls of them to queries that read live stream tables; no other call is accepted.

create function pgtrickle.pending_rows(relation regclass) returns setof record
  language c strict stable parallel unsafe cost 1 rows 10 as 'MODULE_PATHNAME', 'pg_trickle_pending_rows';
comment on function pgtrickle.pending_rows(regclass) is 'the rows that pending changes add to a live stream table; called by plans only';

create function pgtrickle.is_unchanged(relation regclass, place tid) returns boolean
  language c strict stable parallel unsafe cost 1 as 'MODULE_PATHNAME', 'pg_trickle_is_unchanged';
comment on function pgtrickle.is_unchanged(regclass, tid) is
  'whether pending changes leave a row of a live stream table as it is; called by plans only';
-- Every role that may read a stream table runs plans that call them.
grant execute on function pgtrickle.pending_rows(regclass), pgtrickle.is_unchanged(regclass, tid) to public;
