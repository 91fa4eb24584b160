//! An HTTP/1.1 probe: one request on a connection of its own, the status and, if asked for, a text in the body.

use std::error::Error as _;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{self, HeaderValue};
use hyper::{Method, Request, Response, Uri};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;

use super::probe::{Progress, Step};
use super::probe_tls::{self, Authorities};
use super::{Probe, ProbeResult, connect};

/// Response headers and body are read up to here, each.
const RESPONSE_MAX: usize = 64 * 1024;
/// How long a body that nobody asked about may take to end, so that the connection closes in order.
const CLOSE_WAIT: Duration = Duration::from_millis(100);

/// An HTTP or HTTPS monitor made ready.
#[derive(Debug)]
pub(super) struct HttpProbe {
    method: Method,
    path: Uri,
    /// The `Host` header, when configured.
    host: Option<HeaderValue>,
    /// The TLS server name, when `host` is configured; its port is not part of it.
    server_name: Option<ServerName<'static>>,
    tls: Option<Arc<ClientConfig>>,
    expected_status: Vec<(u16, u16)>,
    expected_body: Option<Arc<str>>,
}

impl HttpProbe {
    /// Makes an HTTP monitor ready, or says what is wrong with its settings.
    pub(super) fn new(probe: &Probe, authorities: &Authorities) -> Result<Self, String> {
        let Probe::Http { tls, method, path, host, expected_status, expected_body } = probe else {
            return Err("not an HTTP monitor".to_owned());
        };
        let header = |host: &Arc<str>| {
            HeaderValue::from_str(host).map_err(|_| format!("the host {host:?} cannot stand in a header"))
        };
        let name = |host: &Arc<str>| {
            ServerName::try_from(without_port(host).to_owned()).map_err(|_| format!("{host:?} is not a server name"))
        };
        Ok(Self {
            method: method.parse().map_err(|_| format!("{method:?} is not an HTTP method"))?,
            path: path.parse().map_err(|error| format!("the path {path:?} cannot be asked for: {error}"))?,
            host: host.as_ref().map(header).transpose()?,
            server_name: host.as_ref().filter(|_| tls.is_some()).map(name).transpose()?,
            tls: tls.as_ref().map(|tls| probe_tls::client(tls, authorities)).transpose()?,
            expected_status: expected_status.clone(),
            expected_body: expected_body.clone(),
        })
    }

    /// Probes `address` once. The caller bounds the time.
    pub(super) async fn probe(&self, address: SocketAddr, progress: &Progress) -> ProbeResult {
        let stream = match connect::connect(address).await {
            Ok(stream) => stream,
            Err(result) => return result,
        };
        progress.reach(Step::Connected);
        let Some(tls) = &self.tls else { return self.ask(stream, address, progress).await };
        let name = self.server_name.clone().unwrap_or_else(|| ServerName::from(address.ip()));
        match TlsConnector::from(tls.clone()).connect(name, stream).await {
            Ok(stream) => self.ask(stream, address, progress).await,
            Err(error) => ProbeResult::failure(probe_tls::words(&error)),
        }
    }

    async fn ask<S>(&self, stream: S, address: SocketAddr, progress: &Progress) -> ProbeResult
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let Some(request) = self.request(address) else {
            return ProbeResult::NotMade("the request cannot be built from the monitor's settings".into());
        };
        progress.reach(Step::Asked);
        let handshake = http1::Builder::new().max_buf_size(RESPONSE_MAX).handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = match handshake {
            Ok(pair) => pair,
            Err(error) => return ProbeResult::failure(words(&error)),
        };
        let exchange = async {
            match sender.send_request(request).await {
                Ok(response) => {
                    progress.reach(Step::Answered);
                    self.judge(response).await
                }
                Err(error) => ProbeResult::failure(words(&error)),
            }
        };
        drive(exchange, connection).await
    }

    fn request(&self, address: SocketAddr) -> Option<Request<Empty<Bytes>>> {
        let host = self.host.clone().or_else(|| HeaderValue::from_str(&self.host_of(address)).ok())?;
        Request::builder()
            .method(self.method.clone())
            .uri(self.path.clone())
            .header(header::HOST, host)
            .header(header::USER_AGENT, concat!("fairlead/", env!("CARGO_PKG_VERSION")))
            .header(header::ACCEPT, "*/*")
            .header(header::CONNECTION, "close")
            .body(Empty::new())
            .ok()
    }

    /// RFC 9110 §7.2: the port is left out of `Host` when it is the scheme's default.
    fn host_of(&self, address: SocketAddr) -> String {
        let default = if self.tls.is_some() { 443 } else { 80 };
        match address {
            SocketAddr::V4(v4) if v4.port() == default => v4.ip().to_string(),
            SocketAddr::V6(v6) if v6.port() == default => format!("[{}]", v6.ip()),
            SocketAddr::V4(_) => address.to_string(),
            SocketAddr::V6(v6) => format!("[{}]:{}", v6.ip(), v6.port()),
        }
    }

    async fn judge(&self, response: Response<Incoming>) -> ProbeResult {
        let status = response.status().as_u16();
        let body = response.into_body();
        let expected = self.expected_status.iter().any(|(low, high)| (*low..=*high).contains(&status));
        if !expected {
            drain(body).await;
            let expected: Vec<_> = self.expected_status.iter().map(range).collect();
            return ProbeResult::failure(format!("status {status}, expected {}", expected.join(", ")));
        }
        match &self.expected_body {
            Some(text) => find(body, text).await,
            None => {
                drain(body).await;
                ProbeResult::Success
            }
        }
    }
}

/// Runs the exchange and the connection that carries it on one task.
async fn drive(exchange: impl Future<Output = ProbeResult>, connection: impl Future) -> ProbeResult {
    let mut exchange = pin!(exchange);
    let mut connection: Pin<&mut _> = pin!(connection);
    tokio::select! {
        biased;
        result = &mut exchange => result,
        // The connection is over; what it has read, or its error, is with the exchange.
        _ = &mut connection => exchange.await,
    }
}

/// Reads a body nobody asked about, so that closing the connection does not reset it. Bounded in size and time.
async fn drain(mut body: Incoming) {
    let read = async {
        let mut size = 0;
        while let Some(Ok(frame)) = body.frame().await {
            size += frame.data_ref().map_or(0, Bytes::len);
            if size >= RESPONSE_MAX {
                break;
            }
        }
    };
    // A body that goes on is simply left.
    let _ = tokio::time::timeout(CLOSE_WAIT, read).await;
}

/// Looks for `text` in the first 64 KiB of the body.
async fn find(mut body: Incoming, text: &str) -> ProbeResult {
    let mut seen: Vec<u8> = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = match frame {
            Ok(frame) => frame,
            Err(error) => return ProbeResult::failure(words(&error)),
        };
        let Some(data) = frame.data_ref() else { continue };
        let fresh = seen.len().saturating_sub(text.len());
        seen.extend(data.iter().take(RESPONSE_MAX - seen.len()));
        if seen.get(fresh..).is_some_and(|part| contains(part, text.as_bytes())) {
            return ProbeResult::Success;
        }
        if seen.len() >= RESPONSE_MAX {
            return ProbeResult::failure(format!("the first 64 KiB of the body do not contain {text:?}"));
        }
    }
    if text.is_empty() { ProbeResult::Success } else { ProbeResult::failure(format!("the body lacks {text:?}")) }
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    needle.is_empty() || haystack.windows(needle.len()).any(|window| window == needle)
}

fn range((low, high): &(u16, u16)) -> String {
    if low == high { low.to_string() } else { format!("{low}-{high}") }
}

/// The name or address of a `Host` value: `[2001:db8::1]:8443` and `www.example:8443` lose port and brackets.
fn without_port(host: &str) -> &str {
    if let Some(rest) = host.strip_prefix('[') {
        return rest.split(']').next().unwrap_or(rest);
    }
    match host.rsplit_once(':') {
        Some((name, _)) if !name.contains(':') => name,
        _ => host,
    }
}

fn words(error: &hyper::Error) -> String {
    let io = error.source().and_then(|source| source.downcast_ref::<std::io::Error>());
    if let Some(io) = io.filter(|io| io.kind() != std::io::ErrorKind::UnexpectedEof) {
        return connect::words(io);
    }
    if error.is_parse_too_large() {
        "response headers above 64 KiB".to_owned()
    } else if error.is_parse() {
        "what answers does not speak HTTP/1.1".to_owned()
    } else if io.is_some() || error.is_incomplete_message() || error.is_canceled() || error.is_closed() {
        "connection closed before the response was whole".to_owned()
    } else {
        format!("the exchange failed: {error}")
    }
}
