//! A server, and databases of a test's own on it.
//!
//! Invariant: at most two tests work at a time, on whatever machine, so that timings mean something.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_postgres::Config;

use crate::session::{Failure, HANG, Session};

static SLOTS: Semaphore = Semaphore::const_new(2);
static NEXT: AtomicU32 = AtomicU32::new(0);

/// Where databases are made.
#[derive(Clone)]
pub struct Server {
    config: Config,
}

/// A database with the extension, made for one test and dropped at its end. A failed test leaves it.
pub struct Database {
    server: Server,
    pub name: String,
    _slot: SemaphorePermit<'static>,
}

impl Server {
    /// The server that all tests share.
    pub fn shared() -> Server {
        let url = std::env::var("PG_TRICKLE_URL").expect("PG_TRICKLE_URL names a server with pg_trickle preloaded");
        Server { config: url.parse().expect("PG_TRICKLE_URL is a URL") }
    }

    pub fn at(url: &str) -> Server {
        Server { config: url.parse().expect("a URL") }
    }

    pub async fn try_connect(&self, database: &str) -> Result<Session, Failure> {
        let mut config = self.config.clone();
        config.dbname(database).application_name("pg_trickle_tests").connect_timeout(HANG);
        // A statement that waits for ever fails.
        config.options(format!("-c statement_timeout={}", HANG.as_millis()));
        Session::open(&config).await
    }

    pub async fn connect(&self, database: &str) -> Session {
        self.try_connect(database).await.unwrap_or_else(|failure| panic!("{failure}\non connecting to {database}"))
    }

    pub async fn admin(&self) -> Session {
        self.connect("postgres").await
    }

    pub async fn major(&self) -> i64 {
        self.admin().await.number("select current_setting('server_version_num')::int / 10000").await
    }
}

impl Database {
    pub async fn fresh(test: &str) -> Database {
        Database::on(&Server::shared(), test).await
    }

    pub async fn on(server: &Server, test: &str) -> Database {
        let slot = SLOTS.acquire().await.expect("never closed");
        let name = format!("{test}_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        server.admin().await.run(&format!("create database {name}")).await;
        let database = Database { server: server.clone(), name, _slot: slot };
        database.connect().await.run("create extension pg_trickle").await;
        database
    }

    pub async fn connect(&self) -> Session {
        self.server.connect(&self.name).await
    }

    pub async fn try_connect(&self) -> Result<Session, Failure> {
        self.server.try_connect(&self.name).await
    }

    /// After a crash: as soon as the server takes connections.
    pub async fn reconnect(&self) -> Session {
        let started = Instant::now();
        loop {
            match self.try_connect().await {
                Ok(session) => return session,
                Err(failure) => assert!(started.elapsed() < HANG, "{failure}"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub async fn admin(&self) -> Session {
        self.server.admin().await
    }

    /// A connection to another database of the same server.
    pub async fn connect_to(&self, name: &str) -> Session {
        self.server.connect(name).await
    }

    pub async fn close(self) {
        self.server.admin().await.run(&format!("drop database {} with (force)", self.name)).await;
    }
}
