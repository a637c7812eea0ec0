//! Metrics in the text formats of Prometheus and of OpenMetrics. Names follow their conventions: base units, `_total` for
//! what only grows.

use prometheus::TextEncoder;
use prometheus::proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType};

use crate::SECOND;
use crate::histogram::{BUCKETS, Distribution, Quantiles, end};
use crate::snapshot::{Database, KINDS, Refreshes, Service, Snapshot, Source, Table};
use crate::tables::CAUSES;

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

struct Text {
    text: String,
    format: Format,
}

type Labels = Vec<LabelPair>;

impl Text {
    /// Appends a metric whose values have these labels; the kind follows from its name.
    fn put(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (Labels, f64)>,
    ) -> prometheus::Result<()> {
        let is_counter = name.ends_with("_total");
        let metric = |(labels, value)| {
            let mut metric = Metric::from_label(labels);
            if is_counter {
                let mut counter = Counter::default();
                counter.set_value(value);
                metric.set_counter(counter);
            } else {
                let mut gauge = Gauge::default();
                gauge.set_value(value);
                metric.set_gauge(gauge);
            }
            metric
        };
        let kind = if is_counter { MetricType::COUNTER } else { MetricType::GAUGE };
        self.encode(name, help, kind, values.into_iter().map(metric).collect())
    }

    fn put_histograms<'a>(
        &mut self,
        name: &str,
        help: &str,
        values: impl Iterator<Item = (Labels, &'a Distribution)>,
    ) -> prometheus::Result<()> {
        let metric = |(labels, distribution): (Labels, &Distribution)| {
            let mut metric = Metric::from_label(labels);
            metric.set_histogram(histogram(distribution));
            metric
        };
        self.encode(name, help, MetricType::HISTOGRAM, values.map(metric).collect())
    }

    fn encode(&mut self, name: &str, help: &str, kind: MetricType, metrics: Vec<Metric>) -> prometheus::Result<()> {
        if metrics.is_empty() {
            return Ok(());
        }
        let mut family = MetricFamily::default();
        family.set_name(name.to_owned());
        family.set_help(help.to_owned());
        family.set_field_type(kind);
        family.set_metric(metrics);
        let start = self.text.len();
        TextEncoder::new().encode_utf8(&[family], &mut self.text)?;
        if self.format == Format::OpenMetrics
            && let Some(family) = name.strip_suffix("_total")
        {
            // There a family has the name without the suffix of its samples.
            let encoded = self.text.split_off(start);
            let header = |line: &str| line.replacen(&format!(" {name} "), &format!(" {family} "), 1);
            encoded.split_inclusive('\n').for_each(|line| match line.starts_with('#') {
                true => self.text.push_str(&header(line)),
                false => self.text.push_str(line),
            });
        }
        Ok(())
    }
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

fn labels(pairs: &[(&str, &str)]) -> Labels {
    let pair = |(name, value): &(&str, &str)| {
        let mut label = LabelPair::default();
        label.set_name((*name).to_owned());
        label.set_value((*value).to_owned());
        label
    };
    pairs.iter().map(pair).collect()
}

fn one(value: impl Into<f64>) -> [(Labels, f64); 1] {
    [(vec![], value.into())]
}

fn server(snapshot: &Snapshot, text: &mut Text) -> prometheus::Result<()> {
    let server = &snapshot.server;
    let version = [(labels(&[("version", &snapshot.version)]), 1.0)];
    let workers = KINDS.into_iter().flat_map(|kind| {
        [("busy", true), ("idle", false)].map(|(state, busy)| {
            let count = snapshot.workers.iter().filter(|it| it.kind == kind && it.busy == busy).count();
            (labels(&[("kind", kind.as_str()), ("state", state)]), count as f64)
        })
    });
    text.put("pg_trickle_build_info", "The version of the library.", version)?;
    text.put("pg_trickle_enabled", "1 if stream tables are refreshed in the background.", one(snapshot.enabled))?;
    text.put("pg_trickle_workers", "Background workers by what they do.", workers)?;
    let depth = snapshot.queue_depth as f64;
    text.put(
        "pg_trickle_parallel_queue_depth",
        "Groups of stream tables that are due and wait for a worker.",
        one(depth),
    )?;
    for (name, help, value) in [
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
        text.put(&format!("pg_trickle_{name}"), help, one(value as f64))?;
    }
    Ok(())
}

fn databases(databases: &[Database], text: &mut Text) -> prometheus::Result<()> {
    let named = |database: &Database| labels(&[("database", &database.counted.name)]);
    let served = databases
        .iter()
        .filter_map(|database| Some((named(database), f64::from(u8::from(database.service? != Service::Missing)))));
    let errors = databases.iter().flat_map(|database| {
        CAUSES.into_iter().zip(database.counted.errors).map(|(cause, count)| {
            (labels(&[("database", &database.counted.name), ("kind", cause.as_str())]), count as f64)
        })
    });
    text.put(
        "pg_trickle_scheduler_running",
        "1 if the database has a scheduler, or needs none at the moment.",
        served,
    )?;
    text.put("pg_trickle_errors_total", "Failed refreshes by their cause.", errors)?;
    let lags = databases.iter().map(|it| (named(it), &it.counted.lag));
    text.put_histograms("pg_trickle_lag_seconds", "From the commit of a change until it is visible.", lags)?;
    let durations = databases.iter().map(|it| (named(it), &it.counted.duration));
    text.put_histograms("pg_trickle_refresh_duration_seconds", "Durations of refreshes that did work.", durations)
}

fn tables(tables: &[Table], text: &mut Text) -> prometheus::Result<()> {
    let named =
        |table: &Table| labels(&[("database", &table.database), ("schema", &table.schema), ("table", &table.name)]);
    let with = |table: &Table, label: &str, value: &str| [named(table), labels(&[(label, value)])].concat();
    let modes = tables.iter().flat_map(|it| {
        let Refreshes { differential, full, reinitialize, no_data } = it.refreshes;
        [("DIFFERENTIAL", differential), ("FULL", full), ("REINITIALIZE", reinitialize), ("NO_DATA", no_data)]
            .map(|(mode, count)| (with(it, "mode", mode), count as f64))
    });
    text.put("pg_trickle_refreshes_total", "Refreshes by what they did.", modes)?;
    let rows = tables.iter().flat_map(|it| {
        [("inserted", it.rows.inserted), ("updated", it.rows.updated), ("deleted", it.rows.deleted)]
            .map(|(operation, count)| (with(it, "operation", operation), count as f64))
    });
    text.put("pg_trickle_rows_total", "Rows of stream tables that refreshes changed.", rows)?;
    type Value = fn(&Table) -> Option<f64>;
    let values: [(&str, &str, Value); 13] = [
        ("refresh_errors_total", "Failed refreshes.", |it| Some(it.errors as f64)),
        ("change_rows_total", "Change rows that refreshes read.", |it| Some(it.change_rows as f64)),
        ("missed_targets_total", "Refreshes that showed a change after its deadline.", |it| Some(it.missed as f64)),
        ("refresh_seconds_total", "Time that refreshes took.", |it| Some(it.total_duration)),
        ("cdc_lag_p50_seconds", "Median lag of the last 15 minutes, from commit to visible.", |it| lag(it, |q| q.p50)),
        ("cdc_lag_p95_seconds", "95th percentile of that lag.", |it| lag(it, |q| q.p95)),
        ("cdc_lag_p99_seconds", "99th percentile of that lag.", |it| lag(it, |q| q.p99)),
        ("data_timestamp_seconds", "The time whose data it shows.", |it| it.data_timestamp),
        ("staleness_seconds", "Age of the oldest change that it does not show.", |it| Some(it.staleness)),
        ("target_seconds", "The greatest age of its data by its schedule.", |it| it.target),
        ("active", "1 while workers refresh it.", |it| Some(f64::from(u8::from(it.status == "ACTIVE")))),
        ("suspended", "1 after too many errors in a row.", |it| Some(f64::from(u8::from(it.status == "SUSPENDED")))),
        ("recomputed", "1 if every refresh recomputes it.", |it| Some(f64::from(u8::from(it.recomputes)))),
    ];
    for (name, help, value) in values {
        let values = tables.iter().filter_map(|it| Some((named(it), value(it)?)));
        text.put(&format!("pg_trickle_{name}"), help, values)?;
    }
    Ok(())
}

fn lag(table: &Table, quantile: fn(&Quantiles) -> f64) -> Option<f64> {
    table.lag.as_ref().map(quantile)
}

fn sources(sources: &[Source], text: &mut Text) -> prometheus::Result<()> {
    type Value = fn(&Source) -> f64;
    let values: [(&str, &str, Value); 5] = [
        ("captured_rows_total", "Changes that committed transactions captured.", |it| it.captured_rows as f64),
        ("captured_bytes_total", "Their size as stored.", |it| it.captured_bytes as f64),
        ("pending_rows", "Changes in the change buffer.", |it| it.pending_rows as f64),
        ("pending_bytes", "Their size as stored.", |it| it.pending_bytes as f64),
        ("oldest_pending_seconds", "Age of the oldest change that a consumer does not show.", |it| {
            it.oldest_pending.unwrap_or(0.0)
        }),
    ];
    for (name, help, value) in values {
        let values = sources
            .iter()
            .map(|it| (labels(&[("database", &it.database), ("schema", &it.schema), ("table", &it.name)]), value(it)));
        text.put(&format!("pg_trickle_{name}"), help, values)?;
    }
    Ok(())
}
