//! Installing and removing capture, and knowing that nothing was missed while it was installed.
//!
//! **Law:** a consumer that starts with a snapshot taken after `track` finds, in the layouts of the source,
//! every column it asked for in every change that this snapshot does not see. `track` therefore waits for
//! the writers at work before it lets a wider layout be used: what they have written, or still hold
//! back in the narrower one, is in the consumer's first snapshot.

use std::collections::HashMap;

use ivm::sql::ident::Ident;
use pgrx::PgSqlErrorCode;
use pgrx::pg_sys::{self, Oid};

use crate::capture::cache::{self, Known};
use crate::capture::{buffer, inspect};
use crate::catalog::layout::{self, Layout};
use crate::catalog::source::{self, CaptureTrigger, Member, Source};
use crate::catalog::{self, dependency, frontier};
use crate::error::{Error, Result};
use crate::pg::relation::{self, Attribute};
use crate::pg::spi::{self, Session};
use crate::pg::template::Hole;
use crate::pg::{object, trigger, xact};

/// Makes changes of these columns be recorded from now on; with `touch`, also that others changed. Returns
/// the source's id. A transaction that calls this must not already have read the source under a snapshot
/// that it goes on using.
pub fn track(relid: Oid, columns: &[String], touch: bool) -> Result<i32> {
    check(relid)?;
    let known = cache::read_catalog(|session| source::find(session, relid))?;
    let mut broken = known.map(|source| members_changed(source.id)).transpose()?.flatten();
    if let Some(source) = known
        && broken.is_none()
        && covers(&source, columns, touch)?
    {
        // Nobody is kept from writing. What others consume until we commit they would prune unknowing of us.
        object::keep_changes(source.id);
        return Ok(source.id);
    }
    // Waits for those who write now, and keeps new ones out until the end of the transaction.
    relation::lock_tree(relid, pg_sys::ShareRowExclusiveLock);
    let source = match cache::read_catalog(|session| source::find(session, relid))? {
        Some(source) => {
            broken = broken.or(members_changed(source.id)?);
            source
        }
        None => cache::read_catalog(|session| create(session, relid))?,
    };
    xact::advance_command();
    widen(&source, columns, touch)?;
    install(&source)?;
    if let Some(reason) = broken {
        start_over(&source, &reason)?;
    }
    Ok(source.id)
}

/// Makes every recorded reader of a source whose capture was broken start over: those that come later in this
/// transaction by a note in the catalog, those that work beside it by a mark in the change buffer.
fn start_over(source: &Source, reason: &str) -> Result<()> {
    let readers = cache::read_catalog(|session| {
        let readers = dependency::readers(session, source.id)?;
        readers.iter().try_for_each(|reader| frontier::reinitialize(session, *reader, reason))?;
        Ok(readers)
    })?;
    if readers.is_empty() { Ok(()) } else { buffer::mark(source.id) }
}

/// Keeps a broken capture broken until `track` repairs it, even if it looks whole again by then.
pub fn distrust(known: &Known) -> Result<()> {
    cache::read_catalog(|session| source::distrust(session, known.source.id))?;
    relation::invalidate(known.source.relid);
    xact::advance_command();
    Ok(())
}

/// Ends the capture of a source that nobody reads any more.
pub fn release(id: i32) -> Result<()> {
    let Some(source) = cache::read_catalog(|session| source::get(session, id))? else { return Ok(()) };
    let triggers = cache::read_catalog(|session| source::triggers(session, id))?;
    catalog::quietly(|| {
        triggers.into_iter().for_each(|(oid, _)| trigger::drop(oid));
        spi::connect(None, |session| {
            inspect::drop_view(session, id)?;
            if relation::find("pgtrickle_changes", &format!("changes_{id}"))?.is_some() {
                session.define("drop table {}", &[Hole::Name(&buffer::name(id))])?;
            }
            source::delete(session, id)
        })
    })?;
    if relation::kind(source.relid).is_some() {
        relation::invalidate(source.relid);
    }
    cache::forget(id);
    xact::advance_command();
    Ok(())
}

/// Why what was recorded since the last `track` can no longer be trusted, if so.
///
/// Must be asked after the snapshot of the refresh was taken: a change of the triggers that came before a
/// change seen by that snapshot is found then, whatever locks were or were not held.
pub fn members_changed(id: i32) -> Result<Option<String>> {
    let moment = cache::moment();
    if cache::is_verified(id) {
        return Ok(None);
    }
    let Some(known) = cache::known(id)? else { return Ok(Some("the source is no longer captured".to_owned())) };
    if let Some(reason) = layout_changed(&known) {
        return Ok(Some(reason));
    }
    let (now, then, derived) = cache::read_catalog(|session| {
        let derived = source::is_stream_table(session, known.source.relid)?;
        Ok((source::members(session, &known.source)?, source::recorded(session, id)?, derived))
    })?;
    let crashed = || buffer::is_lost(&known).then(|| "an unlogged table was emptied by a crash".to_owned());
    let reason = difference(&now, then.into_iter().collect(), derived).or_else(crashed);
    if reason.is_none() {
        cache::verified(id, now.iter().map(|member| member.relid), moment);
    }
    Ok(reason)
}

fn layout_changed(known: &Known) -> Option<String> {
    let Some((layout, _)) = known.current() else { return Some("the type of a captured column is gone".to_owned()) };
    let changed = layout.attnums.iter().zip(&layout.types).find_map(|(number, ty)| {
        match known.attributes.iter().find(|attribute| attribute.number == *number) {
            None => Some("a captured column was dropped".to_owned()),
            Some(attribute) if attribute.ty != *ty => Some(format!("the type of column {} changed", attribute.name)),
            Some(_) => None,
        }
    });
    changed.map(|what| format!("{what} in {}", relation::display(known.source.relid)))
}

fn difference(now: &[Member], mut then: HashMap<Oid, String>, derived: bool) -> Option<String> {
    for member in now {
        let name = || relation::display(member.relid);
        match then.remove(&member.relid) {
            _ if !derived && !member.is_covered() => {
                return Some(format!("a capture trigger on {} is missing or disabled", name()));
            }
            None => return Some(format!("{} was attached", name())),
            Some(fingerprint) if fingerprint != member.fingerprint => {
                return Some(format!("a capture trigger or a generated column of {} was changed", name()));
            }
            Some(_) => {}
        }
    }
    then.into_keys().next().map(|gone| format!("{} was detached or dropped", relation::display(gone)))
}

fn covers(source: &Source, columns: &[String], touch: bool) -> Result<bool> {
    let Some(known) = cache::known(source.id)? else { return Ok(false) };
    let Some((layout, _)) = known.current() else { return Ok(false) };
    let numbers = numbers(source.relid, &known.attributes, columns)?;
    Ok((layout.touch || !touch) && numbers.iter().all(|number| layout.attnums.contains(number)))
}

fn numbers(relid: Oid, attributes: &[Attribute], columns: &[String]) -> Result<Vec<i16>> {
    let find = |name: &String| {
        let attribute = attributes.iter().find(|attribute| attribute.name == *name);
        let attribute = attribute.ok_or_else(|| no_such_column(relid, name))?;
        if attribute.is_virtual {
            return Err(Error::new(
                PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED,
                format!("column \"{name}\" of {} cannot be captured", relation::display(relid)),
            )
            .detail("It is a virtual generated column: PostgreSQL computes it when it is read, and triggers see NULL.")
            .hint("Make it STORED, or write its expression in the query."));
        }
        Ok(attribute.number)
    };
    columns.iter().map(find).collect()
}

pub fn no_such_column(relid: Oid, name: &str) -> Error {
    Error::new(
        PgSqlErrorCode::ERRCODE_UNDEFINED_COLUMN,
        format!("column \"{name}\" of {} does not exist", relation::display(relid)),
    )
}

/// Refuses what cannot be captured.
fn check(relid: Oid) -> Result<()> {
    let name = || relation::display(relid);
    let refuse = |code, what: String, detail: &str, hint: &str| Err(Error::new(code, what).detail(detail).hint(hint));
    let unsupported = PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED;
    let Some(kind) = relation::kind(relid) else {
        return Err(Error::new(PgSqlErrorCode::ERRCODE_UNDEFINED_TABLE, format!("{} does not exist", name())));
    };
    if kind.persistence == b't' {
        let detail = "It belongs to one session; the workers and other sessions cannot read it.";
        return refuse(
            unsupported,
            format!("temporary table {} cannot be a source", name()),
            detail,
            "Use a permanent table.",
        );
    }
    if kind.is_catalog {
        let detail = "PostgreSQL fires no triggers for its own catalogs.";
        return refuse(
            unsupported,
            format!("system catalog {} cannot be a source", name()),
            detail,
            "Copy what you need into a table.",
        );
    }
    let (what, hint) = match kind.relkind {
        b'r' | b'p' => return Ok(()),
        b'v' => ("view", "Name the tables behind it; a view in a query is expanded into them."),
        b'm' => ("materialized view", "Use refresh_mode => 'FULL', or a stream table in its place."),
        b'f' => ("foreign table", "Use refresh_mode => 'FULL', which reads it as a whole."),
        _ => ("relation", "Use a table."),
    };
    refuse(
        unsupported,
        format!("{what} {} cannot be a source", name()),
        "Its row changes cannot be captured here.",
        hint,
    )
}

/// A new source with its change buffer.
fn create(session: &Session, relid: Oid) -> Result<Source> {
    let source = source::insert(session, relid)?;
    let id = source.id;
    session.define(
        "create table {}
           (chunk bytea not null)
         using heap
         with (toast_tuple_target = {}, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500,
               autovacuum_vacuum_insert_threshold = -1, autovacuum_vacuum_cost_delay = 0,
               autovacuum_analyze_threshold = 2000000000)",
        &[Hole::Name(&buffer::name(id)), Hole::Number(INLINE)],
    )?;
    session.define("alter table {} alter chunk set storage external", &[Hole::Name(&buffer::name(id))])?;
    match relation::find("pgtrickle_changes", &format!("changes_{id}"))? {
        Some(buffer) => relation::depend_on_extension(buffer)?,
        None => return Err(Error::Bug("the change buffer was just created")),
    }
    Ok(source)
}

/// A tuple that fills a page stays in it; only what is longer goes, uncompressed, to the TOAST table.
const INLINE: i64 = 8160;

/// Makes writers use a layout that holds these columns and all that were captured before.
fn widen(source: &Source, columns: &[String], touch: bool) -> Result<()> {
    let gone = || Error::new(PgSqlErrorCode::ERRCODE_UNDEFINED_TABLE, "the source does not exist");
    let attributes = relation::attributes(source.relid).ok_or_else(gone)?;
    let mut wanted = numbers(source.relid, &attributes, columns)?;
    let layouts = cache::read_catalog(|session| layout::of(session, source.id))?;
    let current = layouts.into_iter().find(|layout| layout.id == source.layout);
    wanted.extend(current.iter().flat_map(|layout| &layout.attnums));
    let kept = attributes.iter().filter(|attribute| wanted.contains(&attribute.number) && !attribute.is_virtual);
    let (attnums, types) = kept.map(|attribute| (attribute.number, attribute.ty)).unzip();
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

/// Puts triggers where they are missing, records the members, and makes everybody look again.
fn install(source: &Source) -> Result<()> {
    let derived = cache::read_catalog(|session| source::is_stream_table(session, source.relid))?;
    let members = cache::read_catalog(|session| source::members(session, source))?;
    if !derived {
        if let Some(foreign) = members.iter().find(|member| member.relkind == "f") {
            check(foreign.relid)?;
        }
        catalog::quietly(|| cover(source, &members))?;
        xact::advance_command();
    }
    let members = cache::read_catalog(|session| {
        let members = source::members(session, source)?;
        source::record(session, source.id, &members)?;
        Ok(members)
    })?;
    catalog::quietly(|| buffer::settle(source, members.iter().any(|member| member.is_unlogged)))?;
    catalog::quietly(|| inspect::create_view(source))?;
    members.iter().for_each(|member| relation::invalidate(member.relid));
    xact::advance_command();
    Ok(())
}

/// Makes every member fire our triggers, and nobody else.
fn cover(source: &Source, members: &[Member]) -> Result<()> {
    let function = cache::read_catalog(source::capture_function)?;
    let [row, truncate] = source::trigger_names(source.id);
    let argument = Some(source.id.to_string());
    let make = |member: &Member, name: &str, truncate| {
        let (name, argument) = (trigger::free_name(member.relid, name)?, argument.as_deref());
        let definition = trigger::Definition { name: &name, argument, function, before: false, truncate };
        let made = trigger::create(member.relid, &definition)?;
        xact::advance_command();
        cache::read_catalog(|session| source::record_trigger(session, source.id, member.relid, made, truncate))
    };
    // A child that was detached keeps its triggers, but its rows are no longer the source's; what others have made, or made
    // of ours, captures nothing.
    let kept = |trigger: Oid| members.iter().any(|member| member.fires(trigger));
    for (stray, _) in cache::read_catalog(|session| source::triggers(session, source.id))? {
        if !kept(stray) {
            trigger::drop(stray);
        }
    }
    xact::advance_command();
    for member in members.iter().filter(|member| !member.is_covered()) {
        // A partition has its row trigger from its root, which comes before it.
        match &member.row {
            None if member.is_partition && member.relid != source.relid => {}
            None => make(member, &row, false)?,
            Some(trigger) => enable(member, trigger)?,
        }
        match &member.truncate {
            _ if member.relkind != "r" => {}
            None => make(member, &truncate, true)?,
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
