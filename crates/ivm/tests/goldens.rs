//! `docs/operators/*.md` says what we really do: its blocks are computed again and compared, exactly.
//!
//! A page declares ```` ```tables ````, gives a ```` ```sql query ```` as PostgreSQL prints it, and shows
//! `plan`, `sql delta SOURCE…` and `sql apply` blocks; time that passed is the source `clock`. `UPDATE_EXPECT=1` rewrites them, but never blesses an
//! error: a block that is meant to show one is tagged `error`.

use std::path::{Path, PathBuf};

use ivm::plan::Relation;
use ivm::sql::ident::QName;
use ivm::testing::explain as shown;
use ivm::testing::memory::MemoryCatalog;
use ivm::view::{Mask, View};
use ivm::{apply, canon, compile, delta, explain};

/// A fenced block: its tag, and where its text begins and ends in the page.
struct Block {
    tag: String,
    start: usize,
    end: usize,
}

#[test]
fn operators() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/operators");
    let mut pages: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    pages.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    pages.sort();
    let wrong: Vec<String> = pages.iter().filter_map(|page| check(page).err()).collect();
    assert!(!pages.is_empty() && wrong.is_empty(), "{}\nUPDATE_EXPECT=1 rewrites the pages", wrong.join("\n"));
}

fn check(path: &Path) -> Result<(), String> {
    let page = std::fs::read_to_string(path).unwrap();
    let blocks = blocks(&page);
    let mut expected = String::new();
    let mut copied = 0;
    for block in &blocks {
        let Some(result) = compute(&page, &blocks, block) else { continue };
        let text = match (result, block.tag.split(' ').any(|word| word == "error")) {
            (Ok(text), false) => text,
            (Err(error), true) => error,
            (Ok(_), true) => return Err(format!("{}: `{}` shows no error", path.display(), block.tag)),
            (Err(error), false) => return Err(format!("{}: `{}`: {error}", path.display(), block.tag)),
        };
        expected.push_str(&page[copied..block.start]);
        expected.push_str(text.trim_end());
        expected.push('\n');
        copied = block.end;
    }
    if copied == 0 {
        return Err(format!("{} shows nothing that is computed", path.display()));
    }
    expected.push_str(&page[copied..]);
    if expected != page && std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(path, expected).unwrap();
        return Ok(());
    }
    match expected == page {
        true => Ok(()),
        false => Err(format!("{} does not show what we do:\n{}", path.display(), difference(&page, &expected))),
    }
}

/// The first line that differs.
fn difference(page: &str, expected: &str) -> String {
    let pair = page.lines().zip(expected.lines()).find(|(l, r)| l != r);
    pair.map_or("one is longer".to_owned(), |(l, r)| format!("  page: {l}\n  real: {r}"))
}

fn blocks(page: &str) -> Vec<Block> {
    let (mut blocks, mut open, mut at): (Vec<Block>, Option<Block>, usize) = (vec![], None, 0);
    for line in page.split_inclusive('\n') {
        let end = at + line.len();
        match (open.take(), line.trim_end().strip_prefix("```")) {
            (None, Some(tag)) => open = Some(Block { tag: tag.to_owned(), start: end, end }),
            (Some(block), Some("")) => blocks.push(Block { end: at, ..block }),
            (other, _) => open = other,
        }
        at = end;
    }
    blocks
}

/// What a block should hold; `None` for one that is not computed.
fn compute(page: &str, blocks: &[Block], block: &Block) -> Option<Result<String, String>> {
    let view = || view(page, blocks).map_err(|e| e.to_string());
    let words: Vec<&str> = block.tag.split(' ').filter(|word| *word != "error").collect();
    match words.as_slice() {
        ["plan"] => Some(view().and_then(|view| explain::view(&view).map_err(|e| e.to_string()))),
        ["sql", "apply"] => Some(view().map(|view| {
            let nodes = view.nodes.iter().map(|node| shown::apply(&apply::plan(node)));
            nodes.collect::<Vec<_>>().join("\n")
        })),
        ["sql", "delta", sources @ ..] => {
            Some(view().and_then(|view| programs(&view, sources).map_err(|e| e.to_string())))
        }
        _ => None,
    }
}

/// The programs of every node that the change of some sources reaches.
fn programs(view: &View, sources: &[&str]) -> ivm::Result<String> {
    let relation = |name: &&str| match *name {
        "clock" => Relation::Clock,
        name => Relation::Source(QName::qualified("shop", name)),
    };
    let mut changed: Mask = sources.iter().map(relation).collect();
    let mut text = vec![];
    for (k, node) in view.nodes.iter().enumerate() {
        let mask: Mask = node.inputs.intersection(&changed).cloned().collect();
        let Some(program) = delta::program(view, k, &mask)? else { continue };
        text.push(format!("-- Δ {}\n\n{}", node.table, shown::program(&program)));
        changed.insert(Relation::Node(k));
    }
    Ok(text.join("\n"))
}

fn view(page: &str, blocks: &[Block]) -> ivm::Result<View> {
    let text =
        |tag: &str| blocks.iter().find(|block| block.tag == tag).map_or("", |block| &page[block.start..block.end]);
    let query = canon::parse(text("sql query").trim())?;
    let state = |k: usize| QName::qualified("pgtrickle_state", format!("n_1_{}", k + 1));
    compile::compile(&query, &catalog(text("tables")), &QName::qualified("shop", "view"), &state)
}

/// Tables as `name: column type [not null] [key], …`, and below them indexes as `index on name: column, …`, a line each.
fn catalog(text: &str) -> MemoryCatalog {
    let mut catalog = MemoryCatalog::default();
    for line in text.lines() {
        let Some((name, columns)) = line.split_once(':') else { continue };
        if let Some(table) = name.strip_prefix("index on ") {
            let columns: Vec<&str> = columns.split(',').map(str::trim).collect();
            catalog = catalog.index(QName::qualified("shop", table), &columns);
            continue;
        }
        let name = QName::qualified("shop", name.trim());
        let (mut declared, mut key) = (vec![], vec![]);
        // A comma inside a type modifier is followed by no space.
        for column in columns.split(", ") {
            let (column, ty) = column.trim().split_once(' ').unwrap_or((column, ""));
            let is_key = ty.ends_with(" key");
            let ty = ty.trim_end_matches(" key");
            let not_null = ty.ends_with(" not null") || is_key;
            declared.push((column, ty.trim_end_matches(" not null"), not_null));
            key.extend(is_key.then_some(column));
        }
        catalog = catalog.table(name.clone(), &declared);
        if !key.is_empty() {
            catalog = catalog.key(name, &key);
        }
    }
    catalog
}
