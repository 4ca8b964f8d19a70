//! The program that provides the Secret Service, and what a person must do in it.

use std::env;

use crate::store::{Item, Remedy, quoted};

/// The program that provides the Secret Service. Each one is unlocked in its own way.
#[derive(Debug, PartialEq)]
pub(super) enum Provider {
    Gnome,
    KeePassXc,
    KWallet,
    /// Its process name, if known.
    Unknown(String),
}

impl Provider {
    /// From the name of its process, which the kernel truncates to 15 bytes.
    pub(super) fn from_process(name: &str) -> Provider {
        match name.trim().to_lowercase() {
            name if name.starts_with("gnome-keyring") => Provider::Gnome,
            name if name.starts_with("keepassxc") => Provider::KeePassXc,
            name if name.starts_with("kwallet") || name.starts_with("ksecret") => Provider::KWallet,
            name => Provider::Unknown(name),
        }
    }

    /// How to make the item readable.
    pub(super) fn hint(&self, item: &Item, display: Display, guard: Guard) -> Remedy {
        Remedy::Do(match self {
            Provider::Gnome => return Remedy::Type("raxx unlock".into()),
            Provider::KeePassXc if guard == Guard::Question => {
                "in KeePassXC, open Tools > Settings > Secret Service Integration \
                 and turn off \"Confirm when passwords are retrieved by clients\""
                    .into()
            }
            Provider::KeePassXc => "unlock the database in KeePassXC".into(),
            Provider::KWallet => "open the wallet in KWalletManager".into(),
            Provider::Unknown(_) if display == Display::Desktop => {
                let (service, account) = (quoted(&item.service), quoted(&item.account));
                return Remedy::Type(format!("secret-tool lookup service {service} account {account} >/dev/null"));
            }
            Provider::Unknown(name) if name.is_empty() => {
                "unlock it in the program that provides the Secret Service".into()
            }
            Provider::Unknown(name) => format!("unlock it in {name}, which provides the Secret Service"),
        })
    }

    /// The message that there is no collection for new items, and what to do.
    pub(super) fn no_collection(&self, display: Display) -> String {
        let next = match self {
            Provider::KeePassXc => {
                "unlock a database in KeePassXC, and choose what it shares under \
                 Database > Database Settings > Secret Service Integration"
            }
            Provider::KWallet => "create a wallet in KWalletManager",
            Provider::Gnome | Provider::Unknown(_) if display == Display::Desktop => {
                "keep values in a file, with backend = \"file\" under [store] in the configuration, \
                 or create a keyring and set it as default; type: seahorse"
            }
            Provider::Gnome | Provider::Unknown(_) => {
                "keep values in a file, with backend = \"file\" under [store] in the configuration"
            }
        };
        format!("it has no default collection; {next}")
    }
}

/// Why an item cannot be read.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Guard {
    /// It is locked.
    Lock,
    /// The program asks the person each time.
    Question,
}

/// Whether a dialog could be shown.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Display {
    Desktop,
    /// No desktop: over ssh, for example.
    None,
}

impl Display {
    pub(super) fn from_environment() -> Display {
        let is_set = |name: &&str| env::var_os(name).is_some_and(|value| !value.is_empty());
        if ["WAYLAND_DISPLAY", "DISPLAY"].iter().any(is_set) { Display::Desktop } else { Display::None }
    }
}
