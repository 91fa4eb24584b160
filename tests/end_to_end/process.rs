//! The program under test and what stands around it: child processes, backends, files and clients.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query};
use hickory_proto::rr::{Name, RecordType};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How long anything may take that has no deadline of its own, on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A child process that ends with its owner. Standard error goes to a file.
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a program; its log is `folder/name.log`.
    pub(crate) fn start(folder: &Path, name: &str, command: &mut Command) -> Self {
        let log = folder.join(format!("{name}.log"));
        let file = fs::OpenOptions::new().create(true).append(true).open(&log).unwrap();
        let child = command.current_dir(folder).stdout(Stdio::null()).stderr(file).spawn().unwrap();
        Self { child, log }
    }

    /// Starts `fairlead` with arguments.
    pub(crate) fn fairlead(folder: &Path, name: &str, args: &[&str]) -> Self {
        Self::start(folder, name, Command::new(env!("CARGO_BIN_EXE_fairlead")).args(args))
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), signal).unwrap();
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// Waits until the log has `text`.
    pub(crate) fn wait_for_log(&self, text: &str) {
        eventually(&format!("{text:?} in {}", self.log.display()), || self.log().contains(text));
    }

    /// Kills it without warning and waits for it.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to end and gives its exit code.
    pub(crate) fn stop(mut self) -> Option<i32> {
        self.signal(Signal::SIGTERM);
        self.child.wait().unwrap().code()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it may have ended
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- {}\n{}", self.log.display(), self.log());
        }
    }
}

/// Runs a `fairlead` command to its end.
pub(crate) fn run(folder: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_fairlead")).current_dir(folder).args(args).output().unwrap()
}

/// Runs a `fairlead` command that must succeed, and gives its standard output.
pub(crate) fn output(folder: &Path, args: &[&str]) -> String {
    let output = run(folder, args);
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "fairlead {args:?}: {err}");
    out.into_owned()
}

/// Runs a `fairlead` command that must fail with exit code 1, and gives its standard error.
pub(crate) fn refusal(folder: &Path, args: &[&str]) -> String {
    let output = run(folder, args);
    assert_eq!(output.status.code(), Some(1), "fairlead {args:?} did not fail");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Waits until `is_so`, trying often.
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A port that nobody listens on now, neither over TCP nor over UDP.
pub(crate) fn free_port() -> u16 {
    loop {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        if UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}

/// An HTTP server that answers every request with 200, until it is dropped.
pub(crate) struct Backend {
    address: SocketAddr,
    stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Backend {
    pub(crate) fn start(port: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        let (address, stopping) = (listener.local_addr().unwrap(), Arc::new(AtomicBool::new(false)));
        let stop = Arc::clone(&stopping);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                if let Ok(mut stream) = stream {
                    let _ = stream.set_read_timeout(Some(Duration::from_millis(200)));
                    let _ = stream.read(&mut [0; 1024]); // a health check may only connect
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok");
                }
            }
        });
        Self { address, stopping, thread: Some(thread) }
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address); // wakes the thread
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

/// Asks over UDP and gives the answers as `name ttl class type data`; the response code alone when there are none.
pub(crate) fn ask(server: u16, name: &str, record_type: RecordType) -> Vec<String> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    // Connected, so that a node that does not listen yet is not waited for.
    socket.connect((Ipv4Addr::LOCALHOST, server)).unwrap();
    socket.send(&query(name, record_type)).unwrap();
    let mut reply = [0; 4096];
    let Ok(length) = socket.recv(&mut reply) else { return vec!["no reply".to_owned()] };
    shown(&reply[..length])
}

/// The same over TCP.
pub(crate) fn ask_tcp(server: u16, name: &str, record_type: RecordType) -> Vec<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, server)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let query = query(name, record_type);
    stream.write_all(&u16::try_from(query.len()).unwrap().to_be_bytes()).unwrap();
    stream.write_all(&query).unwrap();
    let mut length = [0; 2];
    stream.read_exact(&mut length).unwrap();
    let mut reply = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut reply).unwrap();
    shown(&reply)
}

fn query(name: &str, record_type: RecordType) -> Vec<u8> {
    let mut query = Message::new(7, MessageType::Query, OpCode::Query);
    query.add_query(Query::query(Name::from_ascii(name).unwrap(), record_type));
    query.set_edns(Edns::new());
    query.to_vec().unwrap()
}

fn shown(reply: &[u8]) -> Vec<String> {
    let reply = Message::from_vec(reply).unwrap();
    if reply.answers.is_empty() {
        return vec![format!("{:?}", reply.metadata.response_code)];
    }
    reply.answers.iter().map(ToString::to_string).collect()
}

/// Fetches a page over HTTP: its status and its body.
pub(crate) fn get(admin: u16, path: &str) -> (u16, String) {
    let Ok(mut stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, admin)) else { return (0, String::new()) };
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    let (head, body) = reply.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

/// One series of `/metrics` whose line has every one of `parts`; their sum when there are several.
pub(crate) fn metric(admin: u16, parts: &[&str]) -> f64 {
    let (status, text) = get(admin, "/metrics");
    assert_eq!(status, 200);
    let lines = text.lines().filter(|line| !line.starts_with('#') && parts.iter().all(|part| line.contains(part)));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}
