//! Micro-benchmarks of counters: an event on the way of a refresh, captured changes, and a scrape of a thousand tables.

use criterion::{Criterion, criterion_group, criterion_main};
use monitor::Counters;
use monitor::cell::Cell;
use monitor::metrics::{Format, encode};
use monitor::rows::{Key, Owner};
use monitor::snapshot::{Snapshot, Workers};
use monitor::sources::{Size, SourceRow};
use monitor::tables::{Action, Described, Ended, Refreshed, TableRow};

const TABLES: i32 = 1000;
const NOW: i64 = 1_700_000_000_000_000;
const REFRESH: Refreshed = Refreshed {
    ended: Ended::Done(Action::Differential),
    inserted: 3,
    updated: 2,
    deleted: 1,
    change_rows: 9,
    took: 1_500,
    snapshot: NOW,
    expected: None,
};

fn counters(c: &mut Criterion) {
    let counters: Box<Counters> = Box::default();
    let tables: Vec<TableRow> = (0..=TABLES).map(|_| TableRow::default()).collect();
    let sources = [SourceRow::default(), SourceRow::default()];
    let owners: Vec<Owner> = (0..tables.len() + sources.len()).map(|_| Owner::default()).collect();
    let memory = counters.with(&tables, &sources, &owners);
    memory.databases.claim(Key::new(7, 0));
    for id in 1..=TABLES {
        let row = &tables[memory.tables.claim(Key::new(7, id)).0];
        row.described.set(&Described {
            name: format!("stream_{id}"),
            schema: "public".to_owned(),
            ..Described::default()
        });
        row.refreshed(&REFRESH, NOW);
        row.lag.add(2_000, NOW);
    }
    let (row, source) = (&tables[500], &sources[0]);
    c.bench_function("count a refresh", |b| b.iter(|| row.refreshed(&REFRESH, NOW)));
    c.bench_function("count a lag", |b| b.iter(|| row.lag.add(2_000, NOW)));
    c.bench_function("count captured changes", |b| {
        b.iter(|| {
            source.captured(Size { rows: 2, bytes: 100 });
            source.pending(Size { rows: 2, bytes: 100 });
        });
    });
    let workers = Workers::default();
    c.bench_function("read 1,000 tables", |b| b.iter(|| Snapshot::new(memory, &workers, &|_, _| None, "0", NOW)));
    let snapshot = Snapshot::new(memory, &workers, &|_, _| None, "0", NOW);
    c.bench_function("encode 1,000 tables", |b| b.iter(|| encode(&snapshot, Format::Prometheus)));
}

criterion_group!(benches, counters);
criterion_main!(benches);
