-- What psql shows of the functions that the library defines, the catalog and the views. Other functions have theirs where they are
-- created. Fits into the line of \df+ and \dt+.

comment on function pgtrickle.create_stream_table(text, text, text, text, boolean, boolean) is
  'creates a stream table, which stays equal to a query';
comment on function pgtrickle.create_stream_table_if_not_exists(text, text, text, text, boolean, boolean) is
  'creates a stream table unless a relation of this name exists';
comment on function pgtrickle.create_or_replace_stream_table(text, text, text, text, boolean, boolean) is
  'creates a stream table, or gives an existing one another query; what is not given stays';
comment on function pgtrickle.alter_stream_table(text, text, text, text, text, text, boolean) is
  'changes query, schedule, mode, status or timeout of a stream table';
comment on function pgtrickle.drop_stream_table(text, boolean) is
  'drops a stream table; with cascade, also what reads it';
comment on function pgtrickle.refresh_stream_table(text, boolean) is
  'refreshes a stream table and what it reads; with recompute, computes it and what reads it from nothing';
comment on function pgtrickle.verify_stream_table(text, integer) is
  'compares a stream table with its query under one snapshot, and changes nothing';
comment on function pgtrickle.explain_stream_table(text, boolean, boolean, text) is
  'operators, identity, costs and missing indexes of a stream table; verbose adds SQL, analyze a refresh that is rolled back';
comment on function pgtrickle.wait_for_stream_table(text, interval) is
  'waits until a stream table shows what was committed before the call; false when the timeout ends first';
comment on function pgtrickle.last_write() is
  'a token of the last transaction of this session that changed a source, for pg_trickle.read_after in another session';
comment on function pgtrickle.create_refresh_group(text, text[]) is
  'makes stream tables show one moment: they are refreshed together, or not at all';
comment on function pgtrickle.drop_refresh_group(text) is
  'ends a refresh group; its stream tables stay as they are';
comment on function pgtrickle.cancel_refresh(text) is
  'cancels the background refresh of a stream table; whether there was one';
comment on function pgtrickle.resume_stream_table(text) is
  'ends the suspension or the pause of a stream table';
comment on function pgtrickle.allow_capture(regclass, regrole) is
  'lets a role create stream tables that read a table, without the privilege TRIGGER';
comment on function pgtrickle.revoke_capture(regclass, regrole) is
  'revokes what allow_capture() granted; stream tables that exist are still refreshed';
comment on function pgtrickle.drain(interval) is
  'stops background refreshes in this database and waits for those that run; false when the timeout ends first';
comment on function pgtrickle.is_drained() is
  'whether background refreshes are stopped in this database and none is running';
comment on function pgtrickle.undrain() is
  'starts the background refreshes of this database again';
comment on function pgtrickle.reattach() is
  'attaches stream tables that were restored from a dump; their number';
comment on function pgtrickle.change_buffer_sizes() is
  'change rows that are not yet pruned, and the size on disk, of each source';
comment on function pgtrickle.stream_table_id(text) is
  'the number of a stream table in the catalog of pg_trickle';
comment on function pgtrickle.stream_table_state() is
  'what is not in the catalog of each stream table: pending changes, freshness target, failures; read it through stream_table_status';
comment on function pgtrickle.counters() is
  'what is counted of this database in shared memory, as a document; read it through pg_stat_stream_tables';
comment on function pgtrickle.pg_stat_reset_stream_table(text) is
  'sets what is counted of a stream table to zero';
comment on function pgtrickle.missing_indexes() is
  'statements that create the indexes whose lack makes refreshes slow, by stream table';
comment on function pgtrickle.forget_dropped_tables() is
  'deletes dropped stream tables from the catalog; only for the event trigger';

comment on view pgtrickle.stream_table_status is 'one row per stream table: how fresh it is, and how its refreshes go';
comment on view pgtrickle.pgt_seen is 'the frontier of each stream table: what it has seen of its sources, and when';
comment on view pgtrickle.refresh_history is 'the refreshes of all stream tables';

comment on table pgtrickle.pgt_stream_tables is 'the definition of each stream table';
comment on table pgtrickle.pgt_frontiers is 'what each stream table has seen of its sources, and its last error; read frontiers through pgt_seen';
comment on table pgtrickle.pgt_ticks is 'what stream tables have seen that are refreshed together';
comment on table pgtrickle.pgt_sources is 'tables that stream tables read, each with one change buffer';
comment on table pgtrickle.pgt_source_members is 'the tables whose rows are rows of a source, with their capture triggers';
comment on table pgtrickle.pgt_layouts is 'the columns in the chunks of change buffers';
comment on table pgtrickle.pgt_dependencies is 'which stream table reads which source';
comment on table pgtrickle.pgt_refresh_history is 'the latest refreshes that did work or failed; read it through refresh_history';
comment on table pgtrickle.pgt_capture_grants is 'roles that may capture the changes of a table, by allow_capture()';
comment on table pgtrickle.pgt_cluster is 'one row: the cluster in which this catalog was written';

comment on schema pgtrickle_state is 'definitions and internal tables of stream tables';
comment on schema pgtrickle_changes is 'change buffers of the sources of stream tables';
