//! The server that the demo talks to, and the errors of talking to it.
//!
//! Invariant: every connection sees the demo's own schema `tpch` first, so that the queries read
//! as the specification writes them.

use std::error::Error;
use std::fmt;

use tokio_postgres::{Client, Config, NoTls};

const VARIABLE: &str = "PG_TRICKLE_URL";

pub type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// What went wrong, in words of ours.
#[derive(Debug)]
pub struct Failure(String);

impl Failure {
    pub fn new(message: impl Into<String>) -> Failure {
        Failure(message.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl Error for Failure {}

/// Where to connect to.
pub struct Server {
    config: Config,
}

impl Server {
    pub fn from_environment() -> Result<Server> {
        let url = std::env::var(VARIABLE).map_err(|_| Failure::new(format!("{VARIABLE} does not name a server")))?;
        let mut config: Config = url.parse()?;
        let options = format!("{} -c search_path=tpch", config.get_options().unwrap_or_default());
        config.options(options).application_name("pg_trickle_demo");
        Ok(Server { config })
    }

    pub async fn connect(&self) -> Result<Client> {
        let (client, connection) = self.config.connect(NoTls).await?;
        // A broken connection surfaces as the error of the next statement on the client.
        tokio::spawn(connection);
        Ok(client)
    }
}
