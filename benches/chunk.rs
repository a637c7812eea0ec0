//! Micro-benchmarks of chunks: encoding inserted and updated rows, and decoding them.

use std::ops::Deref;

use chunk::{Columns, Entry, Format, Shape, Target};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const ROWS: usize = 1000;
const INTEGER: Shape = Shape { len: 4, by_value: true, align: 4, packable: false };
const BIGINT: Shape = Shape { len: 8, by_value: true, align: 8, packable: false };
const TEXT: Shape = Shape { len: -1, by_value: false, align: 4, packable: true };
const UUID: Shape = Shape { len: 16, by_value: false, align: 1, packable: false };
const SHAPES: [Shape; 6] = [BIGINT, INTEGER, TEXT, UUID, TEXT, BIGINT];
const POSITIONS: [usize; SHAPES.len()] = [0, 1, 2, 3, 4, 5];

/// A row of these shapes; every third one has NULLs.
struct Row {
    words: [usize; SHAPES.len()],
    bytes: [Vec<u8>; SHAPES.len()],
    has_nulls: bool,
}

impl Row {
    fn new(n: usize, version: usize) -> Row {
        let text = |len: usize| [&chunk::long_header(len + 4).unwrap()[..], &vec![b'x'; len]].concat();
        let none = Vec::new;
        let bytes = [none(), none(), text(5 + n % 30), vec![n as u8; 16], text(200 + version), none()];
        Row { words: [n, n % 100, 0, 0, 0, version], bytes, has_nulls: n.is_multiple_of(3) }
    }
}

impl Columns for Row {
    fn is_null(&self, i: usize) -> bool {
        self.has_nulls && i == 2
    }

    fn word(&self, i: usize) -> usize {
        self.words[i]
    }

    fn bytes(&self, i: usize, _: &Shape) -> &[u8] {
        &self.bytes[i]
    }

    fn fetched_size(&self, value: &[u8]) -> usize {
        value.len()
    }

    fn fetch(&self, value: &[u8]) -> Option<impl Deref<Target = [u8]>> {
        Some(value.to_vec())
    }
}

/// Adds up the words and lengths that are decoded.
#[derive(Default)]
struct Sum(usize);

impl Target for Sum {
    fn set_null(&mut self, _: usize) {}

    fn set_word(&mut self, _: usize, word: usize) {
        self.0 = self.0.wrapping_add(word);
    }

    fn set_bytes(&mut self, _: usize, bytes: &[u8]) {
        self.0 = self.0.wrapping_add(bytes.len());
    }
}

fn decode(format: &Format, bytes: &[u8]) -> (usize, usize) {
    let targets = POSITIONS.map(Some);
    let (mut reader, mut sum, mut entries) = (format.read(bytes), Sum::default(), 0);
    while let Some(Entry::Weight(_)) = reader.next(&mut sum, &targets).unwrap() {
        entries += 1;
    }
    (entries, sum.0)
}

fn bench(c: &mut Criterion) {
    let format = Format::new(SHAPES.to_vec());
    let versions = [0, 1].map(|version| (0..ROWS).map(|n| Row::new(n, version)).collect::<Vec<_>>());
    let inserted = |out: &mut Vec<u8>| {
        out.clear();
        for row in &versions[0] {
            format.append(out, row, &POSITIONS, 1).unwrap();
        }
    };
    let updated = |out: &mut Vec<u8>| {
        out.clear();
        for (old, new) in versions[0].iter().zip(&versions[1]) {
            format.append_update(out, old, new, &POSITIONS).unwrap();
        }
    };
    let (mut inserts, mut updates) = (vec![], vec![]);
    inserted(&mut inserts);
    updated(&mut updates);
    assert_eq!((decode(&format, &inserts).0, decode(&format, &updates).0), (ROWS, 2 * ROWS));

    let mut out = Vec::with_capacity(updates.len());
    let mut group = c.benchmark_group("chunk");
    group.throughput(Throughput::Elements(ROWS as u64));
    group.bench_function("encode/insert", |b| b.iter(|| inserted(&mut out)));
    group.bench_function("encode/update", |b| b.iter(|| updated(&mut out)));
    group.bench_function("decode/insert", |b| b.iter(|| decode(&format, &inserts)));
    group.bench_function("decode/update", |b| b.iter(|| decode(&format, &updates)));
}

criterion_group!(benches, bench);
criterion_main!(benches);
