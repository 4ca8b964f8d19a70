//! Validation of the addresses that tokens are sent to.

use url::{Host, Url};

/// Checks an address that tokens are sent to: https, or http on loopback; no user info, query or fragment.
///
/// # Errors
/// What is wrong. The address is not repeated: any part of it can be a secret that was pasted in the wrong place.
pub(crate) fn base_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|_| "base_url is not a URL: use the form https://api.example.com")?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("base_url contains a user name or password: remove it".into());
    }
    let loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => return Err("base_url does not name a host: use the form https://api.example.com".into()),
    };
    match url.scheme() {
        "https" => {}
        "http" if loopback => {}
        _ => return Err("base_url must use https (http is allowed on loopback only)".into()),
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("base_url contains a ? or #: give only the part before the path".into());
    }
    Ok(url)
}

/// Checks the vault's address. A trailing `/api`, as the Infisical CLI writes it, is removed: here it is part of each path.
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
    fn only_https_and_loopback_are_accepted() {
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
