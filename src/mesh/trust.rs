//! The mesh's authority and the certificates it issues. `fairlead mesh` calls this; a running node only reads files.
//!
//! | file | who has it |
//! |---|---|
//! | `authority.pem` | every node: whom to believe |
//! | `authority-key.pem` | whoever issues certificates, and nobody else |
//! | `certificate.pem`, `key.pem` | one node or agent |

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SanType, date_time_ymd,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::certificate::Certificate;
use super::identity::{Identity, IdentityError, Role, check_mesh_name};
use super::words;

/// The authority's certificate in a folder.
pub const AUTHORITY_FILE: &str = "authority.pem";
/// The authority's key in a folder.
pub const AUTHORITY_KEY_FILE: &str = "authority-key.pem";
/// A node's or agent's certificate in a folder.
pub const CERTIFICATE_FILE: &str = "certificate.pem";
/// A node's or agent's key in a folder.
pub const KEY_FILE: &str = "key.pem";

/// How long an authority lasts.
pub const AUTHORITY_LIFE: Duration = Duration::from_secs(3_652 * 86_400);
/// How long an issued certificate lasts unless told otherwise.
pub const CERTIFICATE_LIFE: Duration = Duration::from_secs(90 * 86_400);
/// How far a certificate begins in the past, so that clocks may differ.
const BACKDATED_SECONDS: i64 = 3_600;

/// Whether files that exist may be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overwrite {
    /// An existing file is an error.
    Never,
    /// An existing file is replaced.
    Force,
}

/// Why trust could not be made or read.
#[derive(Debug)]
pub enum TrustError {
    /// A name cannot be in an identity.
    Name(IdentityError),
    /// A file is there already and replacing it was not asked for.
    Exists(PathBuf),
    /// A file or folder could not be read or written.
    File(&'static str, PathBuf, io::Error),
    /// A file does not hold what it should.
    Content(PathBuf, String),
    /// A certificate would have ended before it began, or after the authority: when that ends, in seconds since 1970.
    Life(i64),
    /// Keys or certificates could not be made.
    Making(rcgen::Error),
}

/// Makes the authority of `mesh` in `folder`, beginning at `unix_seconds` less an hour.
pub fn init(folder: &Path, mesh: &str, overwrite: Overwrite, unix_seconds: i64) -> Result<Certificate, TrustError> {
    check_mesh_name(mesh).map_err(TrustError::Name)?;
    let (certificate_path, key_path) = (folder.join(AUTHORITY_FILE), folder.join(AUTHORITY_KEY_FILE));
    if overwrite == Overwrite::Never
        && let Some(existing) = [&certificate_path, &key_path].into_iter().find(|path| path.exists())
    {
        return Err(TrustError::Exists(existing.clone()));
    }
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(TrustError::Making)?;
    let mut params =
        params(&format!("Fairlead mesh {mesh}"), &format!("spiffe://{mesh}"), unix_seconds, AUTHORITY_LIFE)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let made = params.self_signed(&key).map_err(TrustError::Making)?;
    create_folder(folder)?;
    // The key first: an authority without its key could not be told from one whose key is kept elsewhere.
    write(&key_path, &key.serialize_pem(), Secrecy::Secret)?;
    write(&certificate_path, &made.pem(), Secrecy::Public)?;
    Certificate::read(made.der()).map_err(|why| TrustError::Content(certificate_path, why))
}

/// Issues a certificate for `name` from the authority in `authority` and writes it, its key and the authority's
/// certificate into `folder`. It counts from `unix_seconds` less an hour until `unix_seconds` and `life`.
pub fn issue(
    authority: &Path,
    folder: &Path,
    (role, name): (Role, &str),
    life: Duration,
    unix_seconds: i64,
) -> Result<Certificate, TrustError> {
    let authority_pem = read(&authority.join(AUTHORITY_FILE))?;
    let own = read_certificate(&authority.join(AUTHORITY_FILE))?;
    let content = |file: &str, why: String| TrustError::Content(authority.join(file), why);
    let mesh = own.authority_of.ok_or_else(|| content(AUTHORITY_FILE, "it is no authority of a mesh".to_owned()))?;
    let identity = Identity::new(&mesh, role, name).map_err(TrustError::Name)?;
    let end = i64::try_from(life.as_secs()).ok().and_then(|life| unix_seconds.checked_add(life));
    if life.as_secs() == 0 || end.is_none_or(|end| end > own.not_after) {
        return Err(TrustError::Life(own.not_after));
    }
    let key_pem = read(&authority.join(AUTHORITY_KEY_FILE))?;
    let authority_key = KeyPair::from_pem(&key_pem).map_err(|error| content(AUTHORITY_KEY_FILE, error.to_string()))?;
    let issuer = Issuer::from_ca_cert_pem(&authority_pem, authority_key)
        .map_err(|error| content(AUTHORITY_FILE, error.to_string()))?;

    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(TrustError::Making)?;
    let mut params = params(name, &identity.to_string(), unix_seconds, life)?;
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    // Agents listen and DNS nodes dial today; both usages let a node do either without a new certificate.
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    let made = params.signed_by(&key, &issuer).map_err(TrustError::Making)?;

    create_folder(folder)?;
    let certificate_path = folder.join(CERTIFICATE_FILE);
    if folder.join(AUTHORITY_FILE) != authority.join(AUTHORITY_FILE) {
        write(&folder.join(AUTHORITY_FILE), &authority_pem, Secrecy::Public)?;
    }
    // A node that reloads between the two sees a key that does not match and keeps what it has.
    write(&folder.join(KEY_FILE), &key.serialize_pem(), Secrecy::Secret)?;
    write(&certificate_path, &made.pem(), Secrecy::Public)?;
    Certificate::read(made.der()).map_err(|why| TrustError::Content(certificate_path, why))
}

/// Reads the first certificate of a PEM file.
pub fn read_certificate(path: &Path) -> Result<Certificate, TrustError> {
    let pem = read(path)?;
    let der = CertificateDer::from_pem_slice(pem.as_bytes())
        .map_err(|error| TrustError::Content(path.to_owned(), format!("it holds no certificate in PEM: {error}")))?;
    Certificate::read(&der).map_err(|why| TrustError::Content(path.to_owned(), why))
}

fn params(common: &str, uri: &str, unix_seconds: i64, life: Duration) -> Result<CertificateParams, TrustError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common);
    let uri = Ia5String::try_from(uri).map_err(TrustError::Making)?;
    params.subject_alt_names = vec![SanType::URI(uri)];
    let since_1970 = |seconds: i64| Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
    let epoch = date_time_ymd(1970, 1, 1);
    params.not_before = epoch + since_1970(unix_seconds.saturating_sub(BACKDATED_SECONDS));
    params.not_after = epoch + since_1970(unix_seconds) + life;
    Ok(params)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Secrecy {
    Public,
    Secret,
}

fn create_folder(folder: &Path) -> Result<(), TrustError> {
    fs::create_dir_all(folder).map_err(|error| TrustError::File("create", folder.to_owned(), error))
}

fn read(path: &Path) -> Result<String, TrustError> {
    fs::read_to_string(path).map_err(|error| TrustError::File("read", path.to_owned(), error))
}

/// Writes a whole file or nothing: a temporary file beside it, flushed to disk, takes its name.
fn write(path: &Path, content: &str, secrecy: Secrecy) -> Result<(), TrustError> {
    let temporary = path.with_extension("pem.new");
    let result = write_and_rename(path, &temporary, content, secrecy);
    result.map_err(|error| {
        // Nothing to add when the leftover cannot be removed either.
        let _ = fs::remove_file(&temporary);
        TrustError::File("write", path.to_owned(), error)
    })
}

fn write_and_rename(path: &Path, temporary: &Path, content: &str, secrecy: Secrecy) -> io::Result<()> {
    // One that a crash left behind might have another mode.
    match fs::remove_file(temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mode = if secrecy == Secrecy::Secret { 0o600 } else { 0o644 };
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(temporary)?;
    file.write_all(content.as_bytes())?;
    file.sync_all()?;
    fs::rename(temporary, path)?;
    // The rename itself lasts only once the folder is on disk.
    File::open(path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(".")))?.sync_all()
}

impl fmt::Display for TrustError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(error) => error.fmt(f),
            Self::Exists(path) => write!(
                f,
                "{} exists already; every certificate of the mesh depends on it. Replace it with --force",
                path.display()
            ),
            Self::File(what, path, error) => write!(f, "could not {what} {}: {error}", path.display()),
            Self::Content(path, why) => write!(f, "{} cannot be used: {why}", path.display()),
            Self::Life(authority_end) => write!(
                f,
                "a certificate lasts a second at least, and not beyond its authority, which ends on {}",
                words::date(*authority_end)
            ),
            Self::Making(error) => write!(f, "could not make the key or certificate: {error}"),
        }
    }
}

impl std::error::Error for TrustError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Name(error) => Some(error),
            Self::File(_, _, error) => Some(error),
            Self::Making(error) => Some(error),
            Self::Exists(_) | Self::Content(..) | Self::Life(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const NOW: i64 = 1_795_168_920;

    #[test]
    fn an_authority_issues_certificates_that_name_their_holder() {
        let folder = tempfile::tempdir().unwrap();
        let (authority, node) = (folder.path().join("authority"), folder.path().join("ns1"));
        let made = init(&authority, "prod", Overwrite::Never, NOW).unwrap();
        assert_eq!(made.authority_of.as_deref(), Some("prod"));
        assert_eq!(made.days_left(NOW), 3_652);

        let issued = issue(&authority, &node, (Role::Dns, "ns1"), CERTIFICATE_LIFE, NOW).unwrap();
        assert_eq!(issued.identity.clone().unwrap().to_string(), "spiffe://prod/dns/ns1");
        assert_eq!((issued.not_before, issued.days_left(NOW)), (NOW - 3_600, 90));
        assert_eq!(read_certificate(&node.join(CERTIFICATE_FILE)).unwrap(), issued);
        assert_eq!(read_certificate(&node.join(AUTHORITY_FILE)).unwrap(), made);
        let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(node.join(KEY_FILE)), 0o600);
        assert_eq!(mode(authority.join(AUTHORITY_KEY_FILE)), 0o600);
        let left: Vec<_> = fs::read_dir(&node).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left.len(), 3, "{left:?}");
    }

    #[test]
    fn an_authority_is_replaced_only_by_force() {
        let folder = tempfile::tempdir().unwrap();
        let first = init(folder.path(), "prod", Overwrite::Never, NOW).unwrap();
        let error = init(folder.path(), "prod", Overwrite::Never, NOW).unwrap_err();
        assert!(error.to_string().contains("--force"), "{error}");
        assert_eq!(read_certificate(&folder.path().join(AUTHORITY_FILE)).unwrap(), first);
        assert_ne!(init(folder.path(), "prod", Overwrite::Force, NOW).unwrap().fingerprint, first.fingerprint);
    }

    #[test]
    fn what_cannot_be_issued_says_why_and_writes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let (authority, out) = (folder.path().join("authority"), folder.path().join("out"));
        let check = |name: &str, expected: &str| {
            let error = issue(&authority, &out, (Role::Lb, name), CERTIFICATE_LIFE, NOW).unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
            assert!(!out.exists());
        };
        check("ny", "could not read");
        init(&authority, "prod", Overwrite::Never, NOW).unwrap();
        check("../ny", "is not 1 to 128 letters");
        for life in [Duration::ZERO, AUTHORITY_LIFE + Duration::from_secs(1), Duration::MAX] {
            let error = issue(&authority, &out, (Role::Lb, "ny"), life, NOW).unwrap_err().to_string();
            assert!(error.contains("not beyond its authority"), "{life:?}: {error}");
            assert!(!out.exists());
        }
        fs::write(authority.join(AUTHORITY_KEY_FILE), "nonsense").unwrap();
        check("ny", "authority-key.pem cannot be used");
        issue(&authority, &out, (Role::Lb, "ny"), CERTIFICATE_LIFE, NOW).unwrap_err();
        assert!(init(folder.path(), "Prod", Overwrite::Never, NOW).is_err());
    }
}
