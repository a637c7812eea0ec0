//! `law_*`: what is decoded is what was encoded.

use proptest::prelude::*;

use super::*;

/// By value in 1, 2, 4 and 8 bytes; by reference with fixed length; varlenas of two alignments, one without short headers.
const SHAPES: [Shape; 8] = [
    shape(1, true, 1),
    shape(2, true, 2),
    shape(4, true, 4),
    shape(8, true, 8),
    shape(6, false, 2),
    Shape { packable: true, ..shape(-1, false, 4) },
    Shape { packable: true, ..shape(-1, false, 8) },
    shape(-1, false, 4),
];

const fn shape(len: i16, by_value: bool, align: usize) -> Shape {
    Shape { len, by_value, align, packable: false }
}

#[derive(Clone, Debug, PartialEq)]
enum Value {
    Null,
    Word(usize),
    /// Without its header.
    Bytes(Vec<u8>),
}

/// The values, and the bytes of those by reference as a table would hold them.
#[derive(Clone, Debug)]
struct Row {
    values: Vec<Value>,
    stored: Vec<Vec<u8>>,
}

impl Columns for Row {
    fn is_null(&self, i: usize) -> bool {
        self.values[i] == Value::Null
    }

    fn word(&self, i: usize) -> usize {
        if let Value::Word(word) = self.values[i] { word } else { panic!("column {i} is by reference or NULL") }
    }

    fn bytes(&self, i: usize, _: &Shape) -> &[u8] {
        &self.stored[i]
    }

    fn fetched_size(&self, value: &[u8]) -> usize {
        value.len() + 3
    }

    /// What is behind a pointer of a test follows its first byte.
    fn fetch(&self, value: &[u8]) -> Option<impl Deref<Target = [u8]>> {
        Some(long(&value[1..]))
    }
}

impl Target for Row {
    fn set_null(&mut self, i: usize) {
        self.values[i] = Value::Null;
    }

    fn set_word(&mut self, i: usize, word: usize) {
        self.values[i] = Value::Word(word);
    }

    fn set_bytes(&mut self, i: usize, bytes: &[u8]) {
        let content = match SHAPES[i].len {
            -1 if Header::of(bytes) == Header::Short => &bytes[1..],
            -1 => &bytes[4..],
            _ => bytes,
        };
        self.values[i] = Value::Bytes(content.to_vec());
    }
}

/// A varlena of this content with a long header.
fn long(content: &[u8]) -> Vec<u8> {
    [&long_header(content.len() + 4).unwrap(), content].concat()
}

/// Few different values, so that updates leave columns alone; lengths around the longest short header.
fn arb_value(shape: Shape) -> BoxedStrategy<(Value, Vec<u8>)> {
    let value = match (shape.by_value, shape.len) {
        (true, len) => {
            (-3..3_i64).prop_map(move |n| (Value::Word((n << (8 * len as u32 - 8)) as usize), vec![])).boxed()
        }
        (false, -1) => (prop::sample::select(vec![0, 1, 125, 126, 127, 300]), 0..3)
            .prop_map(move |(len, form)| {
                let content = vec![b'x'; len];
                let stored = match form {
                    0 if shape.packable && len < 127 => [vec![short_header(len + 1)], content.clone()].concat(),
                    1 => [vec![1], content.clone()].concat(),
                    _ => long(&content),
                };
                (Value::Bytes(content), stored)
            })
            .boxed(),
        (false, len) => any::<bool>()
            .prop_map(move |odd| (Value::Bytes(vec![u8::from(odd); len as usize]), vec![u8::from(odd); len as usize]))
            .boxed(),
    };
    prop_oneof![1 => Just((Value::Null, vec![])), 3 => value].boxed()
}

fn arb_row() -> impl Strategy<Value = Row> {
    SHAPES.map(arb_value).to_vec().prop_map(|columns| {
        let (values, stored) = columns.into_iter().unzip();
        Row { values, stored }
    })
}

const POSITIONS: [usize; SHAPES.len()] = [0, 1, 2, 3, 4, 5, 6, 7];

fn read_all(format: &Format, bytes: &[u8]) -> Result<Vec<(Entry, Vec<Value>)>> {
    let mut reader = format.read(bytes);
    let mut row = Row { values: vec![Value::Null; SHAPES.len()], stored: vec![] };
    let mut entries = vec![];
    while let Some(entry) = reader.next(&mut row, &POSITIONS.map(Some))? {
        entries.push((entry, row.values.clone()));
    }
    Ok(entries)
}

proptest! {
    #[test]
    fn law_decoding_inverts_encoding(
        changes in prop::collection::vec((arb_row(), arb_row(), any::<Option<i8>>()), 1..6), cut in any::<prop::sample::Index>()
    ) {
        let format = Format::new(SHAPES.to_vec());
        let (mut bytes, mut expected) = (vec![], vec![]);
        for (old, new, weight) in &changes {
            match weight {
                Some(0) => {
                    format.append_touch(&mut bytes);
                    expected.push((Entry::Touch, None));
                }
                Some(weight) => {
                    format.append(&mut bytes, new, &POSITIONS, i64::from(*weight)).unwrap();
                    expected.push((Entry::Weight(i64::from(*weight)), Some(&new.values)));
                }
                None => {
                    format.append_update(&mut bytes, old, new, &POSITIONS).unwrap();
                    expected.extend([(Entry::Weight(-1), Some(&old.values)), (Entry::Weight(1), Some(&new.values))]);
                }
            }
        }
        let found = read_all(&format, &bytes).unwrap();
        prop_assert_eq!(found.len(), expected.len());
        for ((entry, values), (weight, row)) in found.iter().zip(expected) {
            prop_assert_eq!(*entry, weight);
            prop_assert!(row.is_none_or(|row| row == values), "{:?} is not {:?}", values, row);
        }
        // A part of a chunk is read without a panic, and gives no more entries.
        let part = read_all(&format, &bytes[..cut.index(bytes.len())]);
        prop_assert!(part.is_err() || part.is_ok_and(|part| part.len() <= found.len()));
    }

    #[test]
    fn law_unchanged_columns_are_skipped(old in arb_row(), new in arb_row()) {
        let format = Format::new(SHAPES.to_vec());
        let mut bytes = vec![];
        format.append_update(&mut bytes, &old, &new, &POSITIONS).unwrap();
        for column in POSITIONS {
            let mut targets = POSITIONS.map(|_| None);
            targets[column] = Some(column);
            let (mut reader, mut row) = (format.read(&bytes), old.clone());
            prop_assert_eq!(reader.next(&mut row, &targets), Ok(Some(Entry::Weight(-1))));
            let same = old.values[column] == new.values[column] && old.stored[column] == new.stored[column];
            prop_assert_eq!(reader.skip_same(&mut row, &targets), Ok(same), "column {}", column);
            prop_assert_eq!(reader.next(&mut row, &targets).map(|entry| entry.is_none()), Ok(same));
        }
    }
}

/// Rows of two texts of these lengths.
fn texts(format: &Format, old: [usize; 2], new: [usize; 2], out: &mut Vec<u8>) -> std::result::Result<usize, Oversize> {
    let row = |letter, lengths: [usize; 2]| Row {
        values: vec![Value::Bytes(vec![]); 2],
        stored: lengths.map(|length| long(&vec![letter; length])).to_vec(),
    };
    format.append_update(out, &row(b'o', old), &row(b'n', new), &[0, 1])
}

/// Whatever the values are, alone or in sum, either all of them are appended or nothing is.
#[test]
fn law_oversize_entries_leave_no_trace() {
    let most = 100_000;
    let format = Format { largest: most, ..Format::new(vec![SHAPES[5], SHAPES[5]]) };
    let (mut bytes, mut entries) = (vec![], 0);
    for lengths in [[20_000, 0, 20_000, 0], [most, 0, 0, 0], [0, 0, 0, most], [49_000, 1, 49_000, 1], [30_000; 4]] {
        let [a, b, c, d] = lengths;
        let before = bytes.clone();
        match texts(&format, [a, b], [c, d], &mut bytes) {
            Ok(start) => {
                assert!(lengths.iter().sum::<usize>() < most && start == before.len());
                entries += 2;
            }
            Err(Oversize) => {
                assert!(lengths.iter().sum::<usize>() >= most && bytes == before);
            }
        }
    }
    let mut reader = format.read(&bytes);
    let mut row = Row { values: vec![Value::Null; SHAPES.len()], stored: vec![] };
    let mut read = 0;
    // The columns of a target have the shapes of varlenas.
    while reader.next(&mut row, &[Some(5), Some(6)]).unwrap().is_some() {
        read += 1;
    }
    assert_eq!((read, entries), (4, 4));
}

#[test]
fn headers_have_no_room_for_a_gibibyte() {
    assert_eq!(long_header((1 << 30) - 1), Some([0xfc, 0xff, 0xff, 0xff]));
    for size in [1 << 30, 1 << 32, usize::MAX] {
        assert_eq!(long_header(size), None);
    }
}

/// A chunk of the largest entries and of what shares it with them has a header, with plenty of room for small values.
#[test]
fn the_largest_entries_fit_into_a_chunk() {
    assert!(long_header(2 * LARGEST).is_some());
}
