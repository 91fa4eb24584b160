//! One probe of every kind against real little servers, and the words of every way to fail.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use fairlead::monitor::{Authorities, Monitor, Probe, ProbeResult, Prober, Tls};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

fn monitor(probe: Probe) -> Monitor {
    Monitor {
        name: "test".into(),
        probe,
        interval: Duration::from_secs(5),
        // Long, for busy machines; those who wait for it take a short one.
        timeout: Duration::from_secs(10),
        rise: 2,
        fall: 3,
        port: None,
    }
}

fn http(tls: Option<Tls>, host: Option<&str>, body: Option<&str>) -> Monitor {
    monitor(Probe::Http {
        tls,
        method: "GET".into(),
        path: "/healthz?deep=1".into(),
        host: host.map(Into::into),
        expected_status: vec![(200, 299), (301, 301)],
        expected_body: body.map(Into::into),
    })
}

fn hasty(monitor: Monitor) -> Monitor {
    Monitor { timeout: Duration::from_millis(300), ..monitor }
}

async fn probe(monitor: &Monitor, address: SocketAddr) -> ProbeResult {
    Prober::new(monitor, &Authorities::none()).probe(address).await
}

fn failure(words: &str) -> ProbeResult {
    ProbeResult::Failure(words.into())
}

async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// An address nobody listens on.
async fn closed() -> SocketAddr {
    listener().await.1
}

/// Reads one request's headers.
async fn read_request<S: AsyncReadExt + Unpin>(stream: &mut S) -> String {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(request).unwrap()
}

/// A server that answers every request with `response`, then closes. Returns what the last request was, too.
async fn http_server(response: impl Into<Vec<u8>>) -> (SocketAddr, tokio::sync::mpsc::Receiver<String>) {
    let (listener, address) = listener().await;
    let (requests, received) = tokio::sync::mpsc::channel(8);
    let response = response.into();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let request = read_request(&mut stream).await;
            stream.write_all(&response).await.ok();
            stream.shutdown().await.ok();
            requests.try_send(request).ok();
        }
    });
    (address, received)
}

fn response(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

#[tokio::test]
async fn a_listening_port_passes_the_tcp_probe_and_sees_an_orderly_close() {
    let (listener, address) = listener().await;
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"220 a greeting nobody asked for\r\n").await.unwrap();
        stream.read(&mut [0; 16]).await
    });
    assert_eq!(probe(&monitor(Probe::Tcp), address).await, ProbeResult::Success);
    assert_eq!(server.await.unwrap().unwrap(), 0, "the end of the stream, not a reset");
}

#[tokio::test]
async fn a_port_that_never_closes_does_not_hold_the_tcp_probe_up() {
    let (listener, address) = listener().await;
    let started = tokio::time::Instant::now();
    assert_eq!(probe(&monitor(Probe::Tcp), address).await, ProbeResult::Success);
    assert!(started.elapsed() < Duration::from_secs(5));
    drop(listener);
}

#[tokio::test]
async fn a_closed_port_refuses() {
    let address = closed().await;
    assert_eq!(probe(&monitor(Probe::Tcp), address).await, failure("connection refused"));
    assert_eq!(probe(&http(None, None, None), address).await, failure("connection refused"));
}

#[tokio::test]
async fn a_full_backlog_times_out() {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into()).unwrap();
    socket.listen(0).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    // Never accepted: once the queue is full the kernel drops further SYNs.
    let mut waiting = Vec::new();
    while let Ok(Ok(stream)) = tokio::time::timeout(Duration::from_millis(50), TcpStream::connect(address)).await {
        waiting.push(stream);
    }
    let result = probe(&hasty(monitor(Probe::Tcp)), address).await;
    assert_eq!(result, failure("timed out: no connection within 300ms"));
}

#[tokio::test]
async fn an_address_without_a_route_is_not_a_verdict() {
    // 240.0.0.0/4 is reserved (RFC 1112 §4): Linux refuses to route to 255.255.255.255 over TCP.
    let result = probe(&monitor(Probe::Tcp), "255.255.255.255:80".parse().unwrap()).await;
    assert!(matches!(result, ProbeResult::NotMade(_)), "{result:?}");
}

#[tokio::test]
async fn an_http_probe_asks_for_the_path_with_the_address_as_host() {
    let (address, mut requests) = http_server(response("204 No Content", "")).await;
    assert_eq!(probe(&http(None, None, None), address).await, ProbeResult::Success);
    let request = requests.recv().await.unwrap().to_lowercase();
    assert!(request.starts_with("get /healthz?deep=1 http/1.1\r\n"), "{request}");
    assert!(request.contains(&format!("host: {address}\r\n")), "{request}");
    assert!(request.contains("connection: close\r\n"), "{request}");
    assert_eq!(probe(&http(None, Some("www.example.com"), None), address).await, ProbeResult::Success);
    assert!(requests.recv().await.unwrap().to_lowercase().contains("host: www.example.com\r\n"));
}

#[tokio::test]
async fn the_status_decides() {
    let rows = [
        ("200 OK", ProbeResult::Success),
        ("299 Odd", ProbeResult::Success),
        ("301 Moved Permanently", ProbeResult::Success),
        ("302 Found", failure("status 302, expected 200-299, 301")),
        ("404 Not Found", failure("status 404, expected 200-299, 301")),
        ("503 Service Unavailable", failure("status 503, expected 200-299, 301")),
    ];
    for (status, expected) in rows {
        let (address, _requests) = http_server(response(status, "x")).await;
        assert_eq!(probe(&http(None, None, None), address).await, expected, "{status}");
    }
}

#[tokio::test]
async fn the_body_decides_when_a_text_is_expected() {
    let mut late = "x".repeat(65_000);
    late.push_str("ready");
    let too_late = format!("{}ready", "x".repeat(65_536));
    let rows = [
        ("all ready here", ProbeResult::Success),
        (late.as_str(), ProbeResult::Success),
        ("not yet", failure("the body lacks \"ready\"")),
        ("", failure("the body lacks \"ready\"")),
        (too_late.as_str(), failure("the first 64 KiB of the body do not contain \"ready\"")),
    ];
    for (body, expected) in rows {
        let (address, _requests) = http_server(response("200 OK", body)).await;
        assert_eq!(probe(&http(None, None, Some("ready")), address).await, expected, "{} octets", body.len());
    }
}

#[tokio::test]
async fn a_text_that_two_chunks_share_is_found() {
    let chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7\r\nalmost \r\n";
    let (address, _requests) = http_server(format!("{chunks}3\r\nrea\r\n4\r\ndy.\n\r\n0\r\n\r\n")).await;
    assert_eq!(probe(&http(None, None, Some("ready")), address).await, ProbeResult::Success);
}

#[tokio::test]
async fn broken_responses_fail_in_plain_words() {
    let headers = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(200_000));
    let rows = [
        ("", "connection closed before the response was whole"),
        ("HTTP/1.1 200 OK\r\nContent-Le", "connection closed before the response was whole"),
        ("SSH-2.0-OpenSSH_9.2\r\n\r\n", "what answers does not speak HTTP/1.1"),
        (headers.as_str(), "response headers above 64 KiB"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", "connection closed before the response was whole"),
    ];
    for (sent, words) in rows {
        let (address, _requests) = http_server(sent).await;
        let result = probe(&http(None, None, Some("ready")), address).await;
        assert_eq!(result, failure(words), "{:?}", &sent[..sent.len().min(40)]);
    }
}

#[tokio::test]
async fn a_reset_is_called_a_reset() {
    let (listener, address) = listener().await;
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.read_u8().await.unwrap();
        // Closing with unread data sends a reset.
        drop(stream);
    });
    assert_eq!(probe(&http(None, None, None), address).await, failure("connection reset"));
}

#[tokio::test]
async fn a_silent_server_times_out_in_the_step_it_hangs_in() {
    let (silent, address) = listener().await;
    let result = probe(&hasty(http(None, None, None)), address).await;
    assert_eq!(result, failure("timed out: no response within 300ms"));
    let tls = Some(Tls { verify: false, authority_pem: None });
    let result = probe(&hasty(http(tls, None, None)), address).await;
    assert_eq!(result, failure("timed out: no end of the TLS handshake within 300ms"));
    drop(silent);
    let (listener, address) = listener().await;
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf").await.unwrap();
        std::future::pending::<()>().await;
    });
    let result = probe(&hasty(http(None, None, Some("ready"))), address).await;
    assert_eq!(result, failure("timed out: no end of the response within 300ms"));
}

#[tokio::test]
async fn an_endless_body_nobody_asked_about_does_not_fail_the_probe() {
    let (listener, address) = listener().await;
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        while stream.write_all(&[b'x'; 1024]).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    assert_eq!(probe(&http(None, None, None), address).await, ProbeResult::Success);
}

/// An authority and the certificates it gave.
struct Pki {
    authority: CertifiedIssuer<'static, KeyPair>,
}

impl Pki {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self { authority: CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap() }
    }

    fn tls(&self) -> Option<Tls> {
        Some(Tls { verify: true, authority_pem: Some(self.authority.pem().into()) })
    }

    /// A server with a certificate for `name`, valid in the years `from` to `to`.
    async fn server(&self, name: &str, from: i32, to: i32) -> SocketAddr {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.not_before = date_time_ymd(from, 1, 1);
        params.not_after = date_time_ymd(to, 1, 1);
        let certificate = params.signed_by(&key, &self.authority).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let (listener, address) = listener().await;
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let Ok(mut stream) = acceptor.accept(stream).await else { continue };
                read_request(&mut stream).await;
                stream.write_all(response("200 OK", "ready").as_bytes()).await.ok();
                stream.shutdown().await.ok();
            }
        });
        address
    }
}

#[tokio::test]
async fn an_https_probe_verifies_the_certificate() {
    let pki = Pki::new("ours");
    let good = pki.server("www.example.com", 2020, 2120).await;
    let host = Some("www.example.com");
    assert_eq!(probe(&http(pki.tls(), host, Some("ready")), good).await, ProbeResult::Success);
    // The port of a Host value is no part of the name.
    assert_eq!(probe(&http(pki.tls(), Some("www.example.com:8443"), None), good).await, ProbeResult::Success);
    // Without a host the certificate must name the address.
    let by_address = pki.server("127.0.0.1", 2020, 2120).await;
    assert_eq!(probe(&http(pki.tls(), None, None), by_address).await, ProbeResult::Success);

    let wrong = probe(&http(pki.tls(), Some("other.example.com"), None), good).await;
    assert_eq!(wrong, failure("certificate is not for other.example.com but for www.example.com"));
    let unknown = probe(&http(Pki::new("theirs").tls(), host, None), good).await;
    assert_eq!(unknown, failure("certificate from an unknown authority"));
}

#[tokio::test]
async fn a_certificate_out_of_its_time_fails_an_https_probe() {
    let pki = Pki::new("ours");
    for (from, to, words) in [(2019, 2020, "certificate expired "), (2110, 2120, "certificate not yet valid, for ")] {
        let address = pki.server("www.example.com", from, to).await;
        match probe(&http(pki.tls(), Some("www.example.com"), None), address).await {
            ProbeResult::Failure(reason) => assert!(reason.starts_with(words), "{reason}"),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_probe_told_not_to_verify_takes_any_certificate() {
    let tls = Some(Tls { verify: false, authority_pem: None });
    let address = Pki::new("ours").server("www.example.com", 2019, 2020).await;
    assert_eq!(probe(&http(tls, Some("other.example.com"), Some("ready")), address).await, ProbeResult::Success);
}

#[tokio::test]
async fn plain_http_on_the_https_port_is_named() {
    let (listener, plain) = listener().await;
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.ok();
            stream.read_u8().await.ok();
        }
    });
    let tls = Some(Tls { verify: false, authority_pem: None });
    assert_eq!(probe(&http(tls, None, None), plain).await, failure("what answers does not speak TLS"));
}

#[tokio::test]
async fn https_on_the_http_port_is_named() {
    let address = Pki::new("ours").server("127.0.0.1", 2020, 2120).await;
    assert_eq!(probe(&http(None, None, None), address).await, failure("what answers does not speak HTTP/1.1"));
}

#[tokio::test]
async fn settings_that_cannot_be_used_say_so_and_judge_nobody() {
    let bad_pem = Some(Tls { verify: true, authority_pem: Some("no certificate at all".into()) });
    let empty_store = Some(Tls { verify: true, authority_pem: None });
    let address = closed().await;
    for (monitor, part) in [
        (http(bad_pem, None, None), "holds no certificate"),
        (http(empty_store, None, None), "no trusted authority"),
        (http(None, Some("two\nlines"), None), "cannot stand in a header"),
    ] {
        match probe(&monitor, address).await {
            ProbeResult::NotMade(reason) => assert!(reason.contains(part), "{reason}"),
            other => panic!("{other:?}"),
        }
    }
}
