//! The exporter: a process that serves what is counted over HTTP. It has no connection to a database and takes no lock, so
//! that nothing a client does can hold up anything else. While no client asks it sleeps.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use monitor::http::{Address, Server, Source};
use monitor::messages::Messages;
use pgrx::pg_guard;
use pgrx::pg_sys::Datum;
use tokio::net::unix::pipe;
use tokio::runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::LocalSet;

use crate::guc;
use crate::pg::bgworker::{self, Started};
use crate::pg::shmem::{Shared, shared};
use crate::pg::{counted, counters};

/// How often an address that is in use is tried again, and how long after its start another exporter may be started.
const RETRY: Duration = Duration::from_secs(5);

/// Starts the exporter where an address is set.
#[derive(Default)]
pub struct Starter {
    started: Option<Started>,
    at: i64,
}

impl Starter {
    /// Starts it if it has to run and does not; returns when to try again.
    pub fn poll(&mut self, shared: &Shared, now: i64) -> Option<Duration> {
        if shared.exporter.is_running() || guc::metrics_listen().is_empty() {
            return None;
        }
        let pause = RETRY.as_micros() as i64 - (now - self.at);
        if self.started.as_ref().is_some_and(|it| !it.is_over()) || (self.at != 0 && pause > 0) {
            return Some(Duration::from_micros(pause.clamp(1, RETRY.as_micros() as i64) as u64));
        }
        self.at = now;
        self.started = bgworker::start_unconnected("pg_trickle exporter", "pg_trickle_exporter");
        if self.started.is_none() {
            let text =
                "pg_trickle serves no metrics, because the server has no process for that; raise max_worker_processes";
            counters::log(counters::messages(), text);
        }
        Some(RETRY)
    }
}

#[pg_guard]
#[unsafe(no_mangle)]
pub extern "C-unwind" fn pg_trickle_exporter(_argument: Datum) {
    let Some(shared) = shared() else { bgworker::exit(0) };
    bgworker::claim(&shared.exporter, at_exit, 0, 0);
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    let served = runtime.and_then(|runtime| LocalSet::new().block_on(&runtime, serve(shared)));
    if let Err(error) = served {
        counters::log(counters::messages(), &format!("the exporter of pg_trickle failed: {error}"));
        bgworker::exit(1);
    }
    bgworker::exit(0);
}

fn at_exit(_argument: usize) {
    if let Some(shared) = shared() {
        shared.exporter.release();
        shared.launcher.wake();
    }
}

/// Serves until no address is set, or the process has to end.
async fn serve(shared: &'static Shared) -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut reload = signal(SignalKind::hangup())?;
    let postmaster = pipe::Receiver::from_owned_fd(bgworker::postmaster_alive()?)?;
    bgworker::unblock_signals();
    let source: Source = Rc::new(|| counted::snapshot(shared));
    let mut servers = Servers::default();
    loop {
        let addresses = guc::metrics_listen();
        if addresses.is_empty() {
            return Ok(());
        }
        let complete = servers.listen(addresses, &source);
        tokio::select! {
            _ = terminate.recv() => return Ok(()),
            _ = postmaster.readable() => return Ok(()),
            _ = reload.recv() => bgworker::reload_configuration(),
            () = tokio::time::sleep(RETRY), if !complete => {}
        }
    }
}

/// Where it listens.
#[derive(Default)]
struct Servers {
    open: Vec<(Address, Server)>,
    /// Addresses that cannot be used, with what was logged of each.
    refused: BTreeMap<Address, Messages>,
}

impl Servers {
    /// Listens at these addresses and no others; whether at all of them.
    fn listen(&mut self, addresses: Vec<Address>, source: &Source) -> bool {
        self.open.retain(|(address, _)| addresses.contains(address));
        self.refused.retain(|address, _| addresses.contains(address));
        let mut complete = true;
        for address in addresses {
            if self.open.iter().any(|(open, _)| *open == address) {
                continue;
            }
            match Server::start(&address, Rc::clone(source)) {
                Ok(server) => {
                    let text = || format!("pg_trickle serves metrics at {address}");
                    let text = self.refused.remove(&address).and_then(|it| it.end(text)).unwrap_or_else(text);
                    pgrx::log!("{text}");
                    self.open.push((address, server));
                }
                Err(error) => {
                    complete = false;
                    let text = format!(
                        "pg_trickle cannot serve metrics at {address}: {error}; it tries again every {RETRY:?}. Set \
                         pg_trickle.metrics_listen to an address of this machine that no other program uses."
                    );
                    counters::log(Some(self.refused.entry(address).or_default()), &text);
                }
            }
        }
        complete
    }
}
