-- Change capture: the trigger function, and the records that show whether changes were lost.

create function pgtrickle.capture() returns trigger
  language c as 'MODULE_PATHNAME', 'pg_trickle_capture';
comment on function pgtrickle.capture() is 'records the changes of a source; installed and removed by pg_trickle';
-- Every role may execute it, since attaching a partition to a source requires that. It captures only for triggers that
-- pg_trickle created, known by their oids.

-- The tables whose rows are rows of a source, as of the last verification of its capture. Changes may have been lost if a
-- table was attached or detached since, or if its triggers were altered.
create table pgtrickle.pgt_source_members (
  source_id          integer not null references pgtrickle.pgt_sources on delete cascade,
  relid              regclass not null,
  fingerprint        text not null,               -- triggers and generated columns; empty: changes were lost
  row_trigger        oid,                         -- its capture triggers; on a partition the copy of the root's
  truncate_trigger   oid,
  primary key (source_id, relid)
);
grant select on pgtrickle.pgt_source_members to public;

-- Roles that may capture the changes of a table that they do not own, by allow_capture().
create table pgtrickle.pgt_capture_grants (
  relid              regclass not null,
  grantee            regrole not null,
  primary key (relid, grantee)
);
-- Grants on dropped tables, or to dropped roles, cannot be restored.
select pg_extension_config_dump('pgtrickle.pgt_capture_grants',
  'where exists (select from pg_catalog.pg_class c where c.oid = relid::oid)
     and exists (select from pg_catalog.pg_roles r where r.oid = grantee::oid)');
grant select on pgtrickle.pgt_capture_grants to public;

create function pgtrickle.pending_changes(source_id integer) returns setof record
  language c strict as 'MODULE_PATHNAME', 'pg_trickle_pending_changes';
comment on function pgtrickle.pending_changes(integer) is 'change rows not yet pruned; read them through the view pgtrickle_changes.pending_<source_id>';
