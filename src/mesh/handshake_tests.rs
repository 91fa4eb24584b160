//! Every way a handshake fails, over real sockets with real TLS, and the words each side has for it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::sign::SingleCertAndKey;
use rustls::version::TLS12;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::clock::Clock;
use super::credentials::{CredentialFiles, Credentials};
use super::error::LinkError;
use super::identity::{Identity, Role};
use super::tls::{self, ALPN, Finding};
use super::trust::{self, Overwrite};
use super::verify::{Expected, Verifier};

const DAY: i64 = 86_400;

/// One folder of authorities and nodes.
struct Trust {
    folder: TempDir,
    now: i64,
}

impl Trust {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), now: Clock::start().unix_millis() / 1_000 }
    }

    /// Issues from `authority` at `issued` seconds from now for 90 days.
    fn issue(&self, authority: &str, role: Role, name: &str, issued: i64) -> Arc<Credentials> {
        let (authority, node) = (self.folder.path().join(authority), self.folder.path().join(name));
        if !authority.exists() {
            trust::init(&authority, "test", Overwrite::Never, self.now - 365 * DAY).unwrap();
        }
        trust::issue(&authority, &node, (role, name), trust::CERTIFICATE_LIFE, self.now + issued).unwrap();
        self.read(&node, role, name)
    }

    fn read(&self, node: &Path, role: Role, name: &str) -> Arc<Credentials> {
        CredentialFiles::new(node, name.into(), role, Clock::start()).current().unwrap()
    }

    /// A node whose certificate is of one authority and whose `authority.pem` is another's.
    fn issue_and_believe(&self, authority: &str, believed: &str, role: Role, name: &str) -> Arc<Credentials> {
        self.issue(believed, Role::Lb, "any", 0);
        self.issue(authority, role, name, 0);
        let node = self.folder.path().join(name);
        let authority = self.folder.path().join(believed).join(trust::AUTHORITY_FILE);
        std::fs::copy(authority, node.join(trust::AUTHORITY_FILE)).unwrap();
        self.read(&node, role, name)
    }
}

fn agent(name: &str) -> Identity {
    Identity::new("test", Role::Lb, name).unwrap()
}

async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (dialer, accepted) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
    (dialer.unwrap(), accepted.unwrap().0)
}

type Outcome = Result<String, LinkError>;

/// The dialer's outcome includes the first octet, because a listener's refusal arrives after the dialer is done.
async fn dial(stream: TcpStream, credentials: &Credentials, expected: Identity, clock: Clock) -> Outcome {
    let (mut stream, peer) = tls::connect(stream, credentials, expected, clock).await?;
    stream.read_u8().await.map_err(|error| tls::explain(&error, credentials))?;
    Ok(peer.identity.to_string())
}

async fn accept(stream: TcpStream, credentials: &Credentials, clock: Clock) -> Outcome {
    let (mut stream, peer) = tls::accept(stream, credentials, clock).await?;
    stream.write_u8(1).await.unwrap();
    stream.flush().await.unwrap();
    Ok(peer.identity.to_string())
}

async fn meet((node, node_clock): (&Credentials, Clock), (agent, agent_clock): (&Credentials, Clock)) -> [Outcome; 2] {
    let (near, far) = pair().await;
    let expected = self::agent("ny");
    let (dialed, accepted) = tokio::join!(dial(near, node, expected, node_clock), accept(far, agent, agent_clock));
    [dialed, accepted]
}

fn words([dialed, accepted]: [Outcome; 2]) -> [String; 2] {
    [dialed, accepted].map(|outcome| outcome.map_or_else(|error| error.to_string(), |peer| format!("talks to {peer}")))
}

fn starts(outcome: [Outcome; 2], dialed: &str, accepted: &str) {
    let words = words(outcome);
    assert!(words[0].starts_with(dialed), "the dialer says: {}", words[0]);
    assert!(words[1].starts_with(accepted), "the listener says: {}", words[1]);
}

#[tokio::test]
async fn members_of_one_mesh_know_each_other_by_name() {
    let trust = Trust::new();
    let (node, ny) = (trust.issue("a", Role::Dns, "ns1", 0), trust.issue("a", Role::Lb, "ny", 0));
    let clock = Clock::start();
    let outcome = meet((&node, clock), (&ny, clock)).await;
    starts(outcome, "talks to spiffe://test/lb/ny", "talks to spiffe://test/dns/ns1");
}

#[tokio::test]
async fn another_authority_is_named_by_whoever_meets_it() {
    let (trust, clock) = (Trust::new(), Clock::start());
    let (node, ny) = (trust.issue("a", Role::Dns, "ns1", 0), trust.issue("b", Role::Lb, "ny", 0));
    let outcome = meet((&node, clock), (&ny, clock)).await;
    starts(
        outcome,
        "wrong authority: the certificate of spiffe://test/lb/ny was issued by \"CN=Fairlead mesh test\", which is not",
        "the peer refused our certificate: wrong authority: it does not know the authority",
    );
    let node = trust.issue_and_believe("c", "b", Role::Dns, "ns2");
    let outcome = meet((&node, clock), (&ny, clock)).await;
    starts(
        outcome,
        "the peer refused our certificate: wrong authority: it does not know the authority",
        "wrong authority: the certificate of spiffe://test/dns/ns2 was issued by \"CN=Fairlead mesh test\", which is",
    );
}

#[tokio::test]
async fn an_expired_certificate_says_since_when() {
    let (trust, clock) = (Trust::new(), Clock::start());
    let (node, ny) = (trust.issue("a", Role::Dns, "ns1", 0), trust.issue("a", Role::Lb, "ny", -93 * DAY));
    let outcome = meet((&node, clock), (&ny, clock)).await;
    starts(
        outcome,
        "expired: the certificate of spiffe://test/lb/ny ended 3 d 0 h ago, on ",
        "the peer refused our certificate: expired or not yet valid by its clock; ours is valid from ",
    );
    let (node, ny) = (trust.issue("a", Role::Dns, "ns1", -91 * DAY), trust.issue("a", Role::Lb, "ny", 0));
    let outcome = meet((&node, clock), (&ny, clock)).await;
    starts(
        outcome,
        "the peer refused our certificate: expired or not yet valid by its clock; ours is valid from ",
        "expired: the certificate of spiffe://test/dns/ns1 ended 1 d 0 h ago, on ",
    );
}

#[tokio::test]
async fn a_certificate_from_the_future_says_how_far_the_clocks_are_apart() {
    let (trust, clock) = (Trust::new(), Clock::start());
    let (node, ny) = (trust.issue("a", Role::Dns, "ns1", -10 * DAY), trust.issue("a", Role::Lb, "ny", 0));
    // Two days and a half hour: what the handshake takes must not change the hours.
    let slow = clock.with_wall_offset(-2 * DAY * 1_000 - 1_800_000);
    let outcome = meet((&node, slow), (&ny, clock)).await;
    let words = words(outcome);
    assert!(words[0].starts_with("not yet valid: the certificate of spiffe://test/lb/ny begins on "), "{}", words[0]);
    assert!(words[0].contains(", 1 d 23 h ahead of our clock ("), "{}", words[0]);
    assert!(words[1].starts_with("the peer refused our certificate: expired or not yet valid"), "{}", words[1]);
}

#[tokio::test]
async fn a_name_that_may_not_be_there_is_told_with_the_one_that_may() {
    let (trust, clock) = (Trust::new(), Clock::start());
    let (node, london) = (trust.issue("a", Role::Dns, "ns1", 0), trust.issue("a", Role::Lb, "london", 0));
    let outcome = meet((&node, clock), (&london, clock)).await;
    starts(
        outcome,
        "name not allowed: expected spiffe://test/lb/ny, got spiffe://test/lb/london",
        "the peer refused our certificate: name not allowed: it does not let spiffe://test/lb/london in",
    );
    let ny = trust.issue("a", Role::Lb, "ny", 0);
    let outcome = meet((&london, clock), (&ny, clock)).await;
    starts(
        outcome,
        "the peer refused our certificate: name not allowed: it does not let spiffe://test/lb/london in",
        "name not allowed: expected spiffe://test/dns/<node>, got spiffe://test/lb/london",
    );
    let outcome = meet((&trust.issue("a", Role::Dns, "ns1", 0), clock), (&node, clock)).await;
    starts(outcome, "name not allowed: expected spiffe://test/lb/ny, got spiffe://test/dns/ns1", "the peer refused");
}

/// Dials our listener with a configuration of somebody else's making.
async fn visit(config: ClientConfig, ny: &Credentials) -> Outcome {
    let (near, far) = pair().await;
    let visitor = async {
        let name = ServerName::try_from("visitor.invalid").unwrap();
        if let Ok(mut stream) = TlsConnector::from(Arc::new(config)).connect(name, near).await {
            let _ = stream.read_u8().await;
        }
    };
    tokio::join!(visitor, accept(far, ny, Clock::start())).1
}

/// Lets our dialer dial a listener of somebody else's making.
async fn host(config: ServerConfig, node: &Credentials) -> Outcome {
    let (near, far) = pair().await;
    let host = async {
        if let Ok(mut stream) = TlsAcceptor::from(Arc::new(config)).accept(far).await {
            let _ = stream.write_u8(1).await;
        }
    };
    tokio::join!(host, dial(near, node, agent("ny"), Clock::start())).1
}

fn check(outcome: Outcome, expected: &str) {
    let words = outcome.unwrap_err().to_string();
    assert!(words.starts_with(expected), "{words}");
}

#[tokio::test]
async fn who_presents_no_certificate_is_refused() {
    let trust = Trust::new();
    let (node, ny) = (trust.issue("a", Role::Dns, "ns1", 0), trust.issue("a", Role::Lb, "ny", 0));
    let verifier = Verifier::new(&node, Expected::Exactly(agent("ny")), &Finding::default()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::clone(&node.provider));
    let builder = builder.with_safe_default_protocol_versions().unwrap().dangerous();
    let mut config = builder.with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth();
    config.alpn_protocols = vec![ALPN.to_vec()];
    check(visit(config, &ny).await, "no certificate presented by the peer");
}

#[tokio::test]
async fn whoever_speaks_another_protocol_inside_tls_is_told_apart() {
    let (trust, clock) = (Trust::new(), Clock::start());
    let (node, ny) = (trust.issue("a", Role::Dns, "ns1", 0), trust.issue("a", Role::Lb, "ny", 0));
    for other in [vec![b"h2".to_vec()], vec![]] {
        let mut config = tls::client_config(&node, agent("ny"), clock, &Finding::default()).unwrap();
        config.alpn_protocols.clone_from(&other);
        check(visit(config, &ny).await, "version mismatch: the peer speaks TLS but not fairlead-mesh/1");
        let mut config = tls::server_config(&ny, clock, &Finding::default()).unwrap();
        config.alpn_protocols = other;
        check(host(config, &node).await, "version mismatch: the peer speaks TLS but not fairlead-mesh/1");
    }
}

#[tokio::test]
async fn tls_1_2_is_refused_by_either_side() {
    let trust = Trust::new();
    let (node, ny) = (trust.issue("a", Role::Dns, "ns1", 0), trust.issue("a", Role::Lb, "ny", 0));
    let builder = ClientConfig::builder_with_provider(Arc::clone(&node.provider));
    let builder = builder.with_protocol_versions(&[&TLS12]).unwrap();
    let config = builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth();
    check(visit(config, &ny).await, "version mismatch: the peer offers no TLS 1.3");
    let builder = ServerConfig::builder_with_provider(Arc::clone(&ny.provider));
    let builder = builder.with_protocol_versions(&[&TLS12]).unwrap().with_no_client_auth();
    let config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(&ny.key))));
    check(host(config, &node).await, "version mismatch: the peer offers no TLS 1.3");
}

#[tokio::test]
async fn what_is_not_tls_is_told_apart() {
    let (trust, clock) = (Trust::new(), Clock::start());
    let (node, ny) = (trust.issue("a", Role::Dns, "ns1", 0), trust.issue("a", Role::Lb, "ny", 0));
    let (near, mut far) = pair().await;
    far.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
    check(dial(near, &node, agent("ny"), clock).await, "the peer does not speak TLS");
    let (mut near, far) = pair().await;
    near.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    check(accept(far, &ny, clock).await, "the peer does not speak TLS");
    let (near, far) = pair().await;
    drop(near);
    check(accept(far, &ny, clock).await, "the peer closed the connection");
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_does_not_go_on_times_out() {
    let trust = Trust::new();
    let ny = trust.issue("a", Role::Lb, "ny", 0);
    let (_near, far) = pair().await;
    let began = tokio::time::Instant::now();
    check(accept(far, &ny, Clock::start()).await, "timed out: the TLS handshake did not end within 5s");
    assert!(began.elapsed() < Duration::from_secs(6));
}
