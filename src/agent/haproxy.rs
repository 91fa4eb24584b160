//! Reads HAProxy: its Runtime API over the Unix stats socket every interval, its configuration whenever its process
//! changes. HAProxy pushes nothing, so a flip is seen at the next reading. Reading some dozens of lines costs less than a
//! millisecond, so the interval may be set well below the usual second where it has no thousands of servers.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tracing::{info, warn};

use crate::mesh::VirtualServerReport;
use crate::status::Moment;

use super::LocalVirtualServer;
use super::haproxy_configuration::{self, Configuration};
use super::haproxy_judge::Judge;
use super::haproxy_stat::{self, COMMAND, Reading};

/// How long one reading may take.
const READ_TIMEOUT: Duration = Duration::from_secs(1);
/// The largest answer that is read: some twenty thousand lines.
const ANSWER_MAX: u64 = 16 << 20;
/// The largest configuration that is read.
const CONFIGURATION_MAX: u64 = 16 << 20;
/// A configuration that could not be read is tried again after so many readings.
const CONFIGURATION_RETRY: u32 = 30;

/// One HAProxy process as a source of virtual servers.
#[derive(Debug)]
pub(super) struct Haproxy {
    socket: PathBuf,
    /// Where its configuration is, if the settings say.
    configuration_path: Option<PathBuf>,
    judge: Judge,
    configuration: Option<Configuration>,
    /// The process whose configuration was asked for last; none before the first.
    configured_for: Option<Option<u32>>,
    /// Readings until the configuration is asked for again; none when it was read.
    retry_in: Option<u32>,
}

impl Haproxy {
    /// A source that reads `socket`.
    pub(super) fn new(socket: PathBuf, configuration: Option<PathBuf>, frontends: Vec<LocalVirtualServer>) -> Self {
        Self {
            socket,
            configuration_path: configuration,
            judge: Judge::new(frontends),
            configuration: None,
            configured_for: None,
            retry_in: None,
        }
    }

    /// Looks once. The error says why HAProxy could not be read; the virtual servers then are unknown.
    pub(super) async fn look(&mut self, now: Moment) -> (Vec<VirtualServerReport>, Result<(), String>) {
        match read(&self.socket).await {
            Ok((reading, peer_pid)) => {
                // Files may lie on a disk that hangs; HAProxy's word is passed on all the same.
                if tokio::time::timeout(READ_TIMEOUT, self.read_configuration(&reading, peer_pid)).await.is_err() {
                    warn!("HAProxy's configuration could not be read within {READ_TIMEOUT:?}");
                }
                (self.judge.judge(&reading, self.configuration.as_ref(), now), Ok(()))
            }
            Err(reason) => (self.judge.source_error(&reason), Err(reason)),
        }
    }

    /// A reload starts a new process, so its number tells when to read the configuration again.
    async fn read_configuration(&mut self, reading: &Reading, peer_pid: Option<u32>) {
        self.retry_in = self.retry_in.map(|readings| readings.saturating_sub(1));
        if self.configured_for == Some(reading.pid) && self.retry_in != Some(0) {
            return;
        }
        self.configured_for = Some(reading.pid);
        self.retry_in = Some(CONFIGURATION_RETRY);
        let files = match &self.configuration_path {
            Some(path) => vec![path.clone()],
            None => files_of([reading.pid, peer_pid]).await,
        };
        let path = self.configuration_path.as_deref().unwrap_or(Path::new("the files of its command line"));
        match read_files(&files).await {
            Ok(texts) if !texts.is_empty() => {
                self.configuration = Some(haproxy_configuration::parse(texts.iter().map(String::as_str)));
                self.retry_in = None;
                info!(?files, "read HAProxy's configuration");
            }
            // What was known of an earlier process is better than nothing.
            Ok(_) => warn!(socket = %self.socket.display(), "HAProxy's configuration was not found"),
            Err(error) => warn!(path = %path.display(), %error, "HAProxy's configuration cannot be read"),
        }
    }
}

/// Asks HAProxy once; also returns the process that made the socket, as this host numbers processes.
async fn read(socket: &Path) -> Result<(Reading, Option<u32>), String> {
    let place = socket.display();
    let (answer, peer) = match tokio::time::timeout(READ_TIMEOUT, ask(socket)).await {
        Ok(result) => result?,
        Err(_) => return Err(format!("reading {place}: no whole answer within {READ_TIMEOUT:?}")),
    };
    let reading = haproxy_stat::parse(&answer).map_err(|error| format!("reading {place}: {error}"))?;
    Ok((reading, peer))
}

async fn ask(socket: &Path) -> Result<(Vec<u8>, Option<u32>), String> {
    let place = socket.display();
    let mut stream = UnixStream::connect(socket).await.map_err(|error| format!("connecting to {place}: {error}"))?;
    let peer = stream.peer_cred().ok().and_then(|peer| peer.pid()).and_then(|pid| u32::try_from(pid).ok());
    stream.write_all(COMMAND).await.map_err(|error| format!("asking {place}: {error}"))?;
    let mut answer = Vec::new();
    let read = stream.take(ANSWER_MAX).read_to_end(&mut answer).await;
    read.map_err(|error| format!("reading {place}: {error}"))?;
    Ok((answer, peer))
}

/// The configuration files on the command line of the first of `pids` that is an HAProxy. Empty when none can be seen.
async fn files_of(pids: [Option<u32>; 2]) -> Vec<PathBuf> {
    for pid in pids.into_iter().flatten() {
        let folder = PathBuf::from(format!("/proc/{pid}"));
        let Ok(line) = tokio::fs::read(folder.join("cmdline")).await else { continue };
        let working = tokio::fs::read_link(folder.join("cwd")).await.unwrap_or_else(|_| PathBuf::from("/"));
        let files = files_of_command_line(&line, &working);
        if !files.is_empty() {
            return files;
        }
    }
    Vec::new()
}

/// The `-f` arguments of an HAProxy's command line, and what follows `--`.
fn files_of_command_line(line: &[u8], working: &Path) -> Vec<PathBuf> {
    let line = String::from_utf8_lossy(line);
    let mut words = line.split('\0');
    let program = words.next().and_then(|program| Path::new(program).file_name()).and_then(|name| name.to_str());
    if !program.is_some_and(|name| name.starts_with("haproxy")) {
        return Vec::new();
    }
    let mut working = working.to_owned();
    let mut files = Vec::new();
    while let Some(word) = words.next() {
        match word {
            "-f" => files.extend(words.next()),
            "-C" => working.extend(words.next()),
            "--" => files.extend(words.by_ref().filter(|word| !word.is_empty())),
            _ => {}
        }
    }
    files.into_iter().map(|file| working.join(file)).collect()
}

/// The text of every file; a folder stands for its `*.cfg` in order of their names, as for HAProxy.
async fn read_files(paths: &[PathBuf]) -> io::Result<Vec<String>> {
    let mut texts = Vec::new();
    for path in paths {
        let mut files = vec![path.clone()];
        if tokio::fs::metadata(path).await?.is_dir() {
            files.clear();
            let mut folder = tokio::fs::read_dir(path).await?;
            while let Some(entry) = folder.next_entry().await? {
                files.push(entry.path());
            }
            files.retain(|file| file.extension().is_some_and(|extension| extension == "cfg"));
            files.sort();
        }
        for file in files {
            let mut text = Vec::new();
            tokio::fs::File::open(&file).await?.take(CONFIGURATION_MAX).read_to_end(&mut text).await?;
            texts.push(String::from_utf8_lossy(&text).into_owned());
        }
    }
    Ok(texts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::Availability;
    use tokio::net::UnixListener;

    const UP: &[u8] = include_bytes!("../../tests/data/haproxy/up.txt");

    fn frontends() -> Vec<LocalVirtualServer> {
        vec![LocalVirtualServer {
            name: "www".into(),
            address: "192.0.2.1:80".parse().unwrap(),
            probe_address: None,
            backends: vec!["web".into()],
            monitors: Vec::new(),
        }]
    }

    /// A stats socket that answers every connection with `answer`, or with silence.
    fn stats_socket(folder: &Path, answer: Option<&'static [u8]>) -> PathBuf {
        let socket = folder.join("haproxy.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        tokio::spawn(async move {
            let mut held = Vec::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                match answer {
                    Some(answer) => {
                        stream.read_exact(&mut [0; COMMAND.len()]).await.ok();
                        stream.write_all(answer).await.ok();
                    }
                    None => held.push(stream),
                }
            }
        });
        socket
    }

    /// Looks at a socket that answers so, and returns availability and reason of the one frontend.
    async fn look(answer: Option<&'static [u8]>) -> (Availability, String) {
        let folder = tempfile::tempdir().unwrap();
        let socket = stats_socket(folder.path(), answer);
        let mut haproxy = Haproxy::new(socket.clone(), Some(folder.path().join("none.cfg")), frontends());
        let (reports, _) = haproxy.look(Moment::from_millis(1)).await;
        let verdict = &reports[0].verdict;
        (verdict.availability, verdict.reason.replace(&socket.display().to_string(), "SOCKET"))
    }

    #[tokio::test]
    async fn a_socket_that_answers_is_believed() {
        let (availability, reason) = look(Some(UP)).await;
        assert_eq!((availability, reason.as_str()), (Availability::Available, "3 of 4 members up in backend web"));
    }

    #[tokio::test]
    async fn whatever_goes_wrong_with_the_socket_is_a_source_error_and_never_down() {
        let rows: [(Option<&'static [u8]>, &str); 4] = [
            (Some(b""), "reading SOCKET: the answer is empty"),
            (Some(b"no such thing\n"), "reading SOCKET: the answer is no statistics but \"no such thing\""),
            (Some(&UP[..UP.len() - 100]), "reading SOCKET: the answer breaks off"),
            (Some(b"\xff\xff"), "reading SOCKET: the answer is not text"),
        ];
        for (answer, words) in rows {
            let (availability, reason) = look(answer).await;
            assert_eq!((availability, reason), (Availability::Unknown, format!("source error: {words}")));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_socket_that_hangs_is_a_source_error_after_a_second() {
        let (availability, reason) = look(None).await;
        assert_eq!(availability, Availability::Unknown);
        assert_eq!(reason, "source error: reading SOCKET: no whole answer within 1s");
    }

    #[tokio::test]
    async fn a_socket_that_is_not_there_is_a_source_error() {
        let mut haproxy = Haproxy::new("/nonexistent/haproxy.sock".into(), None, frontends());
        let (reports, outcome) = haproxy.look(Moment::from_millis(1)).await;
        assert_eq!(reports[0].verdict.availability, Availability::Unknown);
        assert!(outcome.unwrap_err().starts_with("connecting to /nonexistent/haproxy.sock: No such file"));
    }

    #[tokio::test]
    async fn the_configuration_is_read_from_a_file_or_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [("b.cfg", "frontend b"), ("a.cfg", "frontend a"), ("c.txt", "frontend c")] {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let all = read_files(&[folder.path().to_owned()]).await.unwrap();
        assert_eq!(all, ["frontend a", "frontend b"]);
        let one = read_files(&[folder.path().join("c.txt")]).await.unwrap();
        assert_eq!(one, ["frontend c"]);
        assert!(read_files(&[folder.path().join("d.cfg")]).await.is_err());
    }

    #[test]
    fn the_files_of_a_command_line_are_found() {
        let rows: [(&[u8], &[&str]); 6] = [
            (
                b"/usr/sbin/haproxy\0-Ws\0-f\0/etc/haproxy/haproxy.cfg\0-p\0/run/haproxy.pid\0",
                &["/etc/haproxy/haproxy.cfg"],
            ),
            (b"haproxy\0-f\0a.cfg\0-f\0/b\0", &["/srv/a.cfg", "/b"]),
            (b"haproxy\0-C\0/etc\0-f\0a.cfg\0", &["/etc/a.cfg"]),
            (b"haproxy\0-W\0--\0/a.cfg\0/b.cfg\0", &["/a.cfg", "/b.cfg"]),
            (b"/usr/bin/python3\0-f\0/etc/passwd\0", &[]),
            (b"", &[]),
        ];
        for (line, expected) in rows {
            let files = files_of_command_line(line, Path::new("/srv"));
            assert_eq!(files, expected.iter().map(PathBuf::from).collect::<Vec<_>>());
        }
    }
}
