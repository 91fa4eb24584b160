//! The accept loop: HTTP/1.1 within limits, on a thread that nothing else uses.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tracing::{debug, error, warn};

use super::pages::router;
use super::{Limits, Pages};
use crate::metrics::{Limit, Metrics};

/// A serving admin server. Dropping it stops it.
pub struct Admin {
    address: SocketAddr,
    /// Dropped with us, which the accept loop sees.
    _stop: oneshot::Sender<()>,
}

/// Why the admin server could not start.
#[derive(Debug)]
pub struct AdminError {
    address: SocketAddr,
    cause: io::Error,
}

impl Admin {
    /// Binds `address` and serves `pages` until dropped.
    pub fn start(address: SocketAddr, pages: Pages, limits: Limits, metrics: Arc<Metrics>) -> Result<Self, AdminError> {
        let fail = |cause| AdminError { address, cause };
        let listener = TcpListener::bind(address).map_err(fail)?;
        listener.set_nonblocking(true).map_err(fail)?;
        let bound = listener.local_addr().map_err(fail)?;
        let (stop, stopped) = oneshot::channel();
        let run = move || serve(listener, Service { router: router(pages, &limits), limits, metrics }, stopped);
        std::thread::Builder::new().name("admin".into()).spawn(run).map_err(fail)?;
        Ok(Self { address: bound, _stop: stop })
    }

    /// Where it listens, with the port the system chose if 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// What the accept loop needs.
struct Service {
    router: Router,
    limits: Limits,
    metrics: Arc<Metrics>,
}

fn serve(listener: TcpListener, service: Service, stopped: oneshot::Receiver<()>) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return error!(%error, "the admin server has no runtime; metrics and status are not served"),
    };
    runtime.block_on(async move {
        tokio::select! {
            ended = accept(listener, service) => {
                if let Err(error) = ended {
                    error!(%error, "the admin server ended; metrics and status are not served");
                }
            }
            // An error here means that `Admin` was dropped: the wish to stop.
            _ = stopped => debug!("admin server stopped"),
        }
    });
}

async fn accept(listener: TcpListener, service: Service) -> io::Result<()> {
    let Service { router, limits, metrics } = service;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let permits = Arc::new(Semaphore::new(limits.connections));
    loop {
        if permits.available_permits() == 0 {
            metrics.limit_hit(Limit::AdminConnections);
        }
        // Taken before accept: past the cap, clients wait in the kernel's queue and cost us nothing.
        let permit = Arc::clone(&permits).acquire_owned().await.map_err(io::Error::other)?;
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(connection(stream, router.clone(), limits, permit));
            }
            Err(error) => {
                // Out of descriptors, most likely: waiting is better than spinning.
                warn!(%error, "accepting an admin connection failed");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, router: Router, limits: Limits, permit: OwnedSemaphorePermit) {
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
        .max_buf_size(limits.head_size_max)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    match tokio::time::timeout(limits.lifetime, serving).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!(%error, "an admin connection broke"),
        Err(_) => debug!("an admin connection reached its lifetime"),
    }
    drop(permit);
}

impl fmt::Display for AdminError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "starting the admin server on {}: {}", self.address, self.cause)?;
        match self.cause.kind() {
            io::ErrorKind::AddrInUse => f.write_str("; stop what listens there, or configure another `admin` address"),
            io::ErrorKind::AddrNotAvailable => f.write_str("; no interface of this host has that address"),
            _ => Ok(()),
        }
    }
}

impl std::error::Error for AdminError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.cause)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;

    use serde_json::json;

    use super::*;
    use crate::admin::Readiness;

    fn start(readiness: Readiness, limits: Limits) -> Admin {
        let pages = Pages {
            metrics: Box::new(|| Box::pin(async { "fairlead_up 1\n".to_owned() })),
            readiness: Box::new(move || Box::pin(std::future::ready(readiness.clone()))),
            status: Box::new(|| Box::pin(async { json!({"node": "ns1"}) })),
            explain: Box::new(|query| {
                let said = if query.name == "bad" { Err("no".into()) } else { Ok(json!(query.client)) };
                Box::pin(std::future::ready(said))
            }),
            mesh: Box::new(|| Box::pin(async { json!([]) })),
        };
        Admin::start("127.0.0.1:0".parse().unwrap(), pages, limits, Arc::new(Metrics::new("0", "test"))).unwrap()
    }

    fn exchange(admin: &Admin, request: &str) -> String {
        let mut stream = TcpStream::connect(admin.address()).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut reply = String::new();
        let _ = stream.read_to_string(&mut reply); // a reset is an end like another
        reply
    }

    fn get(admin: &Admin, path: &str) -> String {
        exchange(admin, &format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"))
    }

    #[test]
    fn every_page_answers_and_readiness_says_what_it_waits_for() {
        let admin = start(Readiness::Waiting(vec!["the agent of ny-lb1".into()]), Limits::default());
        let check = |path: &str, status: &str, text: &str| {
            let reply = get(&admin, path);
            assert!(reply.starts_with(&format!("HTTP/1.1 {status}")) && reply.contains(text), "{path}: {reply}");
        };
        check("/", "200", "/api/v1/status");
        check("/livez", "200", "ok");
        check("/readyz", "503", "waiting for the agent of ny-lb1");
        check("/metrics", "200", "fairlead_up 1");
        check("/metrics", "200", "version=0.0.4");
        check("/api/v1/status", "200", r#"{"node":"ns1"}"#);
        check("/api/v1/explain?name=www&client=192.0.2.1", "200", "192.0.2.1");
        check("/api/v1/explain?name=bad", "400", r#"{"error":"no"}"#);
        check("/api/v1/explain", "400", "name");
        check("/api/v1/explain?name=www&client=nonsense", "400", "");
        check("/api/v1/mesh", "200", "[]");
        check("/nowhere", "404", "");
        let ready = start(Readiness::Ready, Limits::default());
        assert!(get(&ready, "/readyz").starts_with("HTTP/1.1 200"));
    }

    #[test]
    fn a_head_that_is_too_long_or_too_slow_is_cut_off() {
        let limits = Limits { head_timeout: Duration::from_millis(5), ..Limits::default() };
        let admin = start(Readiness::Ready, limits);
        let long = format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(limits.head_size_max));
        assert!(exchange(&admin, &long).starts_with("HTTP/1.1 431"));
        let slow = exchange(&admin, "GET / HTTP/1.1\r\n");
        assert!(!slow.contains("200"), "{slow}");
    }

    #[test]
    fn past_the_connection_cap_a_client_waits_for_another_to_leave() {
        let limits = Limits { connections: 1, head_timeout: Duration::from_millis(5), ..Limits::default() };
        let admin = start(Readiness::Ready, limits);
        let _silent = TcpStream::connect(admin.address()).unwrap();
        assert!(get(&admin, "/livez").contains("ok"), "the silent client was not cut off");
    }

    #[test]
    fn an_address_that_is_taken_is_said_with_what_to_do() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let error = AdminError { address, cause: TcpListener::bind(address).unwrap_err() }.to_string();
        assert!(error.contains("stop what listens there"), "{error}");
    }

    #[test]
    fn dropping_it_frees_the_address() {
        let admin = start(Readiness::Ready, Limits::default());
        let address = admin.address();
        drop(admin);
        let freed = (0..500).any(|_| {
            std::thread::sleep(Duration::from_millis(2));
            TcpListener::bind(address).is_ok()
        });
        assert!(freed);
    }
}
