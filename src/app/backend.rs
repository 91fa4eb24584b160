//! A small HTTP server that can be taken down and brought up again: what the demonstration steers traffic to.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::debug;

/// How long one request may take.
const REQUEST_MAX: Duration = Duration::from_secs(5);
/// The longest request head, in bytes.
const HEAD_MAX: u64 = 16 * 1024;

/// A backend. Dropping it ends it.
pub struct Backend {
    name: Arc<str>,
    address: SocketAddr,
    up: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Backend {
    /// Serves `name` on `address`.
    pub async fn start(name: &str, address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let (name, address): (Arc<str>, _) = (name.into(), listener.local_addr()?);
        let (up, wanted) = watch::channel(true);
        let task = tokio::spawn(run(Some(listener), address, name.clone(), wanted));
        Ok(Self { name, address, up, task })
    }

    /// What it was called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it listens while it is up.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether it is wanted up.
    pub fn is_up(&self) -> bool {
        *self.up.borrow()
    }

    /// Closes its socket, so that connections are refused.
    pub fn take_down(&self) {
        self.up.send_replace(false);
    }

    /// Opens its socket again.
    pub fn bring_up(&self) {
        self.up.send_replace(true);
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Listens while it is wanted up.
async fn run(
    mut listener: Option<TcpListener>,
    address: SocketAddr,
    name: Arc<str>,
    mut wanted: watch::Receiver<bool>,
) {
    loop {
        let is_wanted = *wanted.borrow_and_update();
        listener = match (is_wanted, listener.take()) {
            (false, _) => None,
            (true, None) => TcpListener::bind(address).await.inspect_err(|error| debug!(%error, "binding")).ok(),
            (true, bound) => bound,
        };
        tokio::select! {
            changed = wanted.changed() => if changed.is_err() { return },
            accepted = accept(listener.as_ref()) => match accepted {
                Ok(stream) => { tokio::spawn(tokio::time::timeout(REQUEST_MAX, answer(stream, name.clone()))); }
                Err(error) => {
                    debug!(%error, "accepting");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
        }
    }
}

async fn accept(listener: Option<&TcpListener>) -> io::Result<TcpStream> {
    match listener {
        Some(listener) => listener.accept().await.map(|(stream, _)| stream),
        None => std::future::pending().await,
    }
}

/// Reads one request head and says who answered.
async fn answer(mut stream: TcpStream, name: Arc<str>) -> io::Result<()> {
    let mut reader = BufReader::new((&mut stream).take(HEAD_MAX));
    let mut line = String::new();
    while reader.read_line(&mut line).await? > 2 {
        line.clear();
    }
    let body = format!("{name}\n");
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nconnection: close\r\n";
    stream.write_all(format!("{head}content-length: {}\r\n\r\n{body}", body.len()).as_bytes()).await?;
    stream.shutdown().await
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn ask(address: SocketAddr) -> io::Result<String> {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await?;
        let mut reply = String::new();
        stream.read_to_string(&mut reply).await?;
        Ok(reply)
    }

    #[tokio::test]
    async fn it_answers_with_its_name_until_it_is_down_and_again_when_it_is_up() {
        let backend = Backend::start("ny-1", "127.0.0.1:0".parse().unwrap()).await.unwrap();
        assert!(ask(backend.address()).await.unwrap().ends_with("\r\n\r\nny-1\n"));
        backend.take_down();
        let refused = async {
            while ask(backend.address()).await.is_ok() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(REQUEST_MAX, refused).await.unwrap();
        backend.bring_up();
        let answered = async {
            while ask(backend.address()).await.is_err() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(REQUEST_MAX, answered).await.unwrap();
        assert!(backend.is_up());
    }
}
