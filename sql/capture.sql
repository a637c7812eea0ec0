-- Change capture: the trigger function, and what it takes to know that nothing was missed.

create function pgtrickle.capture() returns trigger
  language c as 'MODULE_PATHNAME', 'pg_trickle_capture';
comment on function pgtrickle.capture() is 'records the changes of a source; installed and removed by pg_trickle';

-- The tables whose rows are rows of a source, as they were when capture was last verified: a table that
-- came or went, or whose triggers changed since, may have changed unseen.
create table pgtrickle.pgt_source_members (
  source_id          integer not null references pgtrickle.pgt_sources on delete cascade,
  relid              regclass not null,
  fingerprint        text not null,               -- triggers and generated columns
  primary key (source_id, relid)
);
select pg_extension_config_dump('pgtrickle.pgt_source_members', '');
grant select on pgtrickle.pgt_source_members to public;

create function pgtrickle.pending_changes(source_id integer) returns setof record
  language c strict as 'MODULE_PATHNAME', 'pg_trickle_pending_changes';
comment on function pgtrickle.pending_changes(integer) is 'change rows not yet pruned; read them through the view pgtrickle_changes.pending_<source_id>';
