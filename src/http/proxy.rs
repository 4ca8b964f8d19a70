//! The proxy that the environment names.

use url::Url;

use crate::typed::looks_like_a_value;

/// The first of these that is set counts.
const VARIABLES: [&str; 4] = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];

/// A proxy for https. Http is for loopback alone, where a proxy would see the credential.
pub(super) struct Proxy {
    pub(super) proxy: reqwest::Proxy,
    /// Its host and port, and the variable that names it; its address may contain a password.
    pub(super) name: String,
}

impl Proxy {
    /// # Errors
    /// The variable that does not name a proxy that raxx can use, and why.
    pub(super) fn from_environment() -> Result<Option<Proxy>, String> {
        let set = |name: &&'static str| Some((*name, std::env::var_os(name).filter(|value| !value.is_empty())?));
        let Some((variable, address)) = VARIABLES.iter().find_map(set) else { return Ok(None) };
        let url = address.to_str().ok_or(NO_ADDRESS).and_then(address_of).map_err(|why| format!("{variable} {why}"))?;
        let proxy = reqwest::Proxy::https(url.as_str()).map_err(|_| format!("{variable} {NO_ADDRESS}"))?;
        let excepted = ["NO_PROXY", "no_proxy"].iter().find_map(|name| std::env::var(name).ok());
        let excepted = excepted.and_then(|list| reqwest::NoProxy::from_string(&exceptions(&list)));
        let host = url.host_str().unwrap_or_default();
        let name = match url.port() {
            // What was put in its place by mistake is not repeated.
            _ if looks_like_a_value(host) => format!("named by {variable}"),
            Some(port) => format!("{host}:{port} ({variable})"),
            None => format!("{host} ({variable})"),
        };
        Ok(Some(Proxy { proxy: proxy.no_proxy(excepted), name }))
    }
}

const NO_ADDRESS: &str = "is not the address of a proxy: set it to http://HOST:PORT, or unset it";
const NO_HTTP: &str =
    "names a proxy that raxx cannot use: it supports http:// and https:// proxies, not SOCKS or others";

/// The address, with the scheme that curl adds where there is none. Nothing of it is repeated in an error.
fn address_of(text: &str) -> Result<Url, &'static str> {
    let text = text.trim();
    let url = if text.contains("://") { Url::parse(text) } else { Url::parse(&format!("http://{text}")) };
    let url = url.map_err(|_| NO_ADDRESS)?;
    match url.scheme() {
        "http" | "https" if url.has_host() => Ok(url),
        "http" | "https" => Err(NO_ADDRESS),
        _ => Err(NO_HTTP),
    }
}

/// The entries of `NO_PROXY` in the one form that the library knows; other programs take `*.host` and addresses as well.
fn exceptions(list: &str) -> String {
    let entries = list.split([',', ' ', '\t', '\n']).map(|entry| {
        let entry = entry.split_once("://").map_or(entry, |(_, host)| host).trim_end_matches('/');
        let entry = entry.strip_suffix(":443").unwrap_or(entry);
        entry.strip_prefix("*.").map_or(entry.to_string(), |domain| format!(".{domain}"))
    });
    entries.filter(|entry| !entry.is_empty()).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_as_curl_reads_it() {
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
    fn what_is_no_address_or_no_http_proxy_is_told_apart() {
        for text in ["::::", "http://", "http://:8080", "://", "proxy.test:99999", "http://user:pa#ss@proxy.test", " "]
        {
            assert_eq!(address_of(text), Err(NO_ADDRESS), "{text}");
        }
        for text in ["socks5://h:1080", "socks5h://h:1080", "SOCKS4://h", "socks://h:1", "ftp://h", "quic://h:1"] {
            assert_eq!(address_of(text), Err(NO_HTTP), "{text}");
        }
    }

    #[test]
    fn exceptions_may_have_the_forms_of_other_programs() {
        let all = "*.corp.test, https://api.test/,host.test:443 ,,10.0.0.0/8 .dot.test *";
        assert_eq!(exceptions(all), ".corp.test,api.test,host.test,10.0.0.0/8,.dot.test,*");
        assert_eq!(exceptions(" "), "");
    }
}
