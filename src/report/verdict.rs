//! The verdict of a check on one credential.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Whether a credential passed its check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Outcome {
    Pass,
    Fail,
    Skip,
}

/// The reason for an outcome. Only [`Kind::Rejected`] and [`Kind::Missing`] tell a person to rotate a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// The provider accepted it.
    Valid,
    /// The provider's own words say that the secret is bad, expired, disabled or revoked.
    Rejected,
    /// The provider's own host answered 401 or 403 in its API's content type and does not say why.
    Refused,
    /// Not in any source.
    Missing,
    /// Cannot be a token.
    Malformed,
    /// Works, but is suspended, IP-filtered, needs SSO, or lacks a permission.
    Limited,
    /// The store is locked, needs permission, or does not answer.
    Locked,
    /// No answer that tells whether the secret works: network, TLS, 5xx, 429, an unexpected body.
    Unreachable,
    /// A proxy, firewall or captive portal answered instead of the provider.
    Blocked,
    /// The prerequisites of this check are not set.
    NotConfigured,
}

impl Kind {
    pub(crate) fn outcome(self) -> Outcome {
        match self {
            Kind::Valid => Outcome::Pass,
            Kind::NotConfigured => Outcome::Skip,
            _ => Outcome::Fail,
        }
    }

    /// Returns its name in JSON and in metrics.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Kind::Valid => "valid",
            Kind::Rejected => "rejected",
            Kind::Refused => "refused",
            Kind::Missing => "missing",
            Kind::Malformed => "malformed",
            Kind::Limited => "limited",
            Kind::Locked => "locked",
            Kind::Unreachable => "unreachable",
            Kind::Blocked => "blocked",
            Kind::NotConfigured => "not-configured",
        }
    }

    /// Whether this kind does not tell whether the credential works.
    pub(crate) fn is_inconclusive(self) -> bool {
        matches!(self, Kind::Unreachable | Kind::Blocked | Kind::Locked)
    }

    /// Whether the value is useless: it is not sent again and not exported.
    pub(crate) fn is_bad(self) -> bool {
        matches!(self, Kind::Rejected | Kind::Malformed)
    }
}

/// A cause that several rows can share, so that a new terminal reports it once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Cause {
    /// The host did not answer.
    NoResponse { host: String, why: String },
    /// No request was sent because of a problem with this machine or its proxy.
    NotAsked { why: String },
    /// The store cannot be read; its description ("the login keychain, which is locked").
    Store { what: String },
    /// Not in any source.
    NotStored,
    /// Not in the environment, and this machine has no store.
    NoStore,
}

/// The verdict on one credential. State files contain only some of its fields.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Verdict {
    pub kind: Kind,
    pub words: String,
    /// What to do, if not "rotate".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
}

impl Verdict {
    pub(crate) fn new(kind: Kind, words: impl Into<String>) -> Verdict {
        Verdict { kind, words: words.into(), hint: None, expires: None, http_status: None, cause: None }
    }

    pub(crate) fn outcome(&self) -> Outcome {
        self.kind.outcome()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_str_is_the_serialized_name() {
        for kind in [
            Kind::Valid,
            Kind::Rejected,
            Kind::Refused,
            Kind::Missing,
            Kind::Malformed,
            Kind::Limited,
            Kind::Locked,
            Kind::Unreachable,
            Kind::Blocked,
            Kind::NotConfigured,
        ] {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        }
    }
}
