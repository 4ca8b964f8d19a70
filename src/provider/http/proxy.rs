//! The proxy from the environment.

use std::net::IpAddr;

use url::{Host, Url};

use crate::text::typed::looks_like_a_value;

/// The first of these that is set is used.
const VARIABLES: [&str; 4] = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];

/// A proxy for https. Plain http is allowed on loopback only and never goes through a proxy, which would see the credential.
#[derive(Clone)]
pub(super) struct Proxy {
    address: Url,
    /// Its host and port, and the variable that sets it. The address itself can contain a password.
    pub(super) name: String,
    exceptions: Exceptions,
}

impl Proxy {
    /// # Errors
    /// The variable, and why raxx cannot use the proxy that it is set to.
    pub(super) fn from_environment() -> Result<Option<Proxy>, String> {
        let set = |name: &&'static str| Some((*name, std::env::var_os(name).filter(|value| !value.is_empty())?));
        let Some((variable, address)) = VARIABLES.iter().find_map(set) else { return Ok(None) };
        let url = address.to_str().ok_or(INVALID).and_then(address_of).map_err(|why| format!("{variable} {why}"))?;
        reqwest::Proxy::https(url.as_str()).map_err(|_| format!("{variable} {INVALID}"))?;
        let no_proxy = ["NO_PROXY", "no_proxy"].iter().find_map(|name| std::env::var(name).ok());
        let exceptions = Exceptions::read(&no_proxy.unwrap_or_default());
        let host = url.host_str().unwrap_or_default();
        let name = match url.port() {
            // A secret that was pasted by mistake is not repeated.
            _ if looks_like_a_value(host) => format!("set by {variable}"),
            Some(port) => format!("{host}:{port} ({variable})"),
            None => format!("{host} ({variable})"),
        };
        Ok(Some(Proxy { address: url, name, exceptions }))
    }

    /// Whether requests to this address go through the proxy.
    pub(super) fn is_for(&self, url: &Url) -> bool {
        url.scheme() == "https" && !self.exceptions.contain(url)
    }

    /// Returns the rule for the library, whose own `NO_PROXY` supports fewer forms.
    pub(super) fn rule(&self) -> reqwest::Proxy {
        let proxy = self.clone();
        reqwest::Proxy::custom(move |url| proxy.is_for(url).then(|| proxy.address.clone()))
    }
}

const INVALID: &str = "is not a proxy address: set it to http://HOST:PORT, or unset it";
const UNSUPPORTED: &str = "is set to a proxy that raxx does not support: use an http:// or https:// proxy, or unset it";

/// Parses a proxy's address; without a scheme it is http, as in curl. Errors do not repeat the address.
fn address_of(text: &str) -> Result<Url, &'static str> {
    let text = text.trim();
    let url = if text.contains("://") { Url::parse(text) } else { Url::parse(&format!("http://{text}")) };
    let url = url.map_err(|_| INVALID)?;
    match url.scheme() {
        "http" | "https" if url.has_host() => Ok(url),
        "http" | "https" => Err(INVALID),
        _ => Err(UNSUPPORTED),
    }
}

/// The exceptions in `NO_PROXY`, in the forms of curl, Go and Python.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Exceptions(Vec<Exception>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Exception {
    hosts: Hosts,
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Hosts {
    All,
    /// A host and its subdomains.
    Domain(String),
    /// The addresses that share this many leading bits with this one.
    Network(IpAddr, u8),
}

impl Exceptions {
    fn read(list: &str) -> Exceptions {
        let entries = list.split([',', ' ', '\t', '\n']).map(|entry| {
            entry.split_once("://").map_or(entry, |(_, host)| host).trim_end_matches('/').to_ascii_lowercase()
        });
        Exceptions(entries.filter(|entry| !entry.is_empty()).map(|entry| Exception::read(&entry)).collect())
    }

    fn contain(&self, url: &Url) -> bool {
        self.0.iter().any(|exception| {
            let port = exception.port.is_none_or(|port| url.port_or_known_default() == Some(port));
            port && exception.hosts.matches(url)
        })
    }
}

impl Exception {
    fn read(entry: &str) -> Exception {
        let bare = |text: &str| text.trim_start_matches('[').trim_end_matches(']').to_string();
        // An IPv6 address without brackets contains colons itself.
        let (host, port) = match entry.rsplit_once(':') {
            Some((host, port)) if !bare(host).contains(':') || host.ends_with(']') => match port.parse() {
                Ok(port) => (bare(host), Some(port)),
                Err(_) => (bare(entry), None),
            },
            _ => (bare(entry), None),
        };
        let (address, bits) = host.split_once('/').map_or((host.as_str(), None), |(ip, bits)| (ip, bits.parse().ok()));
        let hosts = match address.parse() {
            Ok(address) => Hosts::Network(address, bits.unwrap_or(u8::MAX)),
            Err(_) if host == "*" => Hosts::All,
            Err(_) => Hosts::Domain(host.trim_start_matches("*.").trim_matches('.').to_string()),
        };
        Exception { hosts, port }
    }
}

impl Hosts {
    fn matches(&self, url: &Url) -> bool {
        let address = match url.host() {
            Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
            Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
            _ => None,
        };
        match self {
            Hosts::All => true,
            Hosts::Domain(domain) => {
                let host = url.host_str().unwrap_or_default().trim_end_matches('.');
                host.strip_suffix(domain.as_str()).is_some_and(|before| before.is_empty() || before.ends_with('.'))
            }
            Hosts::Network(network, bits) => address.is_some_and(|address| starts_like(*network, address, *bits)),
        }
    }
}

/// Whether the first `bits` bits of two addresses are the same.
fn starts_like(one: IpAddr, other: IpAddr, bits: u8) -> bool {
    let (differ, length) = match (one, other) {
        (IpAddr::V4(one), IpAddr::V4(other)) => (u128::from(u32::from(one) ^ u32::from(other)), 32),
        (IpAddr::V6(one), IpAddr::V6(other)) => (u128::from(one) ^ u128::from(other), 128),
        _ => return false,
    };
    let free = length - u32::from(bits).min(length);
    differ.checked_shr(free).unwrap_or_default() == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_parsed_as_in_curl() {
        for (text, host, port) in [
            ("http://proxy.test:3128", "proxy.test", Some(3128)),
            ("proxy.test:3128", "proxy.test", Some(3128)),
            (" HTTPS://proxy.test/ ", "proxy.test", None),
            ("http://user:p%40ss@proxy.test:8080/", "proxy.test", Some(8080)),
            ("[::1]:3128", "[::1]", Some(3128)),
        ] {
            let url = address_of(text).unwrap();
            assert_eq!((url.host_str(), url.port()), (Some(host), port), "{text}");
        }
    }

    #[test]
    fn an_invalid_address_and_an_unsupported_proxy_have_different_errors() {
        for text in ["::::", "http://", "http://:8080", "://", "proxy.test:99999", "http://user:pa#ss@proxy.test", " "]
        {
            assert_eq!(address_of(text), Err(INVALID), "{text}");
        }
        for text in ["socks5://h:1080", "socks5h://h:1080", "SOCKS4://h", "socks://h:1", "ftp://h", "quic://h:1"] {
            assert_eq!(address_of(text), Err(UNSUPPORTED), "{text}");
        }
    }

    #[test]
    fn exceptions_are_supported_in_the_forms_of_other_programs() {
        let have = |list: &str, url: &str| Exceptions::read(list).contain(&Url::parse(url).unwrap());
        for (list, url) in [
            ("*", "https://api.test"),
            ("a.test *", "https://10.0.0.1:8200"),
            ("*", "https://[::1]"),
            ("api.test", "https://api.test/x"),
            ("API.Test.", "https://api.test./x"),
            ("corp.test", "https://vault.corp.test"),
            (".corp.test", "https://vault.corp.test"),
            ("*.corp.test", "https://a.b.corp.test"),
            ("https://api.test/", "https://api.test"),
            ("a.test,\tvault.test:8200", "https://vault.test:8200"),
            ("vault.test:443", "https://vault.test"),
            ("10.0.0.7", "https://10.0.0.7:8200"),
            ("10.0.0.7:8200", "https://10.0.0.7:8200"),
            ("10.0.0.0/8", "https://10.9.8.7"),
            ("0.0.0.0/0", "https://192.0.2.1"),
            ("::1", "https://[::1]"),
            ("[::1]", "https://[::1]:8200"),
            ("[::1]:8200", "https://[::1]:8200"),
            ("fd00::/8", "https://[fd12:3456::1]"),
            ("::/0", "https://[2001:db8::1]"),
        ] {
            assert!(have(list, url), "{list} {url}");
        }
        for (list, url) in [
            ("", "https://api.test"),
            (" , ", "https://api.test"),
            ("pi.test", "https://api.test"),
            ("api.test.evil.test", "https://api.test"),
            ("vault.test:8200", "https://vault.test"),
            ("10.0.0.7:8201", "https://10.0.0.7:8200"),
            ("10.0.0.0/8", "https://11.0.0.1"),
            ("10.0.0.0/33", "https://10.0.0.1"),
            ("10.0.0.7", "https://10.0.0.70"),
            ("::/0", "https://10.0.0.1"),
            ("0.0.0.0/0", "https://api.test"),
            ("[::1]:8201", "https://[::1]:8200"),
        ] {
            assert!(!have(list, url), "{list} {url}");
        }
    }
}
