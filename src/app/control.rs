//! The control socket: one JSON request and one JSON response per connection, for the owner of the process only.
//!
//! The request ends with a newline or the end of the stream, the response with the end of the stream.

use std::fmt;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tracing::{debug, warn};

use super::background;

/// The longest request, in bytes.
const REQUEST_SIZE_MAX: u64 = 64 * 1024;
/// The longest response a client reads, in bytes: the status of a hundred thousand wide IPs fits.
const RESPONSE_SIZE_MAX: u64 = 512 * 1024 * 1024;
/// How long one exchange may take.
const EXCHANGE_MAX: Duration = Duration::from_secs(10);
/// How many requests are handled at once.
const CONNECTIONS_MAX: usize = 16;

/// What a client asks of the running node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// Takes an object out of use.
    Disable(Change),
    /// Puts an object back to use, also when the configuration disables it.
    Enable(Change),
    /// Forgets what was said of an object: the configuration counts again.
    Reset(Change),
    /// The decision for one question, with its reasons.
    Explain(Question),
    /// The state of every object.
    Status,
    /// The peers of the mesh.
    MeshStatus,
    /// How the files of zones, or of one, stand to what is served.
    ZoneStatus {
        /// The zone; all when absent.
        #[serde(default)]
        zone: Option<String>,
    },
    /// What a zone's file and what is served differ in.
    ZoneDiff {
        /// The zone.
        zone: String,
    },
    /// Writes the updates of a zone to its file.
    ZoneFlush {
        /// The zone.
        zone: String,
        /// Whether a file that is made of several files or generated lines may become one plain file.
        #[serde(default)]
        force: bool,
    },
}

/// An object to enable or disable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// `datacenter`, `server`, `virtual-server`, `pool`, `member` or `wide-ip`.
    pub kind: String,
    /// The object's name.
    pub name: String,
    /// How long it holds; for ever when absent.
    #[serde(default)]
    pub for_ms: Option<u64>,
    /// Why, for those who look at the status later.
    #[serde(default)]
    pub reason: String,
    /// Whether the last usable member of a pool may go.
    #[serde(default)]
    pub force: bool,
}

/// A question to explain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// The name.
    pub name: String,
    /// The type's mnemonic or `TYPEnnn`.
    #[serde(rename = "type")]
    pub record_type: String,
    /// The address the query comes from.
    pub client: std::net::IpAddr,
    /// The client subnet the query carries, as `address/length`.
    #[serde(default)]
    pub subnet: Option<String>,
    /// The view to answer from, whoever asks.
    #[serde(default)]
    pub view: Option<String>,
    /// The name of the key that signs the query.
    #[serde(default)]
    pub key: Option<String>,
    /// The listener that the query comes to, as its address and port.
    #[serde(default)]
    pub listener: Option<String>,
}

/// What the node says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Response {
    /// It was done; the lines are for the person who asked.
    Done(Vec<String>),
    /// What was asked for.
    Data(serde_json::Value),
    /// It was not done, and why.
    Refused(String),
}

/// Why the control socket could not be used.
#[derive(Debug)]
pub struct ControlError {
    doing: &'static str,
    socket: PathBuf,
    cause: String,
}

/// The server side, bound and not yet serving. The socket file is removed when this is dropped.
pub struct Control {
    listener: UnixListener,
    socket: PathBuf,
}

impl Control {
    /// Binds the socket with mode 0600. A socket left behind by a dead process is replaced; a live one is an error.
    pub fn bind(socket: &Path) -> Result<Self, ControlError> {
        let fail =
            |cause: String| ControlError { doing: "binding the control socket", socket: socket.to_owned(), cause };
        if std::os::unix::net::UnixStream::connect(socket).is_ok() {
            return Err(fail("another process serves it; stop that first or set another `control`".into()));
        }
        if let Some(folder) = socket.parent() {
            std::fs::create_dir_all(folder).map_err(|error| fail(error.to_string()))?;
        }
        // Bound under a name nobody knows and renamed once only the owner may open it.
        let hidden = socket.with_extension(format!("{}.tmp", std::process::id()));
        let _ = std::fs::remove_file(&hidden); // left behind by a crash, or not there
        let bound = UnixListener::bind(&hidden)
            .and_then(|listener| {
                std::fs::set_permissions(&hidden, std::fs::Permissions::from_mode(0o600))?;
                std::fs::rename(&hidden, socket)?;
                Ok(listener)
            })
            .map_err(|error| fail(error.to_string()))?;
        Ok(Self { listener: bound, socket: socket.to_owned() })
    }

    /// Serves for good: each request goes through `handle`.
    pub async fn serve<F, R>(&self, handle: F) -> Result<(), String>
    where
        F: Fn(Request) -> R + Clone + Send + 'static,
        R: Future<Output = Response> + Send + 'static,
    {
        let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        loop {
            let permit = Arc::clone(&permits).acquire_owned().await.map_err(|error| error.to_string())?;
            let stream = match self.listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Out of descriptors, most likely: waiting is better than spinning.
                    warn!(%error, "accepting on the control socket failed");
                    tokio::time::sleep(Duration::from_millis(200)).await;
                    continue;
                }
            };
            let handle = handle.clone();
            tokio::spawn(async move {
                if let Ok(Err(error)) = tokio::time::timeout(EXCHANGE_MAX, exchange(stream, handle)).await {
                    debug!(%error, "a control connection broke");
                }
                drop(permit);
            });
        }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        // Best effort: a socket left behind is replaced at the next start.
        let _ = std::fs::remove_file(&self.socket);
    }
}

async fn exchange<F, R>(mut stream: UnixStream, handle: F) -> io::Result<()>
where
    F: Fn(Request) -> R,
    R: Future<Output = Response>,
{
    let uid = stream.peer_cred()?.uid();
    let response = if uid == nix::unistd::geteuid().as_raw() || uid == 0 {
        match read_request(&mut stream).await? {
            Ok(request) => handle(request).await,
            Err(wrong) => Response::Refused(wrong),
        }
    } else {
        warn!(uid, "refused a control connection of another user");
        Response::Refused("only the user that runs fairlead may use its control socket".into())
    };
    let text = background::in_place(|| serde_json::to_vec(&response)).map_err(io::Error::other)?;
    stream.write_all(&text).await?;
    stream.shutdown().await
}

async fn read_request(stream: &mut UnixStream) -> io::Result<Result<Request, String>> {
    let mut text = Vec::new();
    BufReader::new(stream.take(REQUEST_SIZE_MAX)).read_until(b'\n', &mut text).await?;
    Ok(serde_json::from_slice(&text).map_err(|error| format!("the request could not be read: {error}")))
}

/// Asks the node behind `socket`.
pub async fn ask(socket: &Path, request: &Request) -> Result<Response, ControlError> {
    let fail = |doing, cause: String| ControlError { doing, socket: socket.to_owned(), cause };
    let exchange = async {
        let mut stream = UnixStream::connect(socket)
            .await
            .map_err(|error| fail("connecting to the control socket", explain_connect(&error)))?;
        let talk = async {
            let mut text = serde_json::to_vec(request).map_err(io::Error::other)?;
            text.push(b'\n');
            stream.write_all(&text).await?;
            let mut response = Vec::new();
            stream.take(RESPONSE_SIZE_MAX).read_to_end(&mut response).await?;
            serde_json::from_slice(&response).map_err(io::Error::other)
        };
        talk.await.map_err(|error| fail("talking over the control socket", error.to_string()))
    };
    let late = |_| fail("talking over the control socket", format!("no answer within {} s", EXCHANGE_MAX.as_secs()));
    tokio::time::timeout(EXCHANGE_MAX, exchange).await.map_err(late)?
}

fn explain_connect(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            format!("{error}; is `fairlead serve` running, and is this its `control` socket?")
        }
        io::ErrorKind::PermissionDenied => format!("{error}; only the user that runs fairlead may open it"),
        _ => error.to_string(),
    }
}

impl fmt::Display for ControlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.doing, self.socket.display(), self.cause)
    }
}

impl std::error::Error for ControlError {}

#[cfg(test)]
mod tests {
    use super::*;

    async fn serving(folder: &Path) -> PathBuf {
        let socket = folder.join("run/control.sock");
        let control = Control::bind(&socket).unwrap();
        let handle = |request| async move {
            match request {
                Request::Status => Response::Data(serde_json::json!({"node": "ns1"})),
                Request::Disable(change) => Response::Done(vec![format!("disabled {}", change.name)]),
                _ => Response::Refused("not here".into()),
            }
        };
        tokio::spawn(async move { control.serve(handle).await });
        socket
    }

    #[tokio::test]
    async fn a_request_is_answered_and_only_the_owner_may_open_the_socket() {
        let folder = tempfile::tempdir().unwrap();
        let socket = serving(folder.path()).await;
        assert_eq!(std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
        let data = ask(&socket, &Request::Status).await.unwrap();
        assert_eq!(data, Response::Data(serde_json::json!({"node": "ns1"})));
        let change =
            Change { kind: "server".into(), name: "a".into(), for_ms: None, reason: String::new(), force: false };
        assert_eq!(ask(&socket, &Request::Disable(change)).await.unwrap(), Response::Done(vec!["disabled a".into()]));
    }

    #[tokio::test]
    async fn nonsense_is_refused_in_words() {
        let folder = tempfile::tempdir().unwrap();
        let socket = serving(folder.path()).await;
        for wrong in ["\n", "{}\n", r#"{"command":"disable","kind":"server","name":"a","more":1}"#, "[[[[[[[[\n"] {
            let mut stream = UnixStream::connect(&socket).await.unwrap();
            stream.write_all(wrong.as_bytes()).await.unwrap();
            stream.shutdown().await.unwrap();
            let mut reply = String::new();
            stream.read_to_string(&mut reply).await.unwrap();
            assert!(reply.contains("refused"), "{wrong:?} gave {reply}");
        }
    }

    #[tokio::test]
    async fn a_live_socket_is_not_taken_over_and_a_dead_one_is() {
        let folder = tempfile::tempdir().unwrap();
        let socket = serving(folder.path()).await;
        assert!(Control::bind(&socket).err().unwrap().to_string().contains("another process"));
        let dead = folder.path().join("dead.sock");
        drop(std::os::unix::net::UnixListener::bind(&dead).unwrap());
        assert!(dead.exists());
        Control::bind(&dead).unwrap();
        assert!(!dead.exists(), "the socket file goes with its server");
    }

    #[tokio::test]
    async fn nobody_serving_is_said_with_what_to_check() {
        let error = ask(Path::new("/nonexistent/control.sock"), &Request::Status).await.unwrap_err().to_string();
        assert!(error.contains("/nonexistent/control.sock") && error.contains("fairlead serve"), "{error}");
    }
}
