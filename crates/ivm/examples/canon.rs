//! Reads PostgreSQL's canonical SQL on standard input and prints it as `ivm` understands it.
//!
//! ```text
//! psql -Atc "select pg_get_viewdef('v')" | cargo run -p ivm --example canon
//! ```

use std::io::Read;
use std::process::ExitCode;

use ivm::Error;

fn main() -> ExitCode {
    let mut sql = String::new();
    if let Err(error) = std::io::stdin().read_to_string(&mut sql) {
        eprintln!("{error}");
        return ExitCode::FAILURE;
    }
    match ivm::canon::parse(&sql) {
        Ok(query) => {
            println!("{}", ivm::sql::print::query(&query));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            if let Error::Unsupported { reason, hint, .. } = error {
                eprintln!("reason: {reason}\nhint: {hint}");
            }
            ExitCode::FAILURE
        }
    }
}
