//! Which of the machine's secret stores holds the values, and where.

use std::path::PathBuf;

/// Which store, of those that this system may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Backend {
    /// The Keychain on macOS; else the Secret Service, and the file where there is none.
    Auto,
    Keychain,
    SecretService,
    File,
}

impl Backend {
    /// The words of the configuration.
    pub(crate) const WORDS: [(&str, Backend); 4] = [
        ("auto", Backend::Auto),
        ("keychain", Backend::Keychain),
        ("secret-service", Backend::SecretService),
        ("file", Backend::File),
    ];

    /// Whether this system can have it.
    pub(crate) fn is_here(self) -> bool {
        match self {
            Backend::Auto | Backend::File => true,
            Backend::Keychain => cfg!(target_os = "macos"),
            Backend::SecretService => cfg!(target_os = "linux"),
        }
    }
}

/// Where values are stored.
#[derive(Debug, Clone)]
pub(crate) struct StoreSettings {
    pub backend: Backend,
    /// Of the store file; none without a home directory.
    pub path: Option<PathBuf>,
    /// The identity file that opens it.
    pub identity: Option<PathBuf>,
    /// The identity file that is offered, and looked for where none is configured.
    pub offered_identity: Option<PathBuf>,
}
