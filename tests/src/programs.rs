//! Other programs that run beside a server for one test: where they are, how they start, what they answer.
//!
//! Invariant: a program ends with its value, also when the test fails.

use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::http::get;
use crate::session::HANG;

/// A running program.
pub struct Program {
    child: Child,
    pub name: String,
}

/// A program that `scripts/setup --tests` has unpacked, or one of the machine's.
pub fn tool(name: &str) -> PathBuf {
    let unpacked = std::env::var_os("PG_TRICKLE_TOOLS").map(|tools| Path::new(&tools).join(name));
    unpacked.filter(|path| path.exists()).unwrap_or_else(|| name.into())
}

/// Runs a tool to its end.
pub fn output(name: &str, arguments: &[&str], input: &str) -> Output {
    let mut command = Command::new(tool(name));
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{name}: {error}"));
    // A program that does not read its input closes the pipe.
    let _ = child.stdin.take().map(|mut stdin| stdin.write_all(input.as_bytes()));
    child.wait_with_output().expect("it ends")
}

/// What a tool prints; it must succeed.
pub fn succeed(name: &str, arguments: &[&str]) -> String {
    let output = output(name, arguments, "");
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name} {arguments:?}: {}\n{text}", output.status);
    text
}

impl Program {
    pub fn start(command: &mut Command) -> Program {
        let name = command.get_program().to_string_lossy().into_owned();
        let child = command.spawn().unwrap_or_else(|error| panic!("{name}: {error}"));
        Program { child, name }
    }

    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Waits until `path` is answered with status 200, and returns the body.
    pub fn await_answer(&mut self, port: u16, path: &str) -> String {
        let started = Instant::now();
        loop {
            match get(port, path) {
                Some((200, body)) => return body,
                other => assert!(started.elapsed() < HANG, "{} answers {other:?}", self.name),
            }
            if let Some(status) = self.child.try_wait().expect("a child") {
                panic!("{} has ended: {status}", self.name);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("bound").port()
}

/// Text of a query, as a URL holds it.
pub fn escaped(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte.is_ascii_alphanumeric() {
            true => char::from(byte).to_string(),
            false => format!("%{byte:02X}"),
        })
        .collect()
}

/// An empty directory that goes with its value.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new(name: &str) -> Scratch {
        let path = std::env::temp_dir().join(format!("pg_trickle-{name}-{}-{}", std::process::id(), free_port()));
        fs::create_dir_all(&path).expect("a directory");
        Scratch(path)
    }

    pub fn path(&self) -> &str {
        self.0.to_str().expect("a name in ASCII")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
