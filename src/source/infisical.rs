//! The Infisical row of the report: a login with the client id and secret from the environment, or a check of an existing
//! access token.
//!
//! The login is not read-only: it counts as a use of the client secret, and three failed logins within 30 s lock the
//! identity for all its users. So it is tried once, by one terminal at a time (see `check`).

use serde::Serialize;
use url::Url;
use zeroize::Zeroizing;

use crate::provider::base_url::vault_url;
use crate::secret::{Malformed, Secret, from_environment};

/// The Infisical credentials in the environment.
pub(crate) enum Access {
    /// The runbook's text for what is missing.
    NotSet(String),
    /// The value of this variable cannot be a token.
    Malformed(&'static str, Malformed),
    /// An access token; checking it has no side effects.
    Token(Secret),
    /// A client id and secret.
    Login { id: Secret, secret: Secret },
}

/// Reads the environment. An access token is preferred to a login, which has side effects.
pub(crate) fn access() -> Access {
    let first = |names: &[&'static str]| -> Option<(&'static str, Result<Secret, Malformed>)> {
        names.iter().find_map(|name| Some((*name, Secret::parse_token(&from_environment(name)?))))
    };
    match first(&["INFISICAL_UNIVERSAL_AUTH_ACCESS_TOKEN", "INFISICAL_TOKEN"]) {
        Some((_, Ok(token))) if token.expose().starts_with("st.") => {
            return Access::NotSet("service tokens (st.…) are not supported".into());
        }
        Some((_, Ok(token))) => return Access::Token(token),
        Some((name, Err(why))) => return Access::Malformed(name, why),
        None => {}
    }
    // A login needs no project, so the Infisical CLI's two names suffice. The runbook's three names belong together.
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

/// Returns the URL of the vault: `INFISICAL_DOMAIN` as the Infisical CLI reads it (with or without `/api`), or the one from
/// the configuration.
///
/// # Errors
/// `INFISICAL_DOMAIN` is not a URL that secrets can be sent to.
pub(crate) fn address(configured: &Url) -> Result<Url, String> {
    let Some(domain) = std::env::var("INFISICAL_DOMAIN").ok().filter(|d| !d.is_empty()) else {
        return Ok(configured.clone());
    };
    vault_url(&domain).map_err(|why| why.replace("base_url", "INFISICAL_DOMAIN"))
}

/// Returns the request body of the login.
pub(crate) fn login_body(id: &Secret, secret: &Secret) -> Zeroizing<String> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Login<'a> {
        client_id: &'a str,
        client_secret: &'a str,
    }
    let login = Login { client_id: id.expose(), client_secret: secret.expose() };
    // Enough for the field names and for escaping every character: growing would leave unwiped copies.
    let room = 64 + 6 * (id.expose().len() + secret.expose().len());
    let mut body = Zeroizing::new(Vec::with_capacity(room));
    serde_json::to_writer(&mut *body, &login).expect("text is JSON");
    Zeroizing::new(String::from_utf8(std::mem::take(&mut *body)).expect("JSON is text"))
}

/// Returns the headers for a Cloudflare Access that protects the vault. They are sent only to the vault's host, never to
/// Infisical's own hosts. Access rejects half a pair, so it is not sent.
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
