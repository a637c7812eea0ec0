//! The server under test, and the one database in which everything happens.

use tokio_postgres::{Client, Config, NoTls};

use crate::Result;
use crate::session::Session;

const DATABASE: &str = "trickle_bench";

/// Where the benches run.
pub struct Server {
    config: Config,
    /// Connected to the database that the URL names, so that it disturbs nothing in ours.
    pub outside: Client,
}

impl Server {
    /// Replaces our database by an empty one with the extension.
    pub async fn fresh() -> Result<Server> {
        let url = std::env::var("PG_TRICKLE_URL")
            .map_err(|_| "PG_TRICKLE_URL is not set: `scripts/pg up` starts a server and prints its URL")?;
        let config: Config = url.parse()?;
        let outside = connect(&config).await?;
        outside.batch_execute(&format!("drop database if exists {DATABASE} with (force)")).await?;
        outside.batch_execute(&format!("create database {DATABASE}")).await?;
        let server = Server { config, outside };
        let session = server.session("public").await?;
        session.client.batch_execute("create extension pg_trickle").await?;
        session.client.batch_execute(include_str!("../sql/functions.sql")).await?;
        Ok(server)
    }

    /// A new session whose unqualified names are those of `schema`, then ours.
    pub async fn session(&self, schema: &str) -> Result<Session> {
        let client = connect(self.config.clone().dbname(DATABASE)).await?;
        client.execute("select set_config('search_path', $1 || ', public', false)", &[&schema]).await?;
        Session::over(client).await
    }

    /// Whether the server vacuums by itself; as its configuration has it when `on`.
    pub async fn autovacuum(&self, on: bool) -> Result<()> {
        let change = if on { "reset autovacuum" } else { "set autovacuum = off" };
        self.outside.batch_execute(&format!("alter system {change}")).await?;
        Ok(self.outside.batch_execute("select pg_reload_conf()").await?)
    }

    /// Bytes that were ever written to the log.
    pub async fn log_position(&self) -> Result<i64> {
        let query = "select (pg_current_wal_insert_lsn() - '0/0')::bigint";
        Ok(self.outside.query_one(query, &[]).await?.get(0))
    }

    /// Connects anew, where the server was stopped in the meantime.
    pub async fn reconnect(&mut self) -> Result<()> {
        self.outside = connect(&self.config).await?;
        Ok(())
    }

    /// The name of the database in which the sessions are.
    pub fn database(&self) -> &'static str {
        DATABASE
    }

    /// Leaves nothing behind.
    pub async fn remove(self) -> Result<()> {
        self.outside.batch_execute(&format!("drop database if exists {DATABASE} with (force)")).await?;
        Ok(())
    }
}

async fn connect(config: &Config) -> Result<Client> {
    let (client, connection) = config.connect(NoTls).await?;
    tokio::spawn(async move {
        // When the server ends a session, its next statement fails.
        let _ = connection.await;
    });
    Ok(client)
}
