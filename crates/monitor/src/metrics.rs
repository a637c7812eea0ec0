//! Metrics in the text formats of Prometheus and of OpenMetrics. Names follow their conventions: base units, `_total` for
//! what only grows.

use prometheus::TextEncoder;
use prometheus::proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType};

use crate::SECOND;
use crate::histogram::{BUCKETS, Distribution, end};
use crate::snapshot::{Database, KINDS, Kind, Service, Snapshot, Source, Table};
use crate::tables::Chosen;

/// The buckets of a histogram that its metric has: those that end at a power of two, from 128 microseconds to 18 minutes.
const FIRST_BUCKET: usize = 6;
const LAST_BUCKET: usize = 52;

/// A text format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Prometheus,
    OpenMetrics,
}

impl Format {
    pub fn content_type(self) -> &'static str {
        match self {
            Format::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// The metrics of a snapshot.
///
/// # Errors
/// What the encoder says of a malformed metric.
pub fn encode(snapshot: &Snapshot, format: Format) -> prometheus::Result<String> {
    let mut text = Text { text: String::new(), format };
    server(snapshot, &mut text)?;
    databases(&snapshot.databases, &mut text)?;
    tables(&snapshot.tables, &mut text)?;
    sources(&snapshot.sources, &mut text)?;
    if format == Format::OpenMetrics {
        text.text.push_str("# EOF\n");
    }
    Ok(text.text)
}

/// Objects of one kind and the labels of each, which are made once for all metrics.
struct Objects<'a, T> {
    all: &'a [T],
    labels: Vec<Vec<LabelPair>>,
}

impl<'a, T> Objects<'a, T> {
    fn new<const N: usize>(all: &'a [T], labels: for<'b> fn(&'b T) -> [(&'static str, &'b str); N]) -> Self {
        let of = |object| labels(object).map(|(name, value)| label(name, value)).into();
        Objects { all, labels: all.iter().map(of).collect() }
    }
}

fn label(name: &str, value: &str) -> LabelPair {
    let mut label = LabelPair::default();
    label.set_name(name.to_owned());
    label.set_value(value.to_owned());
    label
}

/// A value of an object, if it has one.
type Value<T> = fn(&T) -> Option<f64>;

struct Text {
    text: String,
    format: Format,
}

impl Text {
    /// Appends a metric with one sample of each object that has a value; the kind follows from its name.
    fn put<T>(&mut self, objects: &mut Objects<T>, name: &str, help: &str, value: Value<T>) -> prometheus::Result<()> {
        self.put_each(objects, name, help, "", &[("", value)])
    }

    /// The same with several samples of each object, told apart by a label.
    fn put_each<T>(
        &mut self,
        objects: &mut Objects<T>,
        name: &str,
        help: &str,
        further: &str,
        values: &[(&str, Value<T>)],
    ) -> prometheus::Result<()> {
        let is_counter = name.ends_with("_total");
        let kind = if is_counter { MetricType::COUNTER } else { MetricType::GAUGE };
        let mut header = Some(help);
        for (which, value) in values {
            let value = |(at, object)| Some((at, value(object)?));
            let present: Vec<(usize, f64)> = objects.all.iter().enumerate().filter_map(value).collect();
            let sample = |(at, value): &(usize, f64)| {
                let mut labels = std::mem::take(&mut objects.labels[*at]);
                labels.extend((!further.is_empty()).then(|| label(further, which)));
                let mut sample = Metric::from_label(labels);
                if is_counter {
                    sample.set_counter(counter(*value))
                } else {
                    sample.set_gauge(gauge(*value))
                }
                sample
            };
            let samples = self.append(name, &mut header, kind, present.iter().map(sample).collect())?;
            for ((at, _), mut sample) in present.iter().zip(samples) {
                objects.labels[*at] = sample.take_label();
                objects.labels[*at].pop_if(|label| label.name() == further);
            }
        }
        Ok(())
    }

    fn put_histograms<T>(
        &mut self,
        objects: &Objects<T>,
        name: &str,
        help: &str,
        of: fn(&T) -> &Distribution,
    ) -> prometheus::Result<()> {
        let sample = |(object, labels): (&T, &Vec<LabelPair>)| {
            let mut sample = Metric::from_label(labels.clone());
            sample.set_histogram(histogram(of(object)));
            sample
        };
        let samples = objects.all.iter().zip(&objects.labels).map(sample).collect();
        self.append(name, &mut Some(help), MetricType::HISTOGRAM, samples).map(drop)
    }

    /// Appends samples of a metric, after its header where that was not written yet, and returns them.
    fn append(
        &mut self,
        name: &str,
        help: &mut Option<&str>,
        kind: MetricType,
        samples: Vec<Metric>,
    ) -> prometheus::Result<Vec<Metric>> {
        if samples.is_empty() {
            return Ok(samples);
        }
        if let Some(help) = help.take() {
            let family = match self.format {
                Format::Prometheus => name,
                // There a family has the name without the suffix of its samples.
                Format::OpenMetrics => name.trim_end_matches("_total"),
            };
            let kind = format!("{kind:?}").to_lowercase();
            self.text += &format!("# HELP pg_trickle_{family} {help}\n# TYPE pg_trickle_{family} {kind}\n");
        }
        let mut family = MetricFamily::default();
        family.set_name(format!("pg_trickle_{name}"));
        family.set_field_type(kind);
        family.set_metric(samples);
        let start = self.text.len();
        TextEncoder::new().encode_utf8(std::slice::from_ref(&family), &mut self.text)?;
        // The encoder's own header.
        let end = self.text[start..].find('\n').map_or(start, |end| start + end + 1);
        self.text.drain(start..end);
        Ok(family.take_metric())
    }
}

fn counter(value: f64) -> Counter {
    let mut counter = Counter::default();
    counter.set_value(value);
    counter
}

fn gauge(value: f64) -> Gauge {
    let mut gauge = Gauge::default();
    gauge.set_value(value);
    gauge
}

fn histogram(distribution: &Distribution) -> Histogram {
    let cumulative = |last: usize| distribution.counts.iter().take(last + 1).sum::<u64>();
    let buckets = (FIRST_BUCKET..=LAST_BUCKET).step_by(2).map(|last| {
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(end(last) as f64 / SECOND as f64);
        bucket.set_cumulative_count(cumulative(last));
        bucket
    });
    let mut histogram = Histogram::default();
    histogram.set_bucket(buckets.collect());
    histogram.set_sample_count(cumulative(BUCKETS));
    histogram.set_sample_sum(distribution.sum as f64 / SECOND as f64);
    histogram
}

fn number(value: bool) -> f64 {
    f64::from(u8::from(value))
}

fn server(snapshot: &Snapshot, text: &mut Text) -> prometheus::Result<()> {
    let mut version = Objects::new(std::slice::from_ref(&snapshot.version), |version| [("version", version)]);
    text.put(&mut version, "build_info", "The version of the library.", |_| Some(1.0))?;
    let kinds = KINDS.into_iter().flat_map(|kind| [(kind, "busy", true), (kind, "idle", false)]);
    let count = |(kind, state, busy)| {
        let count = snapshot.workers.iter().filter(|it| it.kind == kind && it.busy == busy).count();
        (kind, state, count as f64)
    };
    let workers: Vec<(Kind, &str, f64)> = kinds.map(count).collect();
    let mut workers = Objects::new(&workers, |(kind, state, _)| [("kind", kind.as_str()), ("state", state)]);
    text.put(&mut workers, "workers", "Background workers by what they do.", |(_, _, count)| Some(*count))?;
    let server = &snapshot.server;
    for (name, help, value) in [
        ("enabled", "1 if stream tables are refreshed in the background.", u64::from(snapshot.enabled)),
        ("parallel_queue_depth", "Groups of stream tables that are due and wait for a worker.", snapshot.queue_depth),
        ("worker_idle_ms_total", "Milliseconds in which schedulers and workers waited.", server.idle_ms),
        ("worker_busy_ms_total", "Milliseconds in which schedulers and workers ran ticks.", server.busy_ms),
        ("ticks_total", "Ticks: transactions that refresh stream tables.", snapshot.ticks),
        ("plan_cache_bytes", "Memory of the plans that background workers keep.", server.plan_bytes),
        ("plan_cache_hits_total", "Refreshes that found the definition and its plans in the cache.", server.plans.hits),
        ("plan_cache_misses_total", "Refreshes that read the definition.", server.plans.misses),
        ("plan_cache_evictions_total", "Definitions that were evicted for want of memory.", server.plans.evictions),
        ("cost_cache_hits_total", "Choices of mode AUTO that had an estimate.", server.costs.hits),
        ("cost_cache_misses_total", "Choices of mode AUTO that asked the planner.", server.costs.misses),
        ("uncounted_tables", "Stream tables beyond pg_trickle.max_counted_tables.", snapshot.uncounted),
    ] {
        text.put(&mut Objects::new(&[value], |_| []), name, help, |value| Some(*value as f64))?;
    }
    Ok(())
}

fn databases(databases: &[Database], text: &mut Text) -> prometheus::Result<()> {
    let mut databases = Objects::new(databases, |it| [("database", &it.counted.name)]);
    let running = "1 if the database has a scheduler, or needs none at the moment.";
    text.put(&mut databases, "scheduler_running", running, |it| Some(number(it.service? != Service::Missing)))?;
    let errors: [(&str, Value<Database>); 4] = [
        ("data", |it| Some(it.counted.errors[0] as f64)),
        ("definition", |it| Some(it.counted.errors[1] as f64)),
        ("transient", |it| Some(it.counted.errors[2] as f64)),
        ("internal", |it| Some(it.counted.errors[3] as f64)),
    ];
    text.put_each(&mut databases, "errors_total", "Failed refreshes by their cause.", "kind", &errors)?;
    let lag = "From the commit of a change until it is visible.";
    text.put_histograms(&databases, "lag_seconds", lag, |it| &it.counted.lag)?;
    let duration = "Durations of refreshes that did work.";
    text.put_histograms(&databases, "refresh_duration_seconds", duration, |it| &it.counted.duration)
}

fn tables(tables: &[Table], text: &mut Text) -> prometheus::Result<()> {
    let mut tables =
        Objects::new(tables, |it| [("database", &it.database), ("schema", &it.schema), ("table", &it.name)]);
    let modes: [(&str, Value<Table>); 4] = [
        ("DIFFERENTIAL", |it| Some(it.refreshes.differential as f64)),
        ("FULL", |it| Some(it.refreshes.full as f64)),
        ("REINITIALIZE", |it| Some(it.refreshes.reinitialize as f64)),
        ("NO_DATA", |it| Some(it.refreshes.no_data as f64)),
    ];
    text.put_each(&mut tables, "refreshes_total", "Refreshes by what they did.", "mode", &modes)?;
    let rows: [(&str, Value<Table>); 3] = [
        ("inserted", |it| Some(it.rows.inserted as f64)),
        ("updated", |it| Some(it.rows.updated as f64)),
        ("deleted", |it| Some(it.rows.deleted as f64)),
    ];
    text.put_each(&mut tables, "rows_total", "Rows of stream tables that refreshes changed.", "operation", &rows)?;
    let expected: [(&str, Value<Table>); 2] = [
        ("DIFFERENTIAL", |it| chosen(&it.delta_choices).map(|it| it.expected)),
        ("FULL", |it| chosen(&it.full_choices).map(|it| it.expected)),
    ];
    let help = "Time that mode AUTO expected of the refreshes for which it chose between two ways.";
    text.put_each(&mut tables, "auto_expected_seconds_total", help, "mode", &expected)?;
    let measured: [(&str, Value<Table>); 2] = [
        ("DIFFERENTIAL", |it| chosen(&it.delta_choices).map(|it| it.took)),
        ("FULL", |it| chosen(&it.full_choices).map(|it| it.took)),
    ];
    text.put_each(&mut tables, "auto_measured_seconds_total", "Time that they took.", "mode", &measured)?;
    let values: [(&str, &str, Value<Table>); 13] = [
        ("refresh_errors_total", "Failed refreshes.", |it| Some(it.errors as f64)),
        ("change_rows_total", "Change rows that refreshes read.", |it| Some(it.change_rows as f64)),
        ("missed_targets_total", "Refreshes that showed a change after its deadline.", |it| Some(it.missed as f64)),
        ("refresh_seconds_total", "Time that refreshes took.", |it| Some(it.total_duration)),
        ("cdc_lag_p50_seconds", "Median lag of the last 15 minutes, from commit to visible.", |it| Some(it.lag?.p50)),
        ("cdc_lag_p95_seconds", "95th percentile of that lag.", |it| Some(it.lag?.p95)),
        ("cdc_lag_p99_seconds", "99th percentile of that lag.", |it| Some(it.lag?.p99)),
        ("data_timestamp_seconds", "The time whose data it shows.", |it| it.data_timestamp),
        ("staleness_seconds", "Age of the oldest change that it does not show.", |it| Some(it.staleness)),
        ("target_seconds", "The greatest age of its data by its schedule.", |it| it.target),
        ("active", "1 while workers refresh it.", |it| Some(number(it.status == "ACTIVE"))),
        ("suspended", "1 after too many errors in a row.", |it| Some(number(it.status == "SUSPENDED"))),
        ("recomputed", "1 if every refresh recomputes it.", |it| it.recomputes.then_some(1.0)),
    ];
    values.into_iter().try_for_each(|(name, help, value)| text.put(&mut tables, name, help, value))
}

/// A way that was never chosen has no sample.
fn chosen(choices: &Chosen) -> Option<&Chosen> {
    Some(choices).filter(|choices| choices.count > 0)
}

fn sources(sources: &[Source], text: &mut Text) -> prometheus::Result<()> {
    let mut sources =
        Objects::new(sources, |it| [("database", &it.database), ("schema", &it.schema), ("table", &it.name)]);
    let values: [(&str, &str, Value<Source>); 5] = [
        ("captured_rows_total", "Changes that committed transactions captured.", |it| Some(it.captured_rows as f64)),
        ("captured_bytes_total", "Their size as stored.", |it| Some(it.captured_bytes as f64)),
        ("pending_rows", "Changes in the change buffer.", |it| Some(it.pending_rows as f64)),
        ("pending_bytes", "Their size as stored.", |it| Some(it.pending_bytes as f64)),
        ("oldest_pending_seconds", "Age of the oldest change that a consumer does not show.", |it| {
            Some(it.oldest_pending.unwrap_or(0.0))
        }),
    ];
    values.into_iter().try_for_each(|(name, help, value)| text.put(&mut sources, name, help, value))
}
