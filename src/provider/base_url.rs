//! An address that tokens are sent to.

use url::{Host, Url};

/// Checks an address that tokens are sent to: https, or http on loopback; no user info, query or fragment.
///
/// # Errors
/// What is wrong with it, without the address, any part of which may be a secret in the wrong place.
pub(crate) fn base_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|_| "base_url is not an address: write it like https://api.example.com")?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("base_url contains a user name or password: remove them".into());
    }
    let loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => return Err("base_url does not name a host: write it like https://api.example.com".into()),
    };
    match url.scheme() {
        "https" => {}
        "http" if loopback => {}
        _ => return Err("base_url must be https: tokens are sent there (http only on loopback)".into()),
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("base_url contains a ? or #: it is only the part before the path".into());
    }
    Ok(url)
}

/// Checks the vault's address. The Infisical CLI's form ends in `/api`, which is part of each path here.
///
/// # Errors
/// As [`base_url`].
pub(crate) fn vault_url(text: &str) -> Result<Url, String> {
    let text = text.trim_end_matches('/');
    base_url(text.strip_suffix("/api").unwrap_or(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_go_to_https_or_loopback_alone() {
        for good in ["https://api.example.com/v4", "http://127.0.0.1:8080", "http://[::1]:1", "http://localhost:9/x"] {
            base_url(good).unwrap();
        }
        for bad in [
            "http://example.com",
            "ftp://localhost",
            "file:///etc/passwd",
            "https://a.test/?x=1",
            "localhost:80",
            "http://127.0.0.1.evil.test",
        ] {
            base_url(bad).unwrap_err();
        }
    }
}
