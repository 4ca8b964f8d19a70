//! The row of the Infisical vault: its log-in with the ids from the environment, or the access token that one holds.
//!
//! The log-in is not read-only: it counts a use of the client secret, and three wrong ones within 30 s lock the identity
//! for everybody. So it is asked once, one terminal at a time (see `check.rs`).

use serde::Serialize;
use url::Url;
use zeroize::Zeroizing;

use crate::provider::base_url::vault_url;
use crate::secret::{Malformed, Secret, from_environment};

/// What the environment lets one ask the vault.
pub(crate) enum Access {
    /// The runbook's words for what is missing.
    NotSet(String),
    /// This variable cannot be a token.
    Malformed(&'static str, Malformed),
    /// An access token: checked without side effects.
    Token(Secret),
    /// A client id and secret.
    Login { id: Secret, secret: Secret },
}

/// Looks into the environment. An access token comes before a log-in, which has side effects.
pub(crate) fn access() -> Access {
    let first = |names: &[&'static str]| -> Option<(&'static str, Result<Secret, Malformed>)> {
        names.iter().find_map(|name| Some((*name, Secret::parse_token(&from_environment(name)?))))
    };
    match first(&["INFISICAL_UNIVERSAL_AUTH_ACCESS_TOKEN", "INFISICAL_TOKEN"]) {
        Some((_, Ok(token))) if token.expose().starts_with("st.") => {
            return Access::NotSet("the service token (st.…) that is set is of a kind that raxx cannot check".into());
        }
        Some((_, Ok(token))) => return Access::Token(token),
        Some((name, Err(why))) => return Access::Malformed(name, why),
        None => {}
    }
    // The Infisical CLI's names need no project: the log-in does not. The runbook's three belong together.
    let cli = ("INFISICAL_UNIVERSAL_AUTH_CLIENT_ID", "INFISICAL_UNIVERSAL_AUTH_CLIENT_SECRET");
    let runbook = ("INFISICAL_CLIENT_ID", "INFISICAL_CLIENT_SECRET");
    let pair = |names: (&'static str, &'static str)| first(&[names.0]).zip(first(&[names.1]));
    let runbook = pair(runbook).filter(|_| from_environment("INFISICAL_PROJECT_ID").is_some());
    match runbook.or_else(|| pair(cli)) {
        Some(((_, Ok(id)), (_, Ok(secret)))) => Access::Login { id, secret },
        Some(((name, Err(why)), _) | (_, (name, Err(why)))) => Access::Malformed(name, why),
        None => Access::NotSet("INFISICAL_CLIENT_ID/SECRET/PROJECT_ID not set".into()),
    }
}

/// The vault's address: `INFISICAL_DOMAIN` as the Infisical CLI reads it (with or without `/api`), else the
/// configuration's.
///
/// # Errors
/// `INFISICAL_DOMAIN` is no address that secrets may be sent to.
pub(crate) fn address(configured: &Url) -> Result<Url, String> {
    let Some(domain) = std::env::var("INFISICAL_DOMAIN").ok().filter(|d| !d.is_empty()) else {
        return Ok(configured.clone());
    };
    vault_url(&domain).map_err(|why| why.replace("base_url", "INFISICAL_DOMAIN"))
}

/// The log-in's body.
pub(crate) fn login_body(id: &Secret, secret: &Secret) -> Zeroizing<String> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Login<'a> {
        client_id: &'a str,
        client_secret: &'a str,
    }
    let login = Login { client_id: id.expose(), client_secret: secret.expose() };
    // Room for the names and for every character escaped, so that no half-written copy is left behind by growing.
    let room = 64 + 6 * (id.expose().len() + secret.expose().len());
    let mut body = Zeroizing::new(Vec::with_capacity(room));
    serde_json::to_writer(&mut *body, &login).expect("text is JSON");
    Zeroizing::new(String::from_utf8(std::mem::take(&mut *body)).expect("JSON is text"))
}

/// The headers that Cloudflare Access in front of the vault wants; sent to the vault's host alone. Half a pair is
/// refused by Access, so it is not sent. Infisical's own hosts stand behind no Access of ours.
pub(crate) fn access_headers(address: &Url) -> Vec<(String, Zeroizing<String>)> {
    if address.host_str().is_none_or(|host| host == "infisical.com" || host.ends_with(".infisical.com")) {
        return Vec::new();
    }
    let value = |name: &str| Some(Secret::parse_token(&from_environment(name)?).ok()?.expose().to_string());
    match (value("CF_ACCESS_CLIENT_ID"), value("CF_ACCESS_CLIENT_SECRET")) {
        (Some(id), Some(secret)) => vec![
            ("cf-access-client-id".into(), Zeroizing::new(id)),
            ("cf-access-client-secret".into(), Zeroizing::new(secret)),
        ],
        _ => Vec::new(),
    }
}
