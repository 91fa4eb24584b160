//! The agent beside a real HAProxy (Debian's package): discovery, flips, maintenance, restarts and lost sockets.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod support;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use fairlead::agent::{Collector, Settings, SourceSettings};
use fairlead::mesh::{self, Report, VirtualServerReport};
use fairlead::status::Availability::{self, Available, Offline, Unknown};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How long a change may take to be reported: two of HAProxy's checks and a reading, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

struct Haproxy {
    program: PathBuf,
    folder: tempfile::TempDir,
    child: Child,
}

impl Haproxy {
    fn start(program: PathBuf, configuration: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let text = configuration.replace("SOCKET", folder.path().join("stats.sock").to_str().unwrap());
        std::fs::write(folder.path().join("haproxy.cfg"), text).unwrap();
        let child = Self::spawn(&program, folder.path());
        Self { program, folder, child }
    }

    fn spawn(program: &Path, folder: &Path) -> Child {
        let mut command = Command::new(program);
        // Relative on purpose: the agent finds it through the process's working directory.
        command.current_dir(folder).args(["-db", "-q", "-f", "haproxy.cfg"]);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("stats.sock")
    }

    fn stop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        std::fs::remove_file(self.socket()).ok();
    }

    /// Starts it with `from` in its configuration replaced by `to`.
    fn start_again(&mut self, from: &str, to: &str) {
        let file = self.folder.path().join("haproxy.cfg");
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(file, text.replace(from, to)).unwrap();
        self.child = Self::spawn(&self.program, self.folder.path());
    }

    async fn command(&self, command: &str) {
        let mut stream = UnixStream::connect(self.socket()).await.unwrap();
        stream.write_all(format!("{command}\n").as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert_eq!(answer.trim(), "", "{command}");
    }
}

impl Drop for Haproxy {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A port nobody listens on now. HAProxy cannot be told to choose one itself.
async fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port()
}

/// A member that answers every request and closes.
async fn member(address: &str) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind(address).await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                // A health check connects and leaves.
                if stream.read(&mut [0; 1024]).await.is_ok_and(|read| read == 0) {
                    return;
                }
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok").await.ok();
            });
        }
    });
    (address, task)
}

fn settings(socket: PathBuf) -> Settings {
    let source = SourceSettings::Haproxy {
        socket,
        interval: Duration::from_millis(50),
        configuration: None,
        frontends: Vec::new(),
    };
    let mesh = mesh::Settings {
        name: "lb1".into(),
        listen: None,
        state: PathBuf::new(),
        peers: Vec::new(),
        report_interval: Duration::from_secs(5),
    };
    Settings { mesh, sources: vec![source], admin: None }
}

/// Waits until the report shows `name` as `wanted`, and returns it.
async fn until(
    reports: &mut watch::Receiver<Option<Arc<Report>>>,
    name: &str,
    wanted: Availability,
    reason: &str,
) -> VirtualServerReport {
    let mut last = None;
    let found = tokio::time::timeout(PATIENCE, async {
        loop {
            let report = reports.borrow_and_update().clone();
            let one = report.and_then(|report| report.virtual_servers.iter().find(|one| &*one.name == name).cloned());
            if let Some(one) = one {
                if one.verdict.availability == wanted && one.verdict.reason.contains(reason) {
                    return one;
                }
                last = Some(one);
            }
            reports.changed().await.unwrap();
        }
    });
    found.await.unwrap_or_else(|_| panic!("{name} is not {wanted} with {reason:?} but {last:?}"))
}

#[tokio::test]
async fn a_real_haproxy_is_discovered_and_followed() {
    let Some(program) = support::tool("haproxy") else { return };
    let (first, first_task) = member("127.0.0.1:0").await;
    let (second, second_task) = member("127.0.0.1:0").await;
    let (www, both, wild) = (free_port().await, free_port().await, free_port().await);
    let configuration = format!(
        "global\n stats socket SOCKET mode 600 level admin\n\
         defaults\n mode http\n timeout connect 1s\n timeout client 5s\n timeout server 5s\n\
         frontend www\n bind 127.0.0.1:{www}\n default_backend web\n\
         frontend wild\n bind :{wild}\n default_backend web\n\
         backend web\n default-server check inter 50 rise 1 fall 1\n server s1 {first}\n server s2 {second}\n\
         listen both\n bind 127.0.0.1:{both}\n server b1 {second} check inter 50 rise 1 fall 1\n"
    );
    let mut haproxy = Haproxy::start(program, &configuration);
    let origin = tokio::time::Instant::now().into_std();
    let collector = Collector::start(&settings(haproxy.socket()), origin);
    let mut reports = collector.report();

    let found = until(&mut reports, "www", Available, "2 of 2 members up in backend web").await;
    assert_eq!(found.address, SocketAddr::from(([127, 0, 0, 1], www)));
    let names = |report: &Report| report.virtual_servers.iter().map(|one| one.name.to_string()).collect::<Vec<_>>();
    assert_eq!(names(reports.borrow().as_ref().unwrap()), ["www", "both"], "a wildcard is no address for clients");
    until(&mut reports, "both", Available, "1 of 1 members up in backend both").await;

    // Traffic shows in the measurements.
    let mut client = TcpStream::connect(("127.0.0.1", www)).await.unwrap();
    client.write_all(b"GET / HTTP/1.0\r\n\r\n").await.unwrap();
    client.read_to_end(&mut Vec::new()).await.unwrap();
    let measured = until(&mut reports, "www", Available, "").await.verdict.measurements;
    assert_eq!((measured.members_up, measured.members_total), (Some(2), Some(2)));
    assert!(measured.connections.is_some() && measured.connection_rate.is_some() && measured.queue == Some(0));

    // A member dies, the other is taken out by hand, both come back.
    second_task.abort();
    until(&mut reports, "both", Offline, "0 of 1 members up in backend both (b1: DOWN L4").await;
    until(&mut reports, "www", Available, "1 of 2 members up in backend web").await;
    haproxy.command("set server web/s1 state maint").await;
    until(&mut reports, "www", Offline, "0 of 2 members up in backend web (s1: MAINT, s2: DOWN L4").await;
    haproxy.command("set server web/s1 state drain").await;
    until(&mut reports, "www", Offline, "s1: DRAIN").await;
    haproxy.command("set server web/s1 state ready").await;
    let (_, _second_task) = member(&second.to_string()).await;
    until(&mut reports, "www", Available, "2 of 2 members up in backend web").await;
    haproxy.command("disable frontend www").await;
    until(&mut reports, "www", Offline, "the frontend is PAUSED").await;
    haproxy.command("enable frontend www").await;
    until(&mut reports, "www", Available, "2 of 2").await;

    // Without HAProxy nothing is known, and nothing is called down.
    haproxy.stop();
    until(&mut reports, "www", Unknown, "source error: connecting to ").await;
    until(&mut reports, "both", Unknown, "source error: connecting to ").await;
    assert!(collector.sources().borrow()[0].error.is_some());
    // A new process is asked for its configuration again.
    haproxy.start_again("default_backend web", "default_backend both");
    until(&mut reports, "www", Available, "1 of 1 members up in backend both").await;
    assert_eq!(collector.sources().borrow()[0].error, None);
    first_task.abort();
}
