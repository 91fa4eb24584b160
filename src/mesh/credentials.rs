//! This side's certificate, key and authority, read again when their files change.
//!
//! A session takes the credentials of the moment it begins; sessions under way go on with what they began with. Files
//! that cannot be used leave the last good ones in place, and say why.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use std::{fs, io};

use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use super::certificate::Certificate;
use super::clock::Clock;
use super::error::LinkError;
use super::identity::{Identity, Role};
use super::trust::{AUTHORITY_FILE, CERTIFICATE_FILE, KEY_FILE};
use super::words;

/// The most octets read of a file.
const FILE_LENGTH_MAX: u64 = 1024 * 1024;

/// How often a session looks for renewed files.
const RENEWAL_INTERVAL: Duration = Duration::from_secs(10);
/// From how many days before its end a certificate is warned of, once a day.
const EXPIRY_WARNING_DAYS: i64 = 14;

/// What a session presents and whom it believes.
#[derive(Debug)]
pub struct Credentials {
    /// Who this side is.
    pub identity: Identity,
    /// This side's certificate.
    pub certificate: Certificate,
    /// When the first of the authorities ends, in seconds since 1970.
    pub authority_not_after: i64,
    /// The fingerprints of the authorities.
    authorities: Vec<String>,
    /// The certificate with its key, as TLS presents it.
    pub(super) key: Arc<CertifiedKey>,
    /// The authorities of the mesh, and no others.
    pub(super) roots: Arc<RootCertStore>,
    /// The cryptography TLS uses.
    pub(super) provider: Arc<CryptoProvider>,
}

/// The files behind [`Credentials`]. Shared by every session of a process.
#[derive(Debug)]
pub struct CredentialFiles {
    folder: PathBuf,
    name: Arc<str>,
    role: Role,
    clock: Clock,
    state: Mutex<State>,
}

/// What was read last.
#[derive(Debug, Default)]
struct State {
    /// The newest that could be used.
    current: Option<Arc<Credentials>>,
    /// Why the newest files cannot be used.
    problem: Option<LinkError>,
    /// Which files were read; none before the first time.
    stamp: Option<Stamp>,
    /// The day, since 1970, of the last warning that the certificate ends.
    warned_on: i64,
}

/// What tells a changed file: time, length and inode of each of the three.
type Stamp = [Option<(i64, i64, u64, u64)>; 3];

impl CredentialFiles {
    /// The files in `folder` of the node or server `name`. Nothing is read yet.
    pub fn new(folder: &Path, name: Arc<str>, role: Role, clock: Clock) -> Self {
        Self { folder: folder.to_owned(), name, role, clock, state: Mutex::default() }
    }

    /// The credentials to begin a session with; files that changed are read first.
    pub fn current(&self) -> Result<Arc<Credentials>, LinkError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        self.refresh(&mut state);
        self.warn_of_end(&mut state);
        match (&state.current, &state.problem) {
            (Some(current), _) => Ok(Arc::clone(current)),
            (None, Some(problem)) => Err(problem.clone()),
            (None, None) => Err(LinkError::OwnCredentials("nothing was read".to_owned())),
        }
    }

    /// Why the files as they are now cannot be used, if so; sessions then begin with the last good ones.
    pub fn problem(&self) -> Option<LinkError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        self.refresh(&mut state);
        state.problem.clone()
    }

    /// Waits until there are other credentials than `used`: a peer shall see a renewed certificate before the old one
    /// ends, and a session shall not outlive an authority that was taken away.
    pub(super) async fn renewed(&self, used: &Credentials) -> LinkError {
        loop {
            tokio::time::sleep(RENEWAL_INTERVAL).await;
            if self.current().is_ok_and(|current| !current.is_same(used)) {
                return LinkError::Renewed;
            }
        }
    }

    fn warn_of_end(&self, state: &mut State) {
        let now = self.clock.unix_millis().div_euclid(1_000);
        let (Some(current), today) = (&state.current, now.div_euclid(86_400)) else {
            return;
        };
        let days_left = current.certificate.days_left(now);
        if days_left < EXPIRY_WARNING_DAYS && state.warned_on != today {
            state.warned_on = today;
            tracing::warn!(certificate = %current.identity, days_left,
                end = words::date(current.certificate.not_after), "mesh certificate ends soon; issue a new one");
        }
    }

    fn refresh(&self, state: &mut State) {
        let stamp = [AUTHORITY_FILE, CERTIFICATE_FILE, KEY_FILE].map(|file| {
            let metadata = fs::metadata(self.folder.join(file)).ok()?;
            Some((metadata.mtime(), metadata.mtime_nsec(), metadata.size(), metadata.ino()))
        });
        if state.stamp == Some(stamp) {
            return;
        }
        state.stamp = Some(stamp);
        match self.load() {
            Ok(credentials) => {
                tracing::info!(certificate = %credentials.certificate.who(),
                    serial = credentials.certificate.serial, "mesh certificate loaded");
                state.current = Some(Arc::new(credentials));
                state.problem = None;
            }
            Err(why) => {
                tracing::error!(reason = why, kept = state.current.is_some(), "mesh certificate cannot be used");
                state.problem = Some(LinkError::OwnCredentials(why));
            }
        }
    }

    fn load(&self) -> Result<Credentials, String> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let Authority { roots, mesh, not_after: authority_not_after, fingerprints: authorities } =
            self.load_authority()?;
        let path = self.folder.join(CERTIFICATE_FILE);
        let chain = certificates(&path)?;
        let in_file = |why: String| format!("{}: {why}", path.display());
        let leaf = chain.first().ok_or_else(|| in_file("it holds no certificate in PEM".to_owned()))?;
        let certificate = Certificate::read(leaf).map_err(in_file)?;
        let identity = certificate.identity.clone().map_err(in_file)?;
        let expected = Identity::new(&mesh, self.role, &self.name).map_err(|error| error.to_string())?;
        if identity != expected {
            return Err(in_file(format!("it is for {identity}, and here {expected} is needed")));
        }
        let key_path = self.folder.join(KEY_FILE);
        let key = PrivateKeyDer::from_pem_slice(&bounded(&key_path)?)
            .map_err(|error| format!("{}: it holds no key in PEM: {error}", key_path.display()))?;
        let key = CertifiedKey::from_der(chain, key, &provider)
            .map_err(|error| format!("{} is not the key of {}: {error}", key_path.display(), path.display()))?;
        let key = Arc::new(key);
        Ok(Credentials { identity, certificate, authority_not_after, authorities, key, roots, provider })
    }

    fn load_authority(&self) -> Result<Authority, String> {
        let path = self.folder.join(AUTHORITY_FILE);
        let in_file = |why: String| format!("{}: {why}", path.display());
        let mut roots = RootCertStore::empty();
        let (mut mesh, mut not_after, mut fingerprints) = (None, i64::MAX, Vec::new());
        for der in certificates(&path)? {
            let certificate = Certificate::read(&der).map_err(in_file)?;
            let of = certificate.authority_of.ok_or_else(|| in_file("it is no authority of a mesh".to_owned()))?;
            if mesh.as_ref().is_some_and(|mesh| *mesh != of) {
                return Err(in_file(format!("it holds authorities of two meshes; one is {of}")));
            }
            mesh = Some(of);
            not_after = not_after.min(certificate.not_after);
            fingerprints.push(certificate.fingerprint);
            roots.add(der).map_err(|error| in_file(error.to_string()))?;
        }
        let mesh = mesh.ok_or_else(|| in_file("it holds no certificate in PEM".to_owned()))?;
        Ok(Authority { roots: Arc::new(roots), mesh, not_after, fingerprints })
    }
}

/// What `authority.pem` holds.
struct Authority {
    roots: Arc<RootCertStore>,
    mesh: String,
    not_after: i64,
    fingerprints: Vec<String>,
}

impl Credentials {
    fn is_same(&self, other: &Self) -> bool {
        self.certificate.fingerprint == other.certificate.fingerprint && self.authorities == other.authorities
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let pem = bounded(path)?;
    CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .map_err(|error| format!("{}: it holds no certificates in PEM: {error}", path.display()))
}

fn bounded(path: &Path) -> Result<Vec<u8>, String> {
    let read = || -> io::Result<Vec<u8>> {
        if fs::metadata(path)?.len() > FILE_LENGTH_MAX {
            return Err(io::Error::other("it is longer than 1 MiB"));
        }
        fs::read(path)
    };
    read().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => format!(
            "{}: there is no such file; `fairlead mesh issue` where the authority is makes it, and it is read as soon as it is there",
            path.display()
        ),
        _ => format!("{}: {error}", path.display()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mesh::trust::{self, Overwrite};

    const NOW: i64 = 1_795_168_920;

    fn issue(folder: &Path, name: &str, role: Role) -> Certificate {
        let authority = folder.join("authority");
        if !authority.exists() {
            trust::init(&authority, "test", Overwrite::Never, NOW).unwrap();
        }
        trust::issue(&authority, &folder.join("node"), (role, name), trust::CERTIFICATE_LIFE, NOW).unwrap()
    }

    #[test]
    fn changed_files_are_read_again_and_bad_ones_leave_the_last_good() {
        let folder = tempfile::tempdir().unwrap();
        let first = issue(folder.path(), "ns1", Role::Dns);
        let files = CredentialFiles::new(&folder.path().join("node"), "ns1".into(), Role::Dns, Clock::start());
        let serial = || files.current().unwrap().certificate.serial.clone();
        assert_eq!(serial(), first.serial);
        let second = issue(folder.path(), "ns1", Role::Dns);
        assert_eq!(serial(), second.serial);
        fs::write(folder.path().join("node").join(KEY_FILE), "nonsense").unwrap();
        assert_eq!(serial(), second.serial);
        assert!(files.problem().unwrap().to_string().contains("key.pem: it holds no key"));
        let third = issue(folder.path(), "ns1", Role::Dns);
        assert_eq!(serial(), third.serial);
        assert_eq!(files.problem(), None);
    }

    #[test]
    fn files_that_cannot_be_used_say_why() {
        let folder = tempfile::tempdir().unwrap();
        let node = folder.path().join("node");
        let check = |name: &str, role, expected: &str| {
            let error =
                CredentialFiles::new(&node, name.into(), role, Clock::start()).current().unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        check("ns1", Role::Dns, "authority.pem: there is no such file; `fairlead mesh issue`");
        issue(folder.path(), "ns1", Role::Dns);
        check("ns2", Role::Dns, "it is for spiffe://test/dns/ns1, and here spiffe://test/dns/ns2 is needed");
        check("ns1", Role::Lb, "it is for spiffe://test/dns/ns1, and here spiffe://test/lb/ns1 is needed");
        let key = fs::read(node.join(KEY_FILE)).unwrap();
        issue(folder.path(), "ns1", Role::Dns);
        fs::write(node.join(KEY_FILE), key).unwrap();
        check("ns1", Role::Dns, "is not the key of");
        fs::copy(node.join(CERTIFICATE_FILE), node.join(AUTHORITY_FILE)).unwrap();
        check("ns1", Role::Dns, "authority.pem: it is no authority of a mesh");
    }
}
