//! A server of one test's own: to be killed, to be left idle, to have its settings changed.
//!
//! Invariant: its processes and its directory go with the value, also when the test fails.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::database::Server;
use crate::session::HANG;

/// A running server with the extension preloaded.
pub struct PrivateServer {
    data: PathBuf,
    bin: PathBuf,
    port: u16,
    postmaster: u32,
}

fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output().expect("id runs");
    output.stdout.trim_ascii() == b"0"
}

/// PostgreSQL refuses to run as root: then user postgres, or the owner of the shared server, runs it.
fn command(program: &Path) -> Command {
    let mut command = match is_root() {
        false => Command::new(program),
        true => {
            let known = |user: &str| Command::new("id").arg(user).output().is_ok_and(|output| output.status.success());
            let user = if known("postgres") { "postgres" } else { "trickle" };
            let mut command = Command::new("runuser");
            command.args(["-u", user, "--"]).arg(program);
            command
        }
    };
    command.current_dir("/").stdout(Stdio::null());
    command
}

/// The programs of the server that is tested.
pub fn default_bin() -> PathBuf {
    PathBuf::from(std::env::var("PG_TRICKLE_BIN").expect("PG_TRICKLE_BIN is the server's bindir"))
}

/// The programs of the release to which servers are upgraded and restored, PG_TRICKLE_NEW_BIN, or those of the tested server.
pub fn newer_bin() -> PathBuf {
    std::env::var_os("PG_TRICKLE_NEW_BIN").map_or_else(default_bin, Into::into)
}

fn succeed(command: &mut Command) {
    let status = command.status().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(status.success(), "{command:?}: {status}");
}

/// The processes whose parent is `parent`.
fn children(parent: u32) -> Vec<u32> {
    let processes = fs::read_dir("/proc").expect("the process list").flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| parent_of(*pid) == Some(parent)).collect()
}

/// The fourth field of `/proc/PID/stat`; the second is in parentheses and may hold anything.
fn parent_of(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat[stat.rfind(')')? + 1..].split_whitespace().nth(1)?.parse().ok()
}

fn running(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rfind(')').is_some_and(|at| !stat[at + 1..].trim_start().starts_with('Z'))
}

impl PrivateServer {
    /// A new server, with `settings` as lines of its configuration.
    pub fn start(settings: &[&str]) -> PrivateServer {
        let mut server = PrivateServer::stopped(&default_bin(), &[], settings);
        server.restart();
        server
    }

    /// The same, not started yet, of the server programs in `bin` and with further arguments of initdb.
    pub fn stopped(bin: &Path, initdb: &[&str], settings: &[&str]) -> PrivateServer {
        let server = PrivateServer::at_free_port(bin);
        let arguments = ["-U", "postgres", "-A", "trust", "-N", "-E", "UTF8", "--locale=C.UTF-8", "-D"];
        succeed(command(&bin.join("initdb")).args(initdb).args(arguments).arg(&server.data));
        server.configure(&[
            "listen_addresses = '127.0.0.1'",
            "unix_socket_directories = ''",
            "shared_preload_libraries = 'pg_trickle'",
            "max_prepared_transactions = 50",
            "max_worker_processes = 32",
            "log_line_prefix = '%m [%p] %a %d '",
        ]);
        server.configure(&[&format!("port = {}", server.port)]);
        server.configure(settings);
        server
    }

    /// A copy of this server by pg_basebackup, with `arguments` of it, not started yet.
    pub fn copy(&self, arguments: &[&str], settings: &[&str]) -> PrivateServer {
        let copy = PrivateServer::at_free_port(&self.bin);
        let from = ["-h", "127.0.0.1", "-U", "postgres", "-c", "fast", "-p", &self.port.to_string()];
        succeed(command(&self.bin.join("pg_basebackup")).args(from).args(arguments).arg("-D").arg(&copy.data));
        copy.configure(&[&format!("port = {}", copy.port)]);
        copy.configure(settings);
        copy
    }

    fn at_free_port(bin: &Path) -> PrivateServer {
        let port = TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("bound").port();
        let data = std::env::temp_dir().join(format!("pg_trickle-private-{}-{port}", std::process::id()));
        PrivateServer { data, bin: bin.to_owned(), port, postmaster: 0 }
    }

    /// Appends lines to the configuration.
    pub fn configure(&self, lines: &[&str]) {
        self.write("postgresql.conf", &(lines.join("\n") + "\n"));
    }

    /// Appends text to a file of the data directory.
    pub fn write(&self, file: &str, text: &str) {
        let mut tee = command(Path::new("tee"));
        let mut child = tee.arg("-a").arg(self.data.join(file)).stdin(Stdio::piped()).spawn().expect("tee runs");
        std::io::Write::write_all(child.stdin.as_mut().expect("piped"), text.as_bytes()).expect("written");
        assert!(child.wait().expect("tee ends").success());
    }

    /// Runs a program of the server as its user, in a directory where it may leave files; it must succeed.
    pub fn program(&self, name: &str, arguments: &[&str]) {
        succeed(command(Path::new("mkdir")).arg("-p").arg(self.work()));
        let mut command = command(&self.bin.join(name));
        let output = command.current_dir(self.work()).args(arguments).stdout(Stdio::piped()).output().expect("it runs");
        let printed = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success(),
            "{name}: {}\n{printed}\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
    }

    fn work(&self) -> PathBuf {
        self.data.with_extension("work")
    }

    pub fn data(&self) -> &str {
        self.data.to_str().expect("a name in ASCII")
    }

    pub fn bin(&self) -> &str {
        self.bin.to_str().expect("a name in ASCII")
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Stops the server as an administrator does.
    pub fn stop(&mut self) {
        succeed(
            command(&self.bin.join("pg_ctl"))
                .args(["stop", "-w", "-s", "-m", "fast", "-t", "300", "-D"])
                .arg(&self.data),
        );
    }

    pub fn server(&self) -> Server {
        Server::at(&format!("postgresql://postgres@127.0.0.1:{}/postgres", self.port))
    }

    /// Runs a shell script that finds the server's programs and this server; it must succeed and print no error.
    pub fn shell(&self, script: &str) {
        let mut path = vec![self.bin.clone()];
        path.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
        let output = Command::new("bash")
            .args(["-c", &format!("set -euo pipefail\n{script}")])
            .env("PATH", std::env::join_paths(path).expect("directories"))
            .envs([("PGHOST", "127.0.0.1"), ("PGUSER", "postgres"), ("PGOPTIONS", "-c client_min_messages=warning")])
            .env("PGPORT", self.port.to_string())
            .stdin(Stdio::null())
            .output()
            .expect("bash runs");
        let errors = String::from_utf8_lossy(&output.stderr);
        let clean = !["ERROR", "FATAL", "error:"].iter().any(|word| errors.contains(word));
        assert!(output.status.success() && clean, "{script}\n{}\n{errors}", output.status);
    }

    /// Starts the stopped or killed server again. A killed process may hold shared memory for a moment.
    pub fn restart(&mut self) {
        let started = Instant::now();
        loop {
            let mut start = command(&self.bin.join("pg_ctl"));
            start.args(["start", "-w", "-s", "-t", "300", "-D"]).arg(&self.data).arg("-l").arg(self.data.join("log"));
            if start.stderr(Stdio::null()).status().expect("pg_ctl runs").success() {
                break;
            }
            assert!(started.elapsed() < HANG, "the server does not start:\n{}", self.log_tail());
            std::thread::sleep(Duration::from_millis(100));
        }
        self.postmaster = self.read_postmaster();
    }

    fn read_postmaster(&self) -> u32 {
        let output = command(Path::new("head"))
            .args(["-n", "1"])
            .arg(self.data.join("postmaster.pid"))
            .stdout(Stdio::piped())
            .output()
            .expect("head runs");
        let text = String::from_utf8_lossy(&output.stdout);
        text.trim().parse().expect("postmaster.pid begins with a process id")
    }

    /// `kill -9` of the postmaster and all its processes, in one go.
    pub fn kill_all(&mut self) {
        let mut pids = vec![self.postmaster];
        pids.extend(children(self.postmaster));
        self.kill(&pids);
        let started = Instant::now();
        while pids.iter().any(|pid| running(*pid)) {
            assert!(started.elapsed() < HANG, "killed processes of {pids:?} still run");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// `kill -9` of processes of this server.
    pub fn kill(&self, pids: &[u32]) {
        let ours = |pid: &u32| *pid == self.postmaster || parent_of(*pid) == Some(self.postmaster);
        let pids: Vec<String> = pids.iter().filter(|pid| ours(pid)).map(u32::to_string).collect();
        // The shell's own: a small machine has no program of that name. One may have ended by itself since it was listed.
        let script = format!("kill -9 {}", pids.join(" "));
        Command::new("sh").arg("-c").arg(script).stderr(Stdio::null()).status().expect("sh runs");
    }

    /// The lines of the server's log with this text, once there is one.
    pub fn log_lines(&self, text: &str) -> Vec<String> {
        let started = Instant::now();
        loop {
            let mut grep = command(Path::new("grep"));
            grep.args(["-F", text]).arg(self.data.join("log")).stdout(Stdio::piped());
            let output = grep.output().expect("grep runs").stdout;
            if !output.is_empty() {
                return String::from_utf8_lossy(&output).lines().map(str::to_owned).collect();
            }
            assert!(started.elapsed() < HANG, "the log has no line with \"{text}\"");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The last lines of the server's log.
    pub fn log_tail(&self) -> String {
        let output =
            command(Path::new("tail")).args(["-n", "40"]).arg(self.data.join("log")).stdout(Stdio::piped()).output();
        output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
    }
}

impl Drop for PrivateServer {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("the server's log ends with:\n{}", self.log_tail());
        }
        if running(self.postmaster) {
            let _ = command(&self.bin.join("pg_ctl"))
                .args(["stop", "-m", "immediate", "-s", "-D"])
                .arg(&self.data)
                .status();
        }
        let _ = command(Path::new("rm")).arg("-rf").arg(&self.data).arg(self.work()).status();
    }
}
