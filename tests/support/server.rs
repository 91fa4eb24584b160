//! Server processes on loopback that end with their values.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A server process.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) child: Child,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that was free for UDP and TCP a moment ago.
pub(crate) fn free_port() -> u16 {
    loop {
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = udp.local_addr().unwrap();
        if TcpListener::bind(address).is_ok() {
            return address.port();
        }
    }
}

/// A node with this configuration added, waited for until it answers for `zone` (whatever it answers).
pub(crate) fn fairlead(folder: &Path, configuration: &str, zone: &str) -> Server {
    fairlead_at(folder, free_port(), free_port(), configuration, zone)
}

/// The same on ports that others know already.
pub(crate) fn fairlead_at(folder: &Path, port: u16, admin: u16, configuration: &str, zone: &str) -> Server {
    let listeners = format!("listeners: [{{address: 127.0.0.1, port: {port}}}]");
    fairlead_on(folder, port, &listeners, admin, configuration, zone)
}

/// The same with these `listeners`, of which one is 127.0.0.1 and the port.
pub(crate) fn fairlead_on(
    folder: &Path,
    port: u16,
    listeners: &str,
    admin: u16,
    configuration: &str,
    zone: &str,
) -> Server {
    let shown = folder.display();
    let configuration = format!(
        "node: test\n{listeners}\nadmin: {{address: 127.0.0.1:{admin}}}\n\
         state: {shown}/state\ncontrol: {shown}/control.sock\n{configuration}"
    );
    let file = folder.join("fairlead.yaml");
    fs::write(&file, configuration).unwrap();
    let log = folder.join("fairlead.log");
    let output = fs::File::create(&log).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_fairlead"));
    command.args(["serve", "-c"]).arg(&file).stdout(output.try_clone().unwrap()).stderr(output);
    start(&mut command, port, &log, zone)
}

/// Starts a server and waits until it answers a query for the zone's SOA.
pub(crate) fn start(command: &mut Command, port: u16, log: &Path, zone: &str) -> Server {
    let child = command.stdin(Stdio::null()).spawn().unwrap();
    let mut server = Server { address: SocketAddr::from(([127, 0, 0, 1], port)), child };
    let deadline = Instant::now() + Duration::from_secs(20);
    while Instant::now() < deadline && server.child.try_wait().unwrap().is_none() {
        if soa(server.address, zone).is_some() {
            return server;
        }
    }
    panic!("{command:?} does not answer for {zone}: {}", fs::read_to_string(log).unwrap_or_default());
}

/// Waits until a server that answers serves the zone.
pub(crate) fn wait_for_zone(server: &Server, zone: &str, log: &Path) {
    let deadline = Instant::now() + Duration::from_secs(20);
    let serves = |reply: Vec<u8>| reply[3] & 0xf == 0 && reply[7] > 0;
    while !soa(server.address, zone).is_some_and(serves) {
        let log = || fs::read_to_string(log).unwrap_or_default();
        assert!(Instant::now() < deadline, "{} does not serve {zone}: {}", server.address, log());
    }
}

/// The reply to a query for the zone's SOA, waited for a tenth of a second.
pub(crate) fn soa(server: SocketAddr, zone: &str) -> Option<Vec<u8>> {
    let mut packet = vec![0, 7, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in zone.split('.').filter(|label| !label.is_empty()) {
        packet.push(u8::try_from(label.len()).unwrap());
        packet.extend_from_slice(label.as_bytes());
    }
    packet.extend_from_slice(&[0, 0, 6, 0, 1]);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let _ = socket.send_to(&packet, server);
    let mut reply = vec![0; 4096];
    let length = socket.recv(&mut reply).ok()?;
    reply.truncate(length);
    (length >= 12).then_some(reply)
}

/// The value of a metric; the text between the braces is given as it is exported.
pub(crate) fn metric(admin: u16, series: &str) -> f64 {
    // It opens a moment after the first answers.
    let started = Instant::now();
    let mut stream = loop {
        match TcpStream::connect(("127.0.0.1", admin)) {
            Ok(stream) => break stream,
            Err(error) => assert!(started.elapsed() < Duration::from_secs(10), "no page of metrics: {error}"),
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok());
    value.unwrap_or_else(|| panic!("no {series} in\n{text}"))
}
