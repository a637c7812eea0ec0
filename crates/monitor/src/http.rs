//! The HTTP server of the exporter: metrics, health, and the live page. It answers GET and HEAD, in bounded time and memory
//! whatever clients send.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{
    ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use hyper::rt::{Read, Write};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::json;
use tokio::net::{TcpListener, UnixListener};
use tokio::task::{JoinHandle, spawn_local};

use crate::metrics::{self, Format};
use crate::snapshot::Snapshot;

/// Connections at the same time: one more closes the oldest. A client that is served within milliseconds notices nothing.
const MAX_CONNECTIONS: usize = 32;
/// Bytes of a request's head.
const MAX_HEAD: usize = 16 << 10;
/// How long the head of a request may take.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection may last.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(60);
/// How long nothing is accepted after the server could not accept a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

const PAGE: &str = include_str!("../page.html");

/// Where the exporter listens.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Address {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl Address {
    /// Reads addresses that are separated by commas: `127.0.0.1:9188`, `[::1]:9188`, or the absolute path of a socket. None
    /// where the text is empty.
    ///
    /// # Errors
    /// Which of them is not one.
    pub fn parse_all(text: &str) -> Result<Vec<Address>, String> {
        let parse = |text: &str| match text.starts_with('/') {
            true => Ok(Address::Unix(text.into())),
            false => text.parse().map(Address::Tcp).map_err(|_| {
                format!(
                    "\"{text}\" is neither an address with a port, such as 127.0.0.1:9188, nor the path of a socket"
                )
            }),
        };
        text.split(',').map(str::trim).filter(|text| !text.is_empty()).map(parse).collect()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Address::Tcp(address) => address.fmt(f),
            Address::Unix(path) => path.display().fmt(f),
        }
    }
}

/// What is shown, at the moment of the call.
pub type Source = Rc<dyn Fn() -> Snapshot>;

/// The exporter at one address. Dropped, it closes its connections.
pub struct Server(JoinHandle<()>);

enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Server {
    /// Listens at an address. Must be called in a `LocalSet`.
    ///
    /// # Errors
    /// What the system says where it is in use, or is not an address of this machine.
    pub fn start(address: &Address, source: Source) -> std::io::Result<Server> {
        let listener = match address {
            Address::Tcp(address) => {
                let listener = std::net::TcpListener::bind(address)?;
                listener.set_nonblocking(true)?;
                Listener::Tcp(TcpListener::from_std(listener)?)
            }
            Address::Unix(path) => {
                // A socket that no process listens at was left by one that ended.
                if std::os::unix::net::UnixStream::connect(path)
                    .is_err_and(|it| it.kind() == std::io::ErrorKind::ConnectionRefused)
                {
                    std::fs::remove_file(path)?;
                }
                Listener::Unix(UnixListener::bind(path)?)
            }
        };
        Ok(Server(spawn_local(accept(listener, source))))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Listener::Unix(listener) = self
            && let Ok(address) = listener.local_addr()
            && let Some(path) = address.as_pathname()
        {
            // It may be gone already.
            _ = std::fs::remove_file(path);
        }
    }
}

/// The connections of one listener, the oldest first.
#[derive(Default)]
struct Connections(RefCell<VecDeque<JoinHandle<()>>>);

impl Connections {
    fn add(&self, connection: JoinHandle<()>) {
        let mut open = self.0.borrow_mut();
        open.retain(|connection| !connection.is_finished());
        if open.len() >= MAX_CONNECTIONS {
            open.pop_front().into_iter().for_each(|oldest| oldest.abort());
        }
        open.push_back(connection);
    }
}

impl Drop for Connections {
    fn drop(&mut self) {
        self.0.borrow().iter().for_each(JoinHandle::abort);
    }
}

async fn accept(listener: Listener, source: Source) {
    let connections = Connections::default();
    loop {
        let accepted = match &listener {
            Listener::Tcp(listener) => {
                listener.accept().await.map(|(stream, _)| spawn_local(serve(TokioIo::new(stream), Rc::clone(&source))))
            }
            Listener::Unix(listener) => {
                listener.accept().await.map(|(stream, _)| spawn_local(serve(TokioIo::new(stream), Rc::clone(&source))))
            }
        };
        match accepted {
            Ok(connection) => connections.add(connection),
            // Such as too many open files.
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

async fn serve(stream: impl Read + Write + Unpin, source: Source) {
    let service = service_fn(move |request: Request<Incoming>| {
        let answer = answer(&request, &source);
        async move { Ok::<_, Infallible>(answer) }
    });
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(MAX_HEAD);
    // What goes wrong is the client's affair.
    _ = tokio::time::timeout(CONNECTION_TIMEOUT, server.serve_connection(stream, service)).await;
}

type Answer = Response<Full<Bytes>>;

fn answer<B>(request: &Request<B>, source: &Source) -> Answer {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let mut refused = text(StatusCode::METHOD_NOT_ALLOWED, "text/plain", "only GET and HEAD\n".to_owned());
        refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refused;
    }
    match request.uri().path() {
        "/" => page(),
        "/metrics" => metrics(request, source),
        "/healthz" => {
            let snapshot = source();
            // Without the launcher nothing is refreshed in any database; with it the rest heals by itself.
            let healthy =
                snapshot.ready || snapshot.workers.iter().any(|it| it.kind == crate::snapshot::Kind::Launcher);
            health(healthy, &snapshot)
        }
        "/readyz" => {
            let snapshot = source();
            health(snapshot.ready, &snapshot)
        }
        "/api/graph" => match serde_json::to_string(&source()) {
            Ok(json) => text(StatusCode::OK, "application/json", json),
            Err(error) => failed(&error),
        },
        _ => text(
            StatusCode::NOT_FOUND,
            "text/plain",
            "there are /, /metrics, /healthz, /readyz, /api/graph\n".to_owned(),
        ),
    }
}

fn metrics<B>(request: &Request<B>, source: &Source) -> Answer {
    let accepts = request.headers().get_all(ACCEPT).iter();
    let open =
        accepts.filter_map(|value| value.to_str().ok()).any(|value| value.contains("application/openmetrics-text"));
    let format = if open { Format::OpenMetrics } else { Format::Prometheus };
    match metrics::encode(&source(), format) {
        Ok(metrics) => text(StatusCode::OK, format.content_type(), metrics),
        Err(error) => failed(&error),
    }
}

fn health(good: bool, snapshot: &Snapshot) -> Answer {
    let status = if good { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let reasons: &[String] = if good { &[] } else { &snapshot.reasons };
    let body = json!({ "status": if good { "ok" } else { "failing" }, "reasons": reasons });
    text(status, "application/json", body.to_string() + "\n")
}

/// The page has its own content policy; here is what only a header can say.
fn page() -> Answer {
    let mut page = text(StatusCode::OK, "text/html; charset=utf-8", PAGE.to_owned());
    page.headers_mut().insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("frame-ancestors 'none'"));
    page.headers_mut().insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    page
}

fn failed(error: &dyn fmt::Display) -> Answer {
    text(StatusCode::INTERNAL_SERVER_ERROR, "text/plain", format!("{error}\n"))
}

fn text(status: StatusCode, content_type: &'static str, body: String) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    let headers = [(CONTENT_TYPE, content_type), (CACHE_CONTROL, "no-store"), (X_CONTENT_TYPE_OPTIONS, "nosniff")];
    for (name, value) in headers {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_or_refused() {
        let tcp = |text: &str| Address::Tcp(text.parse().unwrap());
        assert_eq!(Address::parse_all(""), Ok(vec![]));
        assert_eq!(
            Address::parse_all("127.0.0.1:9188, [::1]:1 ,/run/x.sock"),
            Ok(vec![tcp("127.0.0.1:9188"), tcp("[::1]:1"), Address::Unix("/run/x.sock".into())])
        );
        for wrong in ["9188", "localhost:9188", "127.0.0.1", "x.sock", "127.0.0.1:99999"] {
            assert!(Address::parse_all(wrong).unwrap_err().contains(wrong));
        }
    }
}
