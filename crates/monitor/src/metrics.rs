//! Metrics in the text formats of Prometheus and of OpenMetrics. Names follow their conventions: base units, `_total` for
//! what only grows.

use prometheus::TextEncoder;
use prometheus::proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType};

use crate::histogram::{BUCKETS, Distribution, end};
use crate::seconds;
use crate::snapshot::{Database, Kind, Snapshot, Source, Table};
use crate::tables::Choices;

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

/// Objects of one kind, each with a sample that has its labels: they are made once for all metrics.
type Objects<'a, T> = Vec<(&'a T, Metric)>;

fn objects<T, const N: usize>(all: &[T], labels: for<'b> fn(&'b T) -> [(&'static str, &'b str); N]) -> Objects<'_, T> {
    let sample = |object| Metric::from_label(labels(object).map(|(name, value)| label(name, value)).into());
    all.iter().map(|object| (object, sample(object))).collect()
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
        let kind = if name.ends_with("_total") { MetricType::COUNTER } else { MetricType::GAUGE };
        let mut is_first = true;
        for (which, value) in values {
            let (mut places, mut samples) = (vec![], vec![]);
            for (object, sample) in objects.iter_mut() {
                let Some(value) = value(object) else { continue };
                let mut labels = sample.take_label();
                labels.extend((!further.is_empty()).then(|| label(further, which)));
                sample.set_label(labels);
                set(sample, value);
                samples.push(std::mem::take(sample));
                places.push(sample);
            }
            let mut family = family(name, help, kind, samples);
            self.append(&family, is_first)?;
            is_first &= places.is_empty();
            for (place, mut sample) in places.into_iter().zip(family.take_metric()) {
                let mut labels = sample.take_label();
                labels.pop_if(|label| label.name() == further);
                *place = Metric::from_label(labels);
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
        let sample = |(object, sample): &(&T, Metric)| {
            let mut sample = sample.clone();
            sample.set_histogram(histogram(of(object)));
            sample
        };
        self.append(&family(name, help, MetricType::HISTOGRAM, objects.iter().map(sample).collect()), true)
    }

    /// Appends samples of a metric, the first ones with its header.
    fn append(&mut self, family: &MetricFamily, is_first: bool) -> prometheus::Result<()> {
        if family.get_metric().is_empty() {
            return Ok(());
        }
        let start = self.text.len();
        TextEncoder::new().encode_utf8(std::slice::from_ref(family), &mut self.text)?;
        let end = self.text[start..].match_indices('\n').nth(1).map_or(start, |(end, _)| start + end + 1);
        let header = match self.format {
            _ if !is_first => String::new(),
            Format::Prometheus => return Ok(()),
            // There a metric has the name without the suffix of its samples.
            Format::OpenMetrics => self.text[start..end].replace("_total ", " "),
        };
        self.text.replace_range(start..end, &header);
        Ok(())
    }
}

fn family(name: &str, help: &str, kind: MetricType, samples: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(format!("pg_trickle_{name}"));
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    family.set_metric(samples);
    family
}

/// Sets the value of a sample, of either kind.
fn set(sample: &mut Metric, value: f64) {
    let (mut counter, mut gauge) = (Counter::default(), Gauge::default());
    counter.set_value(value);
    gauge.set_value(value);
    sample.set_counter(counter);
    sample.set_gauge(gauge);
}

fn histogram(distribution: &Distribution) -> Histogram {
    let cumulative = |last: usize| distribution.counts.iter().take(last + 1).sum::<u64>();
    let buckets = (FIRST_BUCKET..=LAST_BUCKET).step_by(2).map(|last| {
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(seconds(end(last)));
        bucket.set_cumulative_count(cumulative(last));
        bucket
    });
    let mut histogram = Histogram::default();
    histogram.set_bucket(buckets.collect());
    histogram.set_sample_count(cumulative(BUCKETS));
    histogram.set_sample_sum(seconds(distribution.sum as i64));
    histogram
}

fn server(snapshot: &Snapshot, text: &mut Text) -> prometheus::Result<()> {
    let mut version = objects(std::slice::from_ref(&snapshot.version), |version| [("version", version)]);
    text.put(&mut version, "build_info", "The version of the library.", |_| Some(1.0))?;
    let count = |kind, busy| snapshot.workers.iter().filter(|it| it.kind == kind && it.busy == busy).count() as f64;
    let kinds = [("launcher", Kind::Launcher), ("scheduler", Kind::Scheduler), ("pool", Kind::Pool)];
    let states = |(name, kind)| [(name, "busy", count(kind, true)), (name, "idle", count(kind, false))];
    let workers: Vec<(&str, &str, f64)> = kinds.into_iter().flat_map(states).collect();
    let mut workers = objects(&workers, |(kind, state, _)| [("kind", kind), ("state", state)]);
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
        text.put(&mut objects(&[value], |_| []), name, help, |value| Some(*value as f64))?;
    }
    Ok(())
}

fn databases(databases: &[Database], text: &mut Text) -> prometheus::Result<()> {
    let mut databases = objects(databases, |it| [("database", &it.name)]);
    let running = "1 if the database has a scheduler, or needs none at the moment.";
    text.put(&mut databases, "scheduler_running", running, |it| Some(f64::from(it.served?)))?;
    let errors: [(&str, Value<Database>); 4] = [
        ("data", |it| Some(it.counted.errors.data as f64)),
        ("definition", |it| Some(it.counted.errors.definition as f64)),
        ("transient", |it| Some(it.counted.errors.transient as f64)),
        ("internal", |it| Some(it.counted.errors.internal as f64)),
    ];
    text.put_each(&mut databases, "errors_total", "Failed refreshes by their cause.", "kind", &errors)?;
    let lag = "From the commit of a change until it is visible.";
    text.put_histograms(&databases, "lag_seconds", lag, |it| &it.lag)?;
    let duration = "Durations of refreshes that did work.";
    text.put_histograms(&databases, "refresh_duration_seconds", duration, |it| &it.duration)
}

fn tables(tables: &[Table], text: &mut Text) -> prometheus::Result<()> {
    let mut tables = objects(tables, |it| {
        [("database", &it.database), ("schema", &it.described.schema), ("table", &it.described.name)]
    });
    let modes: [(&str, Value<Table>); 4] = [
        ("DIFFERENTIAL", |it| Some(it.counted.refreshes.differential as f64)),
        ("FULL", |it| Some(it.counted.refreshes.full as f64)),
        ("REINITIALIZE", |it| Some(it.counted.refreshes.reinitialize as f64)),
        ("NO_DATA", |it| Some(it.counted.refreshes.no_data as f64)),
    ];
    text.put_each(&mut tables, "refreshes_total", "Refreshes by what they did.", "mode", &modes)?;
    let rows: [(&str, Value<Table>); 3] = [
        ("inserted", |it| Some(it.counted.rows.inserted as f64)),
        ("updated", |it| Some(it.counted.rows.updated as f64)),
        ("deleted", |it| Some(it.counted.rows.deleted as f64)),
    ];
    text.put_each(&mut tables, "rows_total", "Rows of stream tables that refreshes changed.", "operation", &rows)?;
    let help = "Time that mode AUTO expected of the refreshes for which it chose between two ways.";
    let expected: [(&str, Value<Table>); 2] = [
        ("DIFFERENTIAL", |it| chosen(&it.counted.delta_choices).map(|it| seconds(it.expected))),
        ("FULL", |it| chosen(&it.counted.full_choices).map(|it| seconds(it.expected))),
    ];
    text.put_each(&mut tables, "auto_expected_seconds_total", help, "mode", &expected)?;
    let measured: [(&str, Value<Table>); 2] = [
        ("DIFFERENTIAL", |it| chosen(&it.counted.delta_choices).map(|it| seconds(it.took))),
        ("FULL", |it| chosen(&it.counted.full_choices).map(|it| seconds(it.took))),
    ];
    text.put_each(&mut tables, "auto_measured_seconds_total", "Time that they took.", "mode", &measured)?;
    let values: [(&str, &str, Value<Table>); 13] = [
        ("refresh_errors_total", "Failed refreshes.", |it| Some(it.errors as f64)),
        ("change_rows_total", "Change rows that refreshes read.", |it| Some(it.counted.change_rows as f64)),
        ("missed_targets_total", "Refreshes that showed a change after its deadline.", |it| {
            Some(it.counted.missed as f64)
        }),
        ("refresh_seconds_total", "Time that refreshes took.", |it| Some(seconds(it.counted.total_duration))),
        ("cdc_lag_p50_seconds", "Median lag of the last 15 minutes, from commit to visible.", |it| Some(it.lag?.p50)),
        ("cdc_lag_p95_seconds", "95th percentile of that lag.", |it| Some(it.lag?.p95)),
        ("cdc_lag_p99_seconds", "99th percentile of that lag.", |it| Some(it.lag?.p99)),
        ("data_timestamp_seconds", "The time whose data it shows.", |it| it.data_timestamp),
        ("staleness_seconds", "Age of the oldest change that it does not show.", |it| Some(it.staleness)),
        ("target_seconds", "The greatest age of its data by its schedule.", |it| it.described.target.map(seconds)),
        ("active", "1 while workers refresh it.", |it| Some(f64::from(it.described.status == "ACTIVE"))),
        ("suspended", "1 after too many errors in a row.", |it| Some(f64::from(it.described.status == "SUSPENDED"))),
        ("recomputed", "1 if every refresh recomputes it.", |it| it.described.recomputes.then_some(1.0)),
    ];
    values.into_iter().try_for_each(|(name, help, value)| text.put(&mut tables, name, help, value))
}

/// A way that was never chosen has no sample.
fn chosen(choices: &Choices) -> Option<&Choices> {
    Some(choices).filter(|choices| choices.count > 0)
}

fn sources(sources: &[Source], text: &mut Text) -> prometheus::Result<()> {
    let mut sources = objects(sources, |it| {
        [("database", &it.database), ("schema", &it.described.schema), ("table", &it.described.name)]
    });
    let values: [(&str, &str, Value<Source>); 5] = [
        ("captured_rows_total", "Changes that committed transactions captured.", |it| {
            Some(it.counted.captured_rows as f64)
        }),
        ("captured_bytes_total", "Their size as stored.", |it| Some(it.counted.captured_bytes as f64)),
        ("pending_rows", "Changes in the change buffer.", |it| Some(it.counted.pending_rows as f64)),
        ("pending_bytes", "Their size as stored.", |it| Some(it.counted.pending_bytes as f64)),
        ("oldest_pending_seconds", "Age of the oldest change that a consumer does not show.", |it| {
            Some(it.oldest_pending.unwrap_or(0.0))
        }),
    ];
    values.into_iter().try_for_each(|(name, help, value)| text.put(&mut sources, name, help, value))
}
