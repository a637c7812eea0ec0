//! The results: a JSON object a line, and with `--report` a dated file of all of them.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::Result;
use crate::facts;
use crate::options::Bench;
use crate::process;
use crate::server::Server;

/// The results of one bench.
pub struct Report {
    bench: Bench,
    facts: Value,
    results: Vec<Value>,
}

impl Report {
    /// Prints the facts about machine, server and revision.
    pub async fn begin(bench: Bench, server: &Server) -> Result<Report> {
        let session = server.session("public").await?;
        let facts = facts::collect(&session).await?;
        println!("{}", json!({ "bench": bench.name(), "facts": facts }));
        Ok(Report { bench, facts, results: vec![] })
    }

    /// Prints one result, with how busy the machine was.
    pub fn add(&mut self, mut result: Value) {
        result["bench"] = json!(self.bench.name());
        result["load"] = json!(process::load());
        println!("{result}");
        self.results.push(result);
    }

    /// Writes the dated file.
    pub fn write(&self) -> Result<PathBuf> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("reports");
        fs::create_dir_all(&folder)?;
        let date = self.facts["date"].as_str().unwrap_or_default();
        let path = folder.join(format!("{date}-{}.json", self.bench.name()));
        let all = json!({ "bench": self.bench.name(), "facts": self.facts, "results": self.results });
        fs::write(&path, serde_json::to_string_pretty(&all)? + "\n")?;
        Ok(path)
    }
}
