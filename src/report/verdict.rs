//! What a check found out about one credential.

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

/// Why: each verdict has a kind. Only [`Kind::Rejected`] and [`Kind::Missing`] send a person to rotate a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// The provider accepted it.
    Valid,
    /// The provider's own words say that the secret is bad, expired, disabled or revoked.
    Rejected,
    /// The provider's own host answered 401 or 403 in its API's content type and does not say why.
    Refused,
    /// In no source.
    Missing,
    /// Cannot be a token.
    Malformed,
    /// Good, but suspended, IP-filtered, in need of SSO, or without the permission asked for.
    Limited,
    /// The store is locked, needs the person's permission, or does not answer.
    Locked,
    /// No answer that says anything of the secret: network, TLS, 5xx, 429, a foreign body.
    Unreachable,
    /// Something in front of the provider answered.
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

    /// Its word in JSON and in metrics, as serde writes it.
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

    /// Whether this kind is about the way to the credential or its provider, not about the credential.
    pub(crate) fn is_inconclusive(self) -> bool {
        matches!(self, Kind::Unreachable | Kind::Blocked | Kind::Locked)
    }

    /// Whether the value is of no use to anybody: it is neither sent again nor exported.
    pub(crate) fn is_bad(self) -> bool {
        matches!(self, Kind::Rejected | Kind::Malformed)
    }
}

/// What several rows may have in common, so that a new terminal says it once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Cause {
    /// The host gave no answer at all.
    NoResponse { host: String, why: String },
    /// No provider was asked: something of this machine, or its proxy, is in the way.
    NotAsked { why: String },
    /// The store cannot be read; what it is ("the login keychain, which is locked").
    Store { what: String },
    /// In no source.
    NotStored,
    /// Not in the environment, and there is no store on this machine.
    NoStore,
}

/// What is known about one credential. State files contain only the parts that they keep.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Verdict {
    pub kind: Kind,
    pub words: String,
    /// What to do, if it is not "rotate".
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
    fn a_kind_has_the_word_that_is_serialized() {
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
