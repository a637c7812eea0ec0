//! The live page in a headless Chromium, with answers that the test makes up in place of a server's.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use pg_trickle_tests::browser::Browser;
use serde_json::{Value, json};

const PAGE: &str = include_str!("../../crates/monitor/page.html");
/// A name that is markup, JavaScript and SQL.
const HOSTILE: &str =
    "<img src=x onerror=\"document.title='taken'\"><script>document.title='taken'</script>'; drop \"t\" \u{202e}";

/// What the page is answered: none while the connection is lost.
type Shared = Rc<RefCell<Option<Value>>>;

fn table(id: u64, name: &str, sources: &[u64]) -> Value {
    json!({
        "id": id, "database": "demo", "schema": "public", "name": name, "status": "ACTIVE", "mode": "AUTO",
        "recomputes": false, "target": 5.0, "staleness": 0.0, "data_timestamp": 1_790_000_000.0,
        "refreshes": {"no_data": 0, "differential": 12, "full": 1, "reinitialize": 0},
        "errors": 0, "consecutive_errors": 0, "sqlstate": null, "hint": null, "missed": 0,
        "rows": {"inserted": 1234, "updated": 5, "deleted": 6}, "change_rows": 20,
        "lag": {"p50": 0.001, "p95": 0.002, "p99": 0.0034}, "duration": {"p50": 0.01, "p95": 0.02, "p99": 0.034},
        "last_duration": 0.015, "sources": sources,
    })
}

fn source(id: u64, name: &str, stream_table: Option<u64>) -> Value {
    json!({
        "id": id, "database": "demo", "schema": "public", "name": name, "stream_table": stream_table,
        "captured_rows": 1000, "captured_bytes": 20_000, "pending_rows": 0, "pending_bytes": 0, "oldest_pending": null,
    })
}

fn graph(tables: Vec<Value>, sources: Vec<Value>) -> Value {
    json!({
        "time": 1_790_000_001.0, "version": "0.2.0", "enabled": true, "ready": true, "reasons": [],
        "queue_depth": 0, "ticks": 123, "uncounted": 0,
        "workers": [{"kind": "launcher", "database": null, "busy": false, "refreshing": null, "busy_ms": 1, "idle_ms": 9}],
        "tables": tables, "sources": sources,
    })
}

/// orders and customers → revenue → best, and orders → a table with a hostile name.
fn example() -> Value {
    graph(
        vec![table(1, "revenue", &[1, 2]), table(2, "best", &[3]), table(3, HOSTILE, &[1])],
        vec![source(1, "orders", None), source(2, "customers", None), source(3, "revenue", Some(1))],
    )
}

fn open(answer: Value) -> (Browser, Shared) {
    let shared = Rc::new(RefCell::new(Some(answer)));
    let answers = shared.clone();
    let mut browser = Browser::open(
        1400,
        900,
        Some(Box::new(move |path| match path {
            "" => Some(("text/html; charset=utf-8", PAGE.to_owned())),
            "api/graph" => answers.borrow().as_ref().map(|answer| ("application/json", answer.to_string())),
            _ => None,
        })),
    );
    browser.go("http://page.test/");
    browser.wait_until("document.querySelectorAll('.card').length > 0");
    (browser, shared)
}

const ASKED: &str = "performance.getEntriesByType('resource').filter(e => e.name.endsWith('api/graph')).length";

fn card(name: &str) -> String {
    format!(
        "[...document.querySelectorAll('.card')].find(c => c.querySelector('.name').textContent === {})",
        json!(name)
    )
}

fn number(browser: &mut Browser, expression: &str) -> f64 {
    browser.value(expression).as_f64().unwrap_or_else(|| panic!("no number: {expression}"))
}

/// Presses a key, and says which card has the focus then.
fn pressed(browser: &mut Browser, key: &str) -> Value {
    browser.press(key);
    browser.value("document.activeElement.querySelector?.('.name')?.textContent ?? document.activeElement.id")
}

#[test]
fn names_stay_text() {
    let (mut browser, shared) = open(example());
    assert_eq!(number(&mut browser, "document.querySelectorAll('.card').length"), 5.0);
    assert!(browser.holds(&format!("!!{}", card(HOSTILE))));
    // Everywhere else that a name or a hint is shown.
    let mut broken = example();
    broken["tables"][2]["consecutive_errors"] = json!(2);
    for field in ["hint", "sqlstate"] {
        broken["tables"][2][field] = json!(HOSTILE);
    }
    broken["tables"][0]["database"] = json!(HOSTILE);
    broken["reasons"] = json!([HOSTILE]);
    *shared.borrow_mut() = Some(broken);
    browser.wait_until("document.querySelector('#problems .name')?.textContent.includes('onerror')");
    browser.value(&format!("{}.click()", card(HOSTILE)));
    for place in ["#details h2", "#details dl", "#problems li", "#notes", "#plane h2"] {
        assert!(
            browser.holds(&format!("document.querySelector('{place}').textContent.includes('onerror')")),
            "{place}"
        );
    }
    assert!(browser.holds("document.title === 'pg_trickle' && !document.querySelector('body img')"));
    assert_eq!(number(&mut browser, "document.scripts.length"), 1.0);
    assert_eq!(browser.errors, Vec::<String>::new());
}

#[test]
fn states_differ_by_shape_and_word() {
    let (mut browser, shared) = open(example());
    type Change = (&'static str, fn(&mut Value));
    let changes: [Change; 8] = [
        ("fresh", |_| ()),
        ("late", |t| t["staleness"] = json!(9)),
        ("waiting", |t| (t["target"], t["staleness"]) = (json!(null), json!(9))),
        ("unfilled", |t| t["data_timestamp"] = json!(null)),
        ("failing", |t| (t["consecutive_errors"], t["hint"]) = (json!(1), json!("Mend it."))),
        ("paused", |t| t["status"] = json!("PAUSED")),
        ("detached", |t| t["status"] = json!("DETACHED")),
        ("suspended", |t| (t["status"], t["consecutive_errors"]) = (json!("SUSPENDED"), json!(3))),
    ];
    let mut shapes = std::collections::BTreeSet::new();
    for (state, change) in changes {
        let mut answer = example();
        change(&mut answer["tables"][0]);
        *shared.borrow_mut() = Some(answer);
        browser.wait_until(&format!("{}.dataset.state === '{state}'", card("revenue")));
        // A card is labelled when it first comes onto the screen.
        browser.wait_until(&format!("{}.getAttribute('aria-label')?.includes('{state}')", card("revenue")));
        let shape = browser.value(&format!("{}.querySelector('.mark path').getAttribute('d')", card("revenue")));
        assert!(shapes.insert(shape.to_string()), "{state} looks like another");
        let told = browser.holds("!document.getElementById('problems').hidden");
        assert_eq!(told, ["failing", "suspended"].contains(&state), "{state}");
    }
    // What is wrong with the server as a whole.
    let mut off = example();
    (off["enabled"], off["ready"], off["reasons"]) = (json!(false), json!(false), json!(["switched off"]));
    *shared.borrow_mut() = Some(off);
    browser.wait_until("document.getElementById('notes').textContent === 'switched off'");
    browser.wait_until(&format!("{}.dataset.state === 'stopped'", card("revenue")));
    let shape = browser.value(&format!("{}.querySelector('.mark path').getAttribute('d')", card("revenue")));
    assert!(shapes.insert(shape.to_string()), "stopped looks like another");
    *shared.borrow_mut() = None;
    browser.wait_until("document.body.classList.contains('lost') && !document.getElementById('lost').hidden");
    *shared.borrow_mut() = Some(example());
    browser.wait_until("!document.body.classList.contains('lost') && document.getElementById('lost').hidden");
    browser.wait_until("document.getElementById('notes').hidden");
}

#[test]
fn the_keyboard_reaches_everything() {
    let (mut browser, _shared) = open(example());
    assert_eq!(pressed(&mut browser, "/"), "filter");
    for key in "revenue".chars() {
        browser.press(&key.to_string());
    }
    // What matches, and its neighbours.
    assert!(browser.holds(&format!("!{}", card(HOSTILE))));
    assert!(browser.holds(&format!("{}.classList.contains('near')", card("orders"))));
    assert!(browser.holds(&format!("!{}.classList.contains('near')", card("revenue"))));
    browser.press("Escape");
    assert!(browser.holds(&format!("!!{}", card(HOSTILE))));
    let first = pressed(&mut browser, "Enter");
    assert!(["customers", "orders"].contains(&first.as_str().unwrap_or_default()), "{first}");
    browser.value(&format!("{}.focus()", card("customers")));
    assert_eq!(pressed(&mut browser, "ArrowRight"), "revenue");
    assert_eq!(pressed(&mut browser, "Enter"), "revenue");
    assert!(browser.holds("document.querySelector('#details h2').textContent === 'public.revenue'"));
    // The details follow, and the lineage is marked.
    assert_eq!(pressed(&mut browser, "ArrowRight"), "best");
    assert!(browser.holds("document.querySelector('#details h2').textContent === 'public.best'"));
    assert!(browser.holds(&format!("{}.classList.contains('lit')", card("customers"))));
    assert!(browser.holds(&format!("!{}.classList.contains('lit')", card(HOSTILE))));
    assert_eq!(pressed(&mut browser, "ArrowLeft"), "revenue");
    assert_eq!(pressed(&mut browser, "Escape"), "revenue");
    assert!(browser.holds("document.getElementById('details').hidden"));
    // The graph is one stop of the Tab key.
    assert_eq!(number(&mut browser, "document.querySelectorAll('.card[tabindex=\"0\"]').length"), 1.0);
    assert_eq!(browser.errors, Vec::<String>::new());
}

/// A page that is hidden asks nothing, and asks at once when it is shown again.
#[test]
fn only_a_visible_page_asks() {
    let (mut browser, _shared) = open(example());
    browser.wait_until(&format!("{ASKED} >= 2"));
    let turn = |state: &str| {
        format!(
            "Object.defineProperty(document, 'visibilityState', {{value: '{state}', configurable: true}});
             document.dispatchEvent(new Event('visibilitychange'))"
        )
    };
    browser.value(&turn("hidden"));
    let asked = number(&mut browser, ASKED);
    browser.wait(Duration::from_millis(2500));
    assert_eq!(number(&mut browser, ASKED), asked);
    browser.value(&turn("visible"));
    browser.wait_until(&format!("{ASKED} > {asked}"));
    assert!(browser.holds("document.getElementById('lost').hidden"));
}

/// Ten databases of a hundred tables: chains, stars and a wide layer.
fn thousand() -> Value {
    let (mut tables, mut sources) = (Vec::new(), Vec::new());
    for database in 0..10u64 {
        let named = |mut row: Value| {
            row["database"] = json!(format!("shop_{database}"));
            row
        };
        for id in 1..=10 {
            sources.push(named(source(id, &format!("orders_{id}"), None)));
            sources.push(named(source(10 + id, &format!("by_region_{id}"), Some(id))));
        }
        for id in 1..=100u64 {
            let reads = match id {
                1..=10 => vec![id],
                11..=20 => vec![id, (id + 1) % 10 + 1],
                _ => vec![id % 10 + 1],
            };
            let name = if id <= 10 { format!("by_region_{id}") } else { format!("totals_of_orders_{id}") };
            tables.push(named(table(id, &name, &reads)));
        }
    }
    graph(tables, sources)
}

#[test]
fn a_thousand_tables_can_be_read_and_filtered() {
    let mut answer = thousand();
    let (mut browser, shared) = open(answer.clone());
    assert_eq!(number(&mut browser, "document.querySelectorAll('.card').length"), 1100.0);
    // No card lies on another, and none beyond the plane.
    let overlaps = "(() => {
        const boxes = [...document.querySelectorAll('.card')].map(c => [c.offsetLeft, c.offsetTop, c.offsetWidth, c.offsetHeight]);
        const plane = document.getElementById('plane');
        return boxes.some(([x, y, w, h], i) => x < 0 || y < 0 || x + w > plane.offsetWidth || y + h > plane.offsetHeight
          || boxes.some(([a, b, c, d], j) => j < i && x < a + c && a < x + w && y < b + d && b < y + h));
      })()";
    assert!(!browser.holds(overlaps));
    answer["tables"][777]["staleness"] = json!(60);
    let late = answer["tables"][777]["name"].as_str().expect("a name").to_owned();
    *shared.borrow_mut() = Some(answer);
    browser.wait_until("document.querySelectorAll('.card[data-state=late]').length === 1");
    browser.value("document.querySelector('#counts [data-state=late]').click()");
    assert!(
        browser.holds(&format!("document.querySelector('.card:not(.near) .name').textContent === {}", json!(late)))
    );
    assert_eq!(number(&mut browser, "document.querySelectorAll('.card:not(.near)').length"), 1.0);
    browser.press("/");
    browser.press("Escape");
    assert_eq!(number(&mut browser, "document.querySelectorAll('.card').length"), 1100.0);
    let spent = number(
        &mut browser,
        "(() => { const start = performance.now(); for (let i = 0; i < 20; i++) show(view.answer); return (performance.now() - start) / 20 })()",
    );
    println!("drawing an answer of 1,000 tables takes {spent:.1} ms");
    assert_eq!(browser.errors, Vec::<String>::new());
}
