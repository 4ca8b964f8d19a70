//! Which of the machine's secret stores contains the values, and where it is.

use std::path::PathBuf;

/// The kind of store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Backend {
    /// The Keychain on macOS; otherwise the Secret Service, with the store file as fallback.
    Auto,
    Keychain,
    SecretService,
    File,
}

impl Backend {
    /// The values of the setting in the configuration.
    pub(crate) const WORDS: [(&str, Backend); 4] = [
        ("auto", Backend::Auto),
        ("keychain", Backend::Keychain),
        ("secret-service", Backend::SecretService),
        ("file", Backend::File),
    ];

    /// Whether this system supports it.
    pub(crate) fn is_supported(self) -> bool {
        match self {
            Backend::Auto | Backend::File => true,
            Backend::Keychain => cfg!(target_os = "macos"),
            Backend::SecretService => cfg!(target_os = "linux"),
        }
    }
}

/// The store settings of a configuration.
#[derive(Debug, Clone)]
pub(crate) struct StoreSettings {
    pub backend: Backend,
    /// The path of the store file; `None` without a home directory.
    pub path: Option<PathBuf>,
    /// The configured identity file.
    pub identity: Option<PathBuf>,
    /// The default identity file: offered to the person, and used if none is configured.
    pub offered_identity: Option<PathBuf>,
}
