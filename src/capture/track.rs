//! Installing and removing capture.
//!
//! **Law:** a consumer that starts with a snapshot taken after `track` finds, in the layouts of the source, every column that
//! it requested in every change that this snapshot does not see. `track` therefore waits for running writers before it puts
//! a wider layout to use: the consumer's first snapshot sees the changes that they have recorded in the narrower one.

use chunk::UNRECORDED;
use ivm::sql::ident::Ident;
use pgrx::PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED;
use pgrx::pg_sys::{self, Oid};

use crate::capture::integrity::{lacks_sentinel, lost_changes};
use crate::capture::trigger::with_pending;
use crate::capture::{cache, inspect, pending};
use crate::catalog::layout::{self, Layout};
use crate::catalog::source::{self, CaptureTrigger, Member, Source};
use crate::catalog::{self, admission, dependency, frontier};
use crate::error::{Error, Result};
use crate::pg::heap::Table;
use crate::pg::lock::Lock;
use crate::pg::relation::{self, Attribute};
use crate::pg::spi::{self, Session};
use crate::pg::template::Hole;
use crate::pg::{object, trigger, xact};

/// Records changes of these columns from now on; with `touch`, also that other columns changed. Returns the id of the source.
/// The calling transaction must not have read the source under a snapshot that it goes on using.
pub fn track(relid: Oid, columns: &[String], touch: bool) -> Result<i32> {
    if let Some(id) = tracked(relid, columns, touch)? {
        // Writers need not wait. A refresh of another consumer must not prune what this one will read once it is committed.
        Lock::Changes(id).acquire_shared();
        return Ok(id);
    }
    // Waits for running writers, and makes others wait until the end of the transaction.
    relation::lock_tree(relid, pg_sys::ShareRowExclusiveLock);
    cache::read_catalog(|session| admission::require_captured(session, relid))?;
    let known = cache::read_catalog(|session| source::find(session, relid))?;
    let (source, loss) = match known {
        Some(source) => (source, lost_changes(source.id)?),
        None => (cache::read_catalog(|session| create(session, relid))?, None),
    };
    xact::advance_command();
    widen(&source, columns, touch)?;
    install(&source)?;
    if let Some(reason) = loss {
        start_over(&source, &reason)?;
    }
    Ok(source.id)
}

/// The id of a relation as a source whose captured changes have these columns already.
pub(super) fn tracked(relid: Oid, columns: &[String], touch: bool) -> Result<Option<i32>> {
    let Some(source) = cache::read_catalog(|session| source::find(session, relid))? else { return Ok(None) };
    let is_intact = lost_changes(source.id)?.is_none();
    Ok((is_intact && covers(&source, columns, touch)?).then_some(source.id))
}

/// Makes every consumer of a source that lost changes start over: a later refresh of this transaction reads so in the
/// catalog, a concurrent one in the change buffer.
fn start_over(source: &Source, reason: &str) -> Result<()> {
    let consumers = cache::read_catalog(|session| {
        let consumers = dependency::readers(session, source.id)?;
        consumers.iter().try_for_each(|id| frontier::reinitialize(session, *id, reason))?;
        Ok(consumers)
    })?;
    if consumers.is_empty() {
        return Ok(());
    }
    let info = cache::require_source(source.id)?;
    with_pending(|pending| pending.write_loss(info.destination(UNRECORDED, 1)))
}

/// Ends the capture of a source that has no consumers any more. Returns false where it has one after all, and where another
/// transaction has locked one of its tables, as a transaction does that is about to become a consumer. To wait for that lock
/// would make others queue behind this one.
pub fn release(id: i32) -> Result<bool> {
    let Some(source) = cache::read_catalog(|session| source::get(session, id))? else { return Ok(true) };
    let (triggers, tables): (Vec<Oid>, Vec<Oid>) =
        cache::read_catalog(|session| source::triggers(session, id))?.into_iter().unzip();
    if !relation::try_lock_all(&tables, pg_sys::AccessExclusiveLock)
        || !cache::read_catalog(|session| dependency::readers(session, id))?.is_empty()
    {
        return Ok(false);
    }
    catalog::quietly(|| {
        triggers.into_iter().for_each(trigger::drop);
        spi::connect(None, |session| {
            inspect::drop_view(session, id)?;
            object::find(&source::buffer_name(id))?.into_iter().for_each(object::drop_member);
            source::delete(session, id)
        })
    })?;
    if relation::kind(source.relid).is_some() {
        relation::invalidate(source.relid);
    }
    xact::advance_command();
    Ok(true)
}

fn covers(source: &Source, columns: &[String], touch: bool) -> Result<bool> {
    let Some(info) = cache::source(source.id)? else { return Ok(false) };
    let Some((layout, _)) = info.current() else { return Ok(false) };
    let numbers = numbers(source.relid, &info.attributes, columns)?;
    Ok((layout.touch || !touch) && numbers.iter().all(|number| layout.attnums.contains(number)))
}

fn numbers(relid: Oid, attributes: &[Attribute], names: &[String]) -> Result<Vec<i16>> {
    let columns = cache::columns(relid, attributes, names)?;
    if let Some(column) = columns.iter().find(|column| column.is_virtual) {
        let (name, table) = (&column.name, relation::display(relid));
        return Err(Error::new(
            ERRCODE_FEATURE_NOT_SUPPORTED,
            format!("changes of column \"{name}\" of {table} cannot be captured"),
        )
        .detail("It is a virtual generated column: PostgreSQL computes it on reading, and triggers see NULL.")
        .hint("Make the column STORED, or write its expression in the query."));
    }
    Ok(columns.into_iter().map(|column| column.number).collect())
}

/// Inserts a source and creates its change buffer.
fn create(session: &Session, relid: Oid) -> Result<Source> {
    let source = source::insert(session, relid)?;
    let buffer = source::buffer_name(source.id);
    session.define(
        "create table {}
           (chunk bytea not null)
         using heap
         with (toast_tuple_target = {}, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500,
               autovacuum_vacuum_insert_threshold = -1, autovacuum_vacuum_cost_delay = 0,
               autovacuum_analyze_threshold = 2000000000)",
        &[Hole::Name(&buffer), Hole::Number(INLINE)],
    )?;
    session.define("alter table {} alter chunk set storage external", &[Hole::Name(&buffer)])?;
    object::join_extension(object::oid(&buffer)?);
    Ok(source)
}

/// A tuple that fills a page is stored in it; only a longer one is moved, uncompressed, to the TOAST table.
const INLINE: i64 = 8160;

/// Makes writers use a layout that holds these columns and all that were captured before.
fn widen(source: &Source, columns: &[String], touch: bool) -> Result<()> {
    let attributes = relation::attributes(source.relid).ok_or(Error::Bug("a locked source exists"))?;
    let mut wanted = numbers(source.relid, &attributes, columns)?;
    let layouts = cache::read_catalog(|session| layout::of(session, source.id))?;
    let current = layouts.into_iter().find(|layout| layout.id == source.layout);
    wanted.extend(current.iter().flat_map(|layout| &layout.attnums));
    let captured = attributes.iter().filter(|attribute| wanted.contains(&attribute.number) && !attribute.is_virtual);
    let (attnums, types) = captured.map(|attribute| (attribute.number, attribute.ty)).unzip();
    let touch = touch || current.as_ref().is_some_and(|layout| layout.touch);
    let wanted = Layout { id: source.layout, attnums, types, touch };
    if current.is_some_and(|layout| layout == wanted) {
        return Ok(());
    }
    cache::read_catalog(|session| {
        let id = layout::insert(session, source.id, &wanted)?;
        source::set_layout(session, source.id, id)
    })?;
    relation::invalidate(source.relid);
    xact::advance_command();
    Ok(())
}

/// Creates missing triggers, records the members, and invalidates what backends have cached of them.
fn install(source: &Source) -> Result<()> {
    let members = || cache::read_catalog(|session| source::members(session, source));
    if !cache::read_catalog(|session| source::is_stream_table(session, source.relid))? {
        let members = members()?;
        catalog::quietly(|| create_triggers(source, &members))?;
        xact::advance_command();
    }
    let members = members()?;
    cache::read_catalog(|session| source::record(session, source.id, &members))?;
    let is_unlogged = members.iter().any(|member| member.is_unlogged);
    catalog::quietly(|| {
        set_durability(source, is_unlogged)?;
        inspect::create_view(source)
    })?;
    members.iter().for_each(|member| relation::invalidate(member.relid));
    xact::advance_command();
    Ok(())
}

/// Makes the buffer survive a crash exactly if the rows of its source do.
fn set_durability(source: &Source, unlogged: bool) -> Result<()> {
    let info = cache::require_source(source.id)?;
    if unlogged != relation::is_unlogged(info.buffer) {
        let template = if unlogged { "alter table {} set unlogged" } else { "alter table {} set logged" };
        let name = source::buffer_name(source.id);
        spi::connect(None, |session| session.define(template, &[Hole::Name(&name)]))?;
    }
    if unlogged
        && lacks_sentinel(&info)
        && let Some(buffer) = Table::open(info.buffer, pg_sys::RowExclusiveLock)
    {
        pending::write_sentinel(&buffer)?;
    }
    Ok(())
}

/// Makes every member fire our triggers, and drops other triggers that call the same function for this source.
pub(super) fn create_triggers(source: &Source, members: &[Member]) -> Result<()> {
    let function = cache::read_catalog(source::capture_function)?;
    let [row, truncate] = source::trigger_names(source.id);
    let argument = Some(source.id.to_string());
    let create = |member: &Member, name: &str, truncate| {
        let (name, argument) = (trigger::free_name(member.relid, name)?, argument.as_deref());
        let definition = trigger::Definition { name: &name, argument, function, before: false, truncate };
        let created = trigger::create(member.relid, &definition)?;
        xact::advance_command();
        cache::read_catalog(|session| source::record_trigger(session, source.id, member.relid, created, truncate))
    };
    // A child that was detached keeps its triggers, but its rows are no longer the source's. A trigger of a user, or one of
    // ours that a user replaced, captures nothing.
    let is_ours = |trigger: Oid| members.iter().any(|member| member.fires(trigger));
    for (other, _) in cache::read_catalog(|session| source::triggers(session, source.id))? {
        if !is_ours(other) {
            trigger::drop(other);
        }
    }
    xact::advance_command();
    for member in members.iter().filter(|member| !member.is_covered()) {
        // A partition has its row trigger from its root, which precedes it in the list.
        match &member.row {
            None if member.is_partition && member.relid != source.relid => {}
            None => create(member, &row, false)?,
            Some(trigger) => enable(member, trigger)?,
        }
        match &member.truncate {
            _ if member.relkind != "r" => {}
            None => create(member, &truncate, true)?,
            Some(trigger) => enable(member, trigger)?,
        }
    }
    Ok(())
}

fn enable(member: &Member, trigger: &CaptureTrigger) -> Result<()> {
    if trigger.state == source::ALWAYS {
        return Ok(());
    }
    let (table, name) = (object::name(member.relid), Ident::new(&trigger.name));
    spi::connect(None, |session| {
        session.define("alter table {} enable always trigger {}", &[Hole::Name(&table), Hole::Ident(&name)])
    })
}
