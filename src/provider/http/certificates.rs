//! The trusted certificate authorities: the system's, or on Linux those in `SSL_CERT_FILE` and `SSL_CERT_DIR`.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use crate::files;
use crate::text::typed::shown_path;

const FILE: &str = "SSL_CERT_FILE";
const DIRECTORY: &str = "SSL_CERT_DIR";

/// The largest certificate file that raxx reads.
const LARGEST: u64 = 16 << 20;

/// The trusted authorities.
#[derive(Debug, Default)]
pub(super) struct Certificates {
    /// `None` for the system's.
    pub(super) authorities: Option<Vec<reqwest::Certificate>>,
    /// The variables and their paths, if the environment sets them.
    pub(super) named: Option<String>,
}

impl Certificates {
    /// # Errors
    /// The variable, its path, and why there are no certificates.
    pub(super) fn from_environment() -> Result<Certificates, String> {
        // On macOS the system's verifier reads the Keychain and ignores these variables.
        if cfg!(target_os = "macos") {
            return Ok(Certificates::default());
        }
        Certificates::of(std::env::var_os(FILE), std::env::var_os(DIRECTORY))
    }

    fn of(file: Option<OsString>, directories: Option<OsString>) -> Result<Certificates, String> {
        if file.is_none() && directories.is_none() {
            return Ok(Certificates::default());
        }
        let file = file.filter(|file| !file.is_empty()).map(PathBuf::from);
        let directories = directories.iter().flat_map(|all| std::env::split_paths(all).collect::<Vec<_>>());
        let directories: Vec<PathBuf> = directories.filter(|directory| !directory.as_os_str().is_empty()).collect();
        // The library would take an empty variable for a path; here it counts as unset.
        if file.is_none() && directories.is_empty() {
            return Ok(Certificates { authorities: system(), named: None });
        }
        let files = file.iter().map(|path| (FILE, path, read(path)));
        let read = files.chain(directories.iter().map(|path| (DIRECTORY, path, read_directory(path))));
        let (mut authorities, mut named, mut problem) = (Vec::new(), Vec::new(), None);
        for (variable, path, found) in read {
            match found {
                Ok(found) => {
                    authorities.extend(found);
                    named.push(format!("{variable} ({})", shown(path)));
                }
                Err(why) => {
                    problem.get_or_insert(format!("{variable} is set to {}, which {why}", shown(path)));
                }
            }
        }
        match problem.filter(|_| authorities.is_empty()) {
            Some(problem) => Err(problem),
            None => Ok(Certificates { authorities: Some(authorities), named: Some(named.join(" and ")) }),
        }
    }
}

/// Returns the system's authorities, which the library does not find by itself when a variable is set.
#[cfg(target_os = "linux")]
fn system() -> Option<Vec<reqwest::Certificate>> {
    let paths = openssl_probe::probe();
    let files = paths.cert_file.iter().filter_map(|file| read(file).ok());
    let found: Vec<_> =
        files.chain(paths.cert_dir.iter().filter_map(|dir| read_directory(dir).ok())).flatten().collect();
    (!found.is_empty()).then_some(found)
}

#[cfg(not(target_os = "linux"))]
fn system() -> Option<Vec<reqwest::Certificate>> {
    None
}

fn shown(path: &Path) -> String {
    shown_path(path).unwrap_or_else(|| "a path that looks like a secret".into())
}

/// Reads the certificates of a file.
///
/// # Errors
/// Why there are none, as the end of a sentence.
fn read(path: &Path) -> Result<Vec<reqwest::Certificate>, String> {
    absolute(path)?;
    let bytes = files::read(path, LARGEST).map_err(|error| why(&error))?;
    let found = usable(&bytes);
    if found.is_empty() { Err("contains no usable PEM certificate".into()) } else { Ok(found) }
}

/// Reads the certificates of all files in a directory; other files are ignored.
fn read_directory(path: &Path) -> Result<Vec<reqwest::Certificate>, String> {
    absolute(path)?;
    let entries = fs::read_dir(path).map_err(|error| why(&error))?;
    let found: Vec<_> = entries
        .flatten()
        .filter_map(|entry| files::read(&entry.path(), LARGEST).ok())
        .flat_map(|bytes| usable(&bytes))
        .collect();
    if found.is_empty() { Err("contains no usable PEM certificate".into()) } else { Ok(found) }
}

/// Checks that a path is absolute: files of the current directory are never trusted.
fn absolute(path: &Path) -> Result<(), String> {
    if path.is_absolute() { Ok(()) } else { Err("is not an absolute path".into()) }
}

fn why(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "does not exist".into(),
        io::ErrorKind::PermissionDenied => "your user cannot read".into(),
        io::ErrorKind::NotADirectory => "is not a directory".into(),
        io::ErrorKind::Other => error.to_string().trim_start_matches("it ").into(),
        _ => format!("cannot be read: {error}"),
    }
}

/// Returns the certificates that the TLS library accepts: one that it does not accept would invalidate all others.
fn usable(pem: &[u8]) -> Vec<reqwest::Certificate> {
    let certificates = CertificateDer::pem_slice_iter(pem).filter_map(Result::ok);
    let accepted = certificates.filter(|certificate| RootCertStore::empty().add(certificate.clone()).is_ok());
    accepted.filter_map(|certificate| reqwest::Certificate::from_der(&certificate).ok()).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn named(file: Option<&Path>, directory: Option<&Path>) -> Result<Option<usize>, String> {
        let of = |path: Option<&Path>| path.map(|path| path.as_os_str().to_owned());
        Certificates::of(of(file), of(directory)).map(|c| c.authorities.map(|all| all.len()))
    }

    #[test]
    fn a_path_without_certificates_is_reported_with_its_variable() {
        let place = tempfile::tempdir().unwrap();
        let authority = rcgen::CertificateParams::new(Vec::new()).unwrap();
        let pem = authority.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().pem();
        let path = |name: &str| place.path().join(name);
        fs::write(path("good.pem"), format!("a comment\n{pem}")).unwrap();
        fs::write(path("text"), "no certificate").unwrap();
        fs::write(path("empty"), "").unwrap();
        fs::write(path("broken.pem"), pem.replace('M', "N")).unwrap();
        fs::write(path("cut.pem"), &pem[..pem.len() / 2]).unwrap();
        fs::create_dir(path("dir")).unwrap();
        fs::create_dir(path("none")).unwrap();
        fs::copy(path("good.pem"), path("dir/a.0")).unwrap();
        fs::copy(path("text"), path("dir/README")).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(path("pipe")).status().unwrap().success());

        assert_eq!(named(Some(&path("good.pem")), None), Ok(Some(1)));
        assert_eq!(named(None, Some(&path("dir"))), Ok(Some(1)));
        let two = path("gone").as_os_str().to_string_lossy().into_owned() + ":" + &path("dir").to_string_lossy();
        assert_eq!(named(None, Some(Path::new(&two))), Ok(Some(1)));
        assert_eq!(named(Some(&path("gone")), Some(&path("dir"))), Ok(Some(1)), "one directory has a certificate");

        let mut said = String::new();
        for file in ["gone", "dir", "pipe", "text", "empty", "broken.pem", "cut.pem"] {
            let path = path(file);
            let why = named(Some(&path), None).unwrap_err();
            assert!(why.contains("SSL_CERT_FILE") && why.contains(&path.display().to_string()), "{why}");
            said += &format!("SSL_CERT_FILE={}\n=> {why}\n\n", path.display());
        }
        for directory in ["none", "text"] {
            let path = path(directory);
            let why = named(None, Some(&path)).unwrap_err();
            assert!(why.contains("SSL_CERT_DIR") && why.contains(&path.display().to_string()), "{why}");
            said += &format!("SSL_CERT_DIR={}\n=> {why}\n\n", path.display());
        }
        for relative in ["good.pem", "ghp_0123456789abcdefghij"] {
            let why = named(Some(Path::new(relative)), None).unwrap_err();
            said += &format!("SSL_CERT_FILE={relative}\n=> {why}\n\n");
        }
        let token = named(Some(Path::new("/ghp_0123456789abcdefghij")), None).unwrap_err();
        assert!(!token.contains("ghp_"), "{token}");
        said += &format!("SSL_CERT_FILE=/ghp_0123456789abcdefghij\n=> {token}\n");
        let place = format!("{}/", place.path().display());
        insta::assert_snapshot!("paths_without_certificates", said.replace(&place, "[DIR]/"));

        fs::set_permissions(path("good.pem"), fs::Permissions::from_mode(0o0)).unwrap();
        if fs::read(path("good.pem")).is_err() {
            let why = named(Some(&path("good.pem")), None).unwrap_err().replace(&place, "[DIR]/");
            insta::assert_snapshot!(why, @"SSL_CERT_FILE names [DIR]/good.pem, which your user cannot read");
        }
    }

    #[test]
    fn an_empty_variable_counts_as_unset() {
        let empty = Some(Path::new(""));
        assert_eq!(named(None, None), Ok(None));
        let system = named(empty, None);
        assert!(system.is_ok() && named(empty, empty) == system && named(None, Some(Path::new(":"))) == system);
    }
}
