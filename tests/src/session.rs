//! One connection that speaks plain SQL and answers in text.

use std::fmt;
use std::time::{Duration, Instant};

use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage};

/// An error of the server: SQLSTATE, message, detail, hint. A lost connection has the code `08006`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub code: String,
    pub message: String,
    pub detail: Option<String>,
    pub hint: Option<String>,
}

pub type Row = Vec<Option<String>>;

/// After this time a wait is taken for a hang. It is far more than any machine needs, so that no test depends on speed.
pub const HANG: Duration = Duration::from_secs(300);

/// A connection to one database.
pub struct Session {
    client: Client,
    pub pid: i32,
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {}", self.code, self.message)?;
        for (label, text) in [("DETAIL", &self.detail), ("HINT", &self.hint)] {
            if let Some(text) = text {
                write!(out, "\n{label}: {text}")?;
            }
        }
        Ok(())
    }
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Failure {
        match error.as_db_error() {
            Some(report) => Failure {
                code: report.code().code().to_owned(),
                message: report.message().to_owned(),
                detail: report.detail().map(str::to_owned),
                hint: report.hint().map(str::to_owned),
            },
            None => Failure { code: "08006".to_owned(), message: error.to_string(), detail: None, hint: None },
        }
    }
}

impl Failure {
    /// The server or the connection ended, with an error of class 57P or without.
    pub fn is_disconnect(&self) -> bool {
        self.code.starts_with("08") || ["57P01", "57P02", "57P03"].contains(&self.code.as_str())
    }

    /// What concurrent writers may do to each other: serialization, deadlock, lock timeout, a taken key.
    pub fn is_contention(&self) -> bool {
        ["40001", "40P01", "55P03", "23505"].contains(&self.code.as_str())
    }
}

impl Session {
    pub async fn open(config: &Config) -> Result<Session, Failure> {
        let (client, connection) = config.connect(NoTls).await?;
        // A broken connection surfaces as the error of the next statement.
        tokio::spawn(connection);
        let mut session = Session { client, pid: 0 };
        // A server that is about to fall may still accept.
        let rows = session.try_rows("select pg_backend_pid()").await?;
        session.pid = rows.concat().into_iter().flatten().find_map(|pid| pid.parse().ok()).unwrap_or(0);
        Ok(session)
    }

    /// What speaks the protocol: for COPY and parameters.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Runs statements; one that fails is the result.
    pub async fn attempt(&self, sql: &str) -> Result<(), Failure> {
        Ok(self.client.batch_execute(sql).await?)
    }

    /// Runs statements that must succeed.
    pub async fn run(&self, sql: &str) {
        if let Err(failure) = self.attempt(sql).await {
            panic!("{failure}\nin: {sql}");
        }
    }

    /// Runs a statement that must fail.
    pub async fn refuse(&self, sql: &str) -> Failure {
        match self.attempt(sql).await {
            Err(failure) => failure,
            Ok(()) => panic!("no error in: {sql}"),
        }
    }

    /// Runs one statement; the number of rows that it says it affected.
    pub async fn affect(&self, sql: &str) -> Result<u64, Failure> {
        let messages = self.client.simple_query(sql).await?;
        let counts = messages.iter().filter_map(|message| match message {
            SimpleQueryMessage::CommandComplete(count) => Some(*count),
            _ => None,
        });
        Ok(counts.last().unwrap_or(0))
    }

    pub async fn try_rows(&self, sql: &str) -> Result<Vec<Row>, Failure> {
        let messages = self.client.simple_query(sql).await?;
        let rows = messages.into_iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some((0..row.len()).map(|at| row.get(at).map(str::to_owned)).collect()),
            _ => None,
        });
        Ok(rows.collect())
    }

    pub async fn rows(&self, sql: &str) -> Vec<Row> {
        self.try_rows(sql).await.unwrap_or_else(|failure| panic!("{failure}\nin: {sql}"))
    }

    /// The same as [`Session::column`] of a query that may fail.
    pub async fn attempt_column(&self, sql: &str) -> Result<Vec<String>, Failure> {
        let messages = self.client.simple_query(sql).await?;
        let rows = messages.into_iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap_or_default().to_owned()),
            _ => None,
        });
        Ok(rows.collect())
    }

    /// The first column of every row; NULL is the empty string.
    pub async fn column(&self, sql: &str) -> Vec<String> {
        self.rows(sql).await.into_iter().map(|row| row.into_iter().next().flatten().unwrap_or_default()).collect()
    }

    /// The one value of a query; NULL is the empty string.
    pub async fn value(&self, sql: &str) -> String {
        self.column(sql).await.into_iter().next().unwrap_or_default()
    }

    pub async fn number(&self, sql: &str) -> i64 {
        let text = self.value(sql).await;
        text.parse().unwrap_or_else(|_| panic!("not a number: \"{text}\" from {sql}"))
    }

    pub async fn holds(&self, sql: &str) -> bool {
        self.value(sql).await == "t"
    }

    /// Polls until `condition` holds.
    pub async fn wait_until(&self, condition: &str) {
        assert!(self.reaches(condition, HANG).await, "after {HANG:?} still not: {condition}");
    }

    /// Whether a condition comes true within a time.
    pub async fn reaches(&self, condition: &str, time: Duration) -> bool {
        let started = Instant::now();
        while !self.holds(condition).await {
            if started.elapsed() >= time {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        true
    }
}
