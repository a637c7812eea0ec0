//! Follows the changes of one stream table, and of those below it, for a snapshot.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};
use std::rc::Rc;

use ivm::choice::{Choice, Way};
use ivm::frontier::Frontier;
use ivm::plan::Relation;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::pg_sys::Oid;

use crate::catalog::dependency::{self, Dependency};
use crate::catalog::stream_table::{self, StreamTable};
use crate::catalog::{ddl, frontier, shape};
use crate::error::{Error, Kind, Result};
use crate::pg::overlay::{self, Changes, Gone, Overlay};
use crate::pg::snapshot::Snapshot;
use crate::pg::spi::{self, OwnerSession, Session};
use crate::pg::subxact::subtransaction;
use crate::pg::tuplestore::Tuplestore;
use crate::pg::{object, relation, wake, xact};
use crate::refresh::adaptive::{self, Deltas};
use crate::refresh::clock;
use crate::refresh::graph;
use crate::refresh::loaded::Loaded;
use crate::refresh::prepared::{self, Prepared, Ready};
use crate::refresh::program::{self, Work};
use crate::{capture, frontend};

/// Change rows from which on a read compares the ways to its answer, and asks for a refresh.
const MANY: i64 = 1000;

/// Why the answer is the query.
#[derive(Debug, thiserror::Error)]
pub(super) enum Obstacle {
    #[error("this transaction is writing")]
    Writing,
    #[error("it was rebuilt")]
    Rebuilt,
    #[error("its changes are not followed")]
    NotFollowed,
    #[error("not all changes of its sources are recorded")]
    Truncated,
    #[error("it starts over")]
    StartsOver,
    #[error("following its changes takes longer")]
    Dearer,
    /// Without its text, which may have values of rows that the reader may not see.
    #[error("following its changes fails with SQLSTATE {}", .0.sqlstate())]
    Fails(Error),
}

/// What a stream table does not show to a snapshot.
pub(super) struct Lack {
    pub(super) prepared: Rc<Prepared>,
    /// The time of its last refresh.
    pub(super) before: TimestampWithTimeZone,
    deltas: Deltas,
}

impl Lack {
    pub(super) fn is_empty(&self) -> bool {
        self.deltas.is_empty() && !self.prepared.loaded.view.reads_clock()
    }

    pub(super) fn rows(&self) -> i64 {
        self.deltas.values().map(|pending| pending.rows).sum()
    }

    fn is_large(&self) -> bool {
        self.rows() > MANY
    }

    /// The expected times, in mode AUTO.
    pub(super) fn expected(&self, session: &OwnerSession) -> Result<Option<Choice>> {
        adaptive::expected(session, &self.prepared, &self.deltas)
    }

    /// Whether computing the query is expected to be faster, where that is worth to know.
    pub(super) fn is_dearer(&self, expected: Option<&Choice>) -> bool {
        self.is_large() && expected.is_some_and(|choice| choice.way == Way::Full)
    }
}

/// The changes of some stream tables, and of those below them, under one snapshot.
pub(super) struct Reader {
    snapshot: Snapshot,
    /// The same, which sees the change rows that this transaction has just written.
    with_own: Snapshot,
    /// Whether changes of this transaction may be followed.
    follows: bool,
    pub(super) overlay: Rc<Overlay>,
    /// What this read has computed of stream tables, by id.
    deltas: RefCell<BTreeMap<i32, Tuplestore>>,
}

impl Reader {
    pub(super) fn new(snapshot: Snapshot, follows: bool) -> Result<Reader> {
        capture::flush()?;
        let (with_own, deltas) = (snapshot.with_own(), RefCell::default());
        Ok(Reader { snapshot, with_own, follows, overlay: Rc::default(), deltas })
    }

    /// Puts the changes of a stream table into the overlay; whether the answer is its query as a whole.
    pub(super) fn read(&self, id: i32, relation: Oid) -> Result<bool> {
        if let Some(known) = self.overlay.get(relation) {
            return Ok(known.is_whole());
        }
        let obstacle = if self.follows { self.follow(id)? } else { Some(Obstacle::Writing) };
        if let Some(obstacle) = &obstacle {
            pgrx::debug1!("live stream table {} is read as its query: {obstacle}", relation::display(relation));
            let rows = self.query(id)?;
            self.overlay.put(relation, Rc::new(Changes::new(Gone::All, Some(rows))?));
        } else if self.overlay.get(relation).is_none() {
            self.overlay.put(relation, Changes::none());
        }
        Ok(obstacle.is_some())
    }

    /// Follows the changes of a stream table into the overlay, unless something is in the way.
    fn follow(&self, id: i32) -> Result<Option<Obstacle>> {
        let lack = match self.lack(id)? {
            Ok(lack) if lack.is_empty() => return Ok(None),
            Ok(lack) => lack,
            Err(obstacle) => return Ok(Some(obstacle)),
        };
        if lack.is_large() {
            // The next reader finds fewer.
            wake::request_refresh(id);
        }
        let prepared = Rc::clone(&lack.prepared);
        let followed = subtransaction(|| {
            self.as_owner(&prepared, lack.before, |session| {
                if lack.is_large() && lack.is_dearer(lack.expected(session)?.as_ref()) {
                    return Ok(None);
                }
                let work = Work::live(session, &prepared, &self.overlay);
                program::differential(&work, adaptive::stores(lack.deltas)).map(Some)
            })
        });
        match followed {
            Ok(None) => Ok(Some(Obstacle::Dearer)),
            // It fails on a row that the query does not have, or the query fails, too.
            Err(error) if error.kind() == Kind::User || error.as_reason().is_some() => {
                for node in &prepared.loaded.view.nodes {
                    self.overlay.remove(object::oid(&node.table)?);
                }
                Ok(Some(Obstacle::Fails(error)))
            }
            Err(error) => Err(error),
            Ok(Some(changes)) => {
                if changes.delta.rows() > 0 {
                    self.deltas.borrow_mut().insert(id, changes.delta);
                }
                Ok(None)
            }
        }
    }

    /// What the snapshot sees and the stream table does not show, or why that cannot be followed.
    pub(super) fn lack(&self, id: i32) -> Result<std::result::Result<Lack, Obstacle>> {
        let Ready::Yes(prepared) = prepared::load(id)? else { return Ok(Err(Obstacle::Rebuilt)) };
        let loaded = &prepared.loaded;
        let (seen, is_same) = spi::connect(Some(&self.snapshot), |session| {
            let seen = frontier::get(session, &[id])?.remove(&id).unwrap_or_default();
            Ok((seen, self.is_as_loaded(session, loaded)?))
        })?;
        if !is_same {
            return Ok(Err(Obstacle::Rebuilt));
        }
        if loaded.table.polls() {
            return Ok(Err(Obstacle::NotFollowed));
        }
        let starts_over = seen.reinitialize.is_some() || seen.replaces;
        let frontier = seen.frontier.filter(|it| !starts_over && self.snapshot.frontier().covers(it));
        let Some(frontier) = frontier else { return Ok(Err(Obstacle::StartsOver)) };
        let Some(deltas) = self.pending(loaded, &frontier)? else { return Ok(Err(Obstacle::Truncated)) };
        if loaded.recomputes() && !deltas.is_empty() {
            return Ok(Err(Obstacle::NotFollowed));
        }
        let before = seen.moment.unwrap_or_else(xact::started);
        Ok(Ok(Lack { prepared, before, deltas }))
    }

    /// A stream table that is read live, too. One that writers maintain has no pending changes.
    fn upstream(&self, dependency: &Dependency) -> Result<Option<i32>> {
        let Some(id) = dependency.stream_table else { return Ok(None) };
        Ok(if graph::edges()?.is_immediate(id) { None } else { Some(id) })
    }

    /// Whether the definition, and the tables of the stream table, are the same for the snapshot as for this process.
    fn is_as_loaded(&self, session: &Session, loaded: &Loaded) -> Result<bool> {
        if wake::definitions_are_older_than(self.snapshot.frontier().xmin()) {
            return Ok(true);
        }
        let tables = loaded.view.nodes.iter().map(|node| object::oid(&node.table)).collect::<Result<Vec<_>>>()?;
        Ok(stream_table::find(session, loaded.table.id)?.as_ref() == Some(&loaded.table)
            && shape::are_in_the_same_files(session, &tables)?)
    }

    /// The changes of the sources that the snapshot sees and the frontier does not; none where they are not all changes.
    fn pending(&self, loaded: &Loaded, frontier: &Frontier) -> Result<Option<Deltas>> {
        let mut deltas = BTreeMap::new();
        for dependency in &loaded.dependencies {
            if let Some(upstream) = self.upstream(dependency)?
                && self.read(upstream, dependency.relid)?
            {
                return Ok(None);
            }
            capture::lock_predicate(dependency.source, &self.snapshot)?;
            let seen = (frontier, &self.with_own);
            let mut pending = match capture::pending(dependency.source, seen, &dependency.columns, i64::MAX) {
                Err(Error::Altered(_)) => return Ok(None),
                pending => pending?,
            };
            if pending.truncated {
                return Ok(None);
            }
            let live = dependency.stream_table.and_then(|upstream| Some(self.deltas.borrow().get(&upstream)?.shared()));
            if let Some(delta) = live {
                delta.append_to(&pending.store, &dependency.columns)?;
                pending.rows += delta.rows();
                pending.read += delta.rows();
            }
            // Where nothing is followed, any change counts.
            if pending.rows > 0 && (loaded.recomputes() || pending.may_matter()) {
                deltas.insert(Relation::SourceDelta(loaded.names[&dependency.source].clone()), pending);
            }
        }
        Ok(Some(deltas))
    }

    /// Runs `f` as the owner of a stream table under this snapshot. Its queries read the start of the transaction as the present.
    pub(super) fn as_owner<R>(
        &self,
        prepared: &Prepared,
        before: TimestampWithTimeZone,
        f: impl FnOnce(&OwnerSession) -> Result<R>,
    ) -> Result<R> {
        let Loaded { table, view, .. } = &prepared.loaded;
        let clock = view.reads_clock().then(|| clock::at(xact::started(), before)).transpose()?;
        spi::connect_as(table.owner, &table.evaluation(), Some(&self.snapshot), |session| {
            clock.iter().try_for_each(|clock| clock::register(session, clock))?;
            f(session)
        })
    }

    /// The rows of the query of a stream table.
    fn query(&self, id: i32) -> Result<Tuplestore> {
        let read = |session: &Session| Ok((stream_table::get(session, id)?, dependency::of(session, id)?));
        let (table, dependencies): (StreamTable, _) = spi::connect(None, read)?;
        let mut upstream = HashSet::new();
        for dependency in &dependencies {
            if let Some(id) = self.upstream(dependency)? {
                self.read(id, dependency.relid)?;
                upstream.insert(dependency.relid);
            }
        }
        spi::connect_as(table.owner, &table.evaluation(), Some(&self.snapshot), |session| {
            overlay::in_program(&self.overlay, upstream, || {
                let statement = ddl::prepare_rows(session, &frontend::definition_view(id))?;
                let store = statement.store()?;
                session.materialise(&statement, &store, 0)?;
                Ok(store)
            })
        })
    }
}
