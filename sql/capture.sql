-- Change capture: the trigger function, and what it takes to know that nothing was missed.

create function pgtrickle.capture() returns trigger
  language c as 'MODULE_PATHNAME', 'pg_trickle_capture';
comment on function pgtrickle.capture() is 'records the changes of a source; installed and removed by pg_trickle';
-- Whoever attaches a partition to a source must be allowed to execute it, so everybody is: it records nothing but for
-- triggers that pg_trickle made, by their oids.

-- The tables whose rows are rows of a source, as they were when capture was last verified: a table that
-- came or went, or whose triggers changed since, may have changed unseen.
create table pgtrickle.pgt_source_members (
  source_id          integer not null references pgtrickle.pgt_sources on delete cascade,
  relid              regclass not null,
  fingerprint        text not null,               -- triggers and generated columns; empty: not to be trusted
  row_trigger        oid,                         -- the capture triggers that we made on it; on a partition the copy
  truncate_trigger   oid,
  primary key (source_id, relid)
);
select pg_extension_config_dump('pgtrickle.pgt_source_members', '');
grant select on pgtrickle.pgt_source_members to public;

-- Roles that may capture the changes of a table that is not theirs, by allow_capture().
create table pgtrickle.pgt_capture_grants (
  relid              regclass not null,
  grantee            regrole not null,
  primary key (relid, grantee)
);
-- Of roles and tables that are gone nothing is left to restore.
select pg_extension_config_dump('pgtrickle.pgt_capture_grants',
  'where exists (select from pg_catalog.pg_class c where c.oid = relid::oid)
     and exists (select from pg_catalog.pg_roles r where r.oid = grantee::oid)');
grant select on pgtrickle.pgt_capture_grants to public;

create function pgtrickle.pending_changes(source_id integer) returns setof record
  language c strict as 'MODULE_PATHNAME', 'pg_trickle_pending_changes';
comment on function pgtrickle.pending_changes(integer) is 'change rows not yet pruned; read them through the view pgtrickle_changes.pending_<source_id>';
