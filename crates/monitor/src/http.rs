//! The HTTP server of the exporter: metrics, health, and the live page. It answers GET and HEAD, in bounded time and memory
//! whatever clients send.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;
use std::{fmt, io};

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{
    ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::task::{JoinHandle, spawn_local};

use crate::metrics::{self, Format};
use crate::snapshot::{Kind, Snapshot};

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
pub struct Server {
    _task: Task,
    /// To be removed with it.
    socket: Option<PathBuf>,
}

/// A task that ends when this is dropped.
struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Server {
    /// Listens at an address. Must be called in a `LocalSet`.
    ///
    /// # Errors
    /// What the system says where it is in use, or is not an address of this machine.
    pub fn start(address: &Address, source: Source) -> io::Result<Server> {
        match address {
            Address::Tcp(address) => {
                let listener = std::net::TcpListener::bind(address)?;
                listener.set_nonblocking(true)?;
                let listener = TcpListener::from_std(listener)?;
                let accept = async move || Ok(listener.accept().await?.0);
                Ok(Server { _task: Task(spawn_local(serve_all(accept, source))), socket: None })
            }
            Address::Unix(path) => {
                // A socket that no process listens at was left by one that ended.
                if UnixStream::connect(path).is_err_and(|it| it.kind() == io::ErrorKind::ConnectionRefused) {
                    std::fs::remove_file(path)?;
                }
                let listener = UnixListener::bind(path)?;
                let accept = async move || Ok(listener.accept().await?.0);
                Ok(Server { _task: Task(spawn_local(serve_all(accept, source))), socket: Some(path.clone()) })
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may be gone already.
        self.socket.iter().for_each(|path| _ = std::fs::remove_file(path));
    }
}

/// Serves what `accept` returns.
async fn serve_all<S>(accept: impl AsyncFn() -> io::Result<S>, source: Source)
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    // The oldest first.
    let mut connections: VecDeque<Task> = VecDeque::new();
    loop {
        match accept().await {
            Ok(stream) => {
                connections.retain(|connection| !connection.0.is_finished());
                if connections.len() >= MAX_CONNECTIONS {
                    connections.pop_front();
                }
                connections.push_back(Task(spawn_local(serve(TokioIo::new(stream), Rc::clone(&source)))));
            }
            // Such as too many open files.
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

async fn serve(stream: TokioIo<impl AsyncRead + AsyncWrite + Unpin>, source: Source) {
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
        let mut refused = text(StatusCode::METHOD_NOT_ALLOWED, "text/plain", "only GET and HEAD\n");
        refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refused;
    }
    match request.uri().path() {
        // The page has its own content policy.
        "/" => text(StatusCode::OK, "text/html; charset=utf-8", PAGE),
        "/metrics" => {
            let mut accepts = request.headers().get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
            let open = accepts.any(|value| value.contains("application/openmetrics-text"));
            let format = if open { Format::OpenMetrics } else { Format::Prometheus };
            shown(metrics::encode(&source(), format), format.content_type())
        }
        path @ ("/healthz" | "/readyz") => {
            let Snapshot { ready, reasons, workers, .. } = source();
            // Without the launcher nothing is refreshed in any database; with it the rest heals by itself.
            let heals = path == "/healthz" && workers.iter().any(|it| it.kind == Kind::Launcher);
            health(ready || heals, &reasons)
        }
        "/api/graph" => shown(serde_json::to_string(&source()), "application/json"),
        _ => text(StatusCode::NOT_FOUND, "text/plain", "there are /, /metrics, /healthz, /readyz, /api/graph\n"),
    }
}

fn health(good: bool, reasons: &[String]) -> Answer {
    let (status, word, reasons) = if good {
        (StatusCode::OK, "ok", [].as_slice())
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "failing", reasons)
    };
    text(status, "application/json", format!("{}\n", json!({ "status": word, "reasons": reasons })))
}

fn shown(encoded: Result<String, impl fmt::Display>, content_type: &'static str) -> Answer {
    match encoded {
        Ok(body) => text(StatusCode::OK, content_type, body),
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, "text/plain", format!("{error}\n")),
    }
}

fn text(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    for (name, value) in [
        (CONTENT_TYPE, content_type),
        (CACHE_CONTROL, "no-store"),
        (CONTENT_SECURITY_POLICY, "frame-ancestors 'none'"),
        (REFERRER_POLICY, "no-referrer"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
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
