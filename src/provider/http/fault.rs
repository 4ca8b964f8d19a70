//! Why a request got no answer. The library's own error texts are not shown: they can contain the address.

use std::error::Error as StdError;
use std::fmt;
use std::io::{self, ErrorKind};
use std::net::IpAddr;

use jiff::Timestamp;

use super::certificates::Certificates;
use crate::text::plain;

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// No answer before the deadline.
    TimedOut,
    Dns,
    Refused,
    /// A certificate or protocol error; why.
    Tls(String),
    /// The connection ended before the answer did.
    ConnectionLost,
    /// The proxy answered in place of the provider, or did not answer.
    Proxy {
        host: String,
        fault: ProxyFault,
    },
    /// Nothing was sent because of a problem on this machine.
    NotSent(String),
    Other(String),
}

/// Why a proxy did not pass on the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ProxyFault {
    LoginRequired,
    Refused,
    /// No complete answer; why.
    NoAnswer(String),
}

impl fmt::Display for ProxyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ProxyFault::LoginRequired => "requires a login (HTTP 407)",
            ProxyFault::Refused => "refused the connection",
            ProxyFault::NoAnswer(why) => why,
        })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::TimedOut => f.write_str("timed out"),
            Fault::Dns => f.write_str("could not resolve its name"),
            Fault::Refused => f.write_str("connection refused"),
            Fault::Tls(why) => write!(f, "TLS: {why}"),
            Fault::ConnectionLost => f.write_str("connection lost"),
            Fault::Proxy { host, fault: ProxyFault::NoAnswer(why) } => write!(f, "the proxy {host}: {why}"),
            Fault::Proxy { host, fault } => write!(f, "the proxy {host} {fault}"),
            Fault::NotSent(why) | Fault::Other(why) => f.write_str(why),
        }
    }
}

impl Fault {
    /// Returns why a request to `host` failed, and whether the proxy or the host is at fault.
    pub(super) fn of(error: &reqwest::Error, host: &str, proxy: Option<&str>, certificates: &Certificates) -> Fault {
        const TUNNEL: &str = "tunnel error: ";
        // The library does not export the type of this error.
        let what = causes(error).find_map(|cause| cause.to_string().strip_prefix(TUNNEL).map(String::from));
        let fault = classified(error, host, certificates);
        let (Some(what), Some(proxy)) = (what, proxy) else { return fault };
        let fault = match what.as_str() {
            "proxy authorization required" => ProxyFault::LoginRequired,
            "unsuccessful" => ProxyFault::Refused,
            _ => ProxyFault::NoAnswer(fault.to_string()),
        };
        Fault::Proxy { host: proxy.into(), fault }
    }

    /// Returns why the client could not be built.
    pub(super) fn of_setup(error: &reqwest::Error) -> Fault {
        let root = root(error);
        Fault::NotSent(if root.contains("No CA certificates") {
            "this machine has no CA certificates: install the package ca-certificates, or set SSL_CERT_FILE".into()
        } else {
            format!("could not set up the HTTPS client: {root}")
        })
    }
}

fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn StdError + 'static)> {
    std::iter::successors(error.source(), |cause: &&(dyn StdError + 'static)| (**cause).source())
}

/// Classifies an error of the client by its causes.
fn classified(error: &reqwest::Error, host: &str, certificates: &Certificates) -> Fault {
    if error.is_timeout() {
        return Fault::TimedOut;
    }
    for cause in causes(error) {
        if let Some(tls) = tls_error(cause) {
            return Fault::Tls(tls_words(tls, certificates));
        }
        if let Some(error) = cause.downcast_ref::<io::Error>() {
            match error.kind() {
                ErrorKind::ConnectionRefused => return Fault::Refused,
                ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof | ErrorKind::BrokenPipe => {
                    return Fault::ConnectionLost;
                }
                ErrorKind::HostUnreachable => {
                    return Fault::Other(no_route(error, host, cfg!(target_os = "macos")));
                }
                _ => {}
            }
        }
        if cause.to_string().contains("dns error") {
            return Fault::Dns;
        }
    }
    if error.is_body() || error.is_decode() || error.is_request() && !error.is_connect() {
        return Fault::ConnectionLost;
    }
    Fault::Other(if error.is_connect() { format!("no connection ({})", root(error)) } else { root(error) })
}

/// Returns the words for a host without a route. macOS 15 and later also reports this error when a program without permission
/// connects to the local network, and where no window can open it does not ask for the permission.
fn no_route(error: &io::Error, host: &str, macos: bool) -> String {
    let words = format!("no connection ({error})");
    if macos && is_local(host) {
        format!(
            "{words}, or macOS does not allow raxx to use the local network: check System Settings, Privacy & Security, Local Network"
        )
    } else {
        words
    }
}

/// Whether the name or address of a host belongs to a local network.
fn is_local(host: &str) -> bool {
    match host.trim_start_matches('[').trim_end_matches(']').parse() {
        Ok(IpAddr::V4(address)) => address.is_private() || address.is_link_local(),
        Ok(IpAddr::V6(address)) => address.is_unique_local() || address.is_unicast_link_local(),
        Err(_) => host.trim_end_matches('.').to_ascii_lowercase().ends_with(".local") || !host.contains('.'),
    }
}

/// Returns the TLS error in this error. An I/O error wraps it without naming it as its source.
fn tls_error<'e>(error: &'e (dyn StdError + 'static)) -> Option<&'e rustls::Error> {
    let mut current: &(dyn StdError + 'static) = error;
    while let Some(inner) = current.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        current = inner;
    }
    current.downcast_ref()
}

fn tls_words(error: &rustls::Error, certificates: &Certificates) -> String {
    use rustls::CertificateError as C;
    match error {
        rustls::Error::InvalidCertificate(C::UnknownIssuer) => match &certificates.named {
            Some(named) => format!("unknown certificate issuer: not in {named}"),
            None if cfg!(target_os = "macos") => {
                "unknown certificate issuer; behind a TLS-inspecting proxy, add its certificate to the Keychain".into()
            }
            None => "unknown certificate issuer; behind a TLS-inspecting proxy, set SSL_CERT_FILE".into(),
        },
        rustls::Error::InvalidCertificate(C::NotValidForName | C::NotValidForNameContext { .. }) => {
            "the certificate is for a different name".into()
        }
        rustls::Error::InvalidCertificate(C::Expired | C::ExpiredContext { .. }) => {
            "the certificate has expired, or this machine's clock is wrong".into()
        }
        rustls::Error::InvalidCertificate(C::NotValidYet | C::NotValidYetContext { .. }) => {
            let now = Timestamp::now().strftime("%Y-%m-%d %H:%M UTC");
            format!("the certificate is not valid yet: this machine's clock is probably slow (it shows {now})")
        }
        rustls::Error::InvalidMessage(_) => "the response is not TLS: probably from a captive portal or proxy".into(),
        other => plain(&other.to_string()),
    }
}

/// Returns the innermost cause: the outer ones contain the address.
fn root(error: &dyn StdError) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    plain(&cause.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_network_permission_is_mentioned_on_macos_only() {
        let error = io::Error::from(ErrorKind::HostUnreachable);
        let plain = no_route(&error, "api.github.com", false);
        let with_permission = no_route(&error, "nas", true);
        insta::assert_snapshot!("no_route", format!("{plain}\n{with_permission}\n"));
        for host in
            ["10.1.2.3", "192.168.0.7", "172.20.1.1", "169.254.9.9", "[fe80::1]", "[fd00::1]", "Vault.local", "nas"]
        {
            assert_eq!(no_route(&error, host, true), with_permission, "{host}");
            assert_eq!(no_route(&error, host, false), plain, "{host}");
        }
        for host in ["api.github.com", "8.8.8.8", "[2606:4700::1]", "local.example.test"] {
            assert_eq!(no_route(&error, host, true), plain, "{host}");
        }
    }

    #[test]
    fn each_tls_error_has_its_own_words() {
        use rustls::CertificateError as C;
        let named = Certificates { named: Some("SSL_CERT_FILE (/ca.pem)".into()), ..Certificates::default() };
        let mut said = String::new();
        for (what, error) in [
            ("issuer", C::UnknownIssuer.into()),
            ("name", C::NotValidForName.into()),
            ("expired", C::Expired.into()),
            ("not valid yet", C::NotValidYet.into()),
            ("revoked", C::Revoked.into()),
            ("not TLS", rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType)),
        ] {
            said += &format!("{what} => {}\n", tls_words(&error, &named));
        }
        let filters = vec![(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", "[TIME]")];
        insta::with_settings!({ filters => filters }, { insta::assert_snapshot!("tls_errors", said) });
        // On macOS the words name the Keychain.
        #[cfg(target_os = "linux")]
        insta::assert_snapshot!("unknown_issuer", tls_words(&C::UnknownIssuer.into(), &Certificates::default()));
    }

    #[test]
    fn each_fault_has_its_own_words() {
        let proxy = |fault| Fault::Proxy { host: "proxy.test:3128".into(), fault };
        let mut said = String::new();
        for (what, fault) in [
            ("timeout", Fault::TimedOut),
            ("DNS", Fault::Dns),
            ("refused", Fault::Refused),
            ("TLS", Fault::Tls("(why)".into())),
            ("lost", Fault::ConnectionLost),
            ("proxy, 407", proxy(ProxyFault::LoginRequired)),
            ("proxy, refused", proxy(ProxyFault::Refused)),
            ("proxy, other", proxy(ProxyFault::NoAnswer("(why)".into()))),
        ] {
            said += &format!("{what} => {fault}\n");
        }
        insta::assert_snapshot!("faults", said);
    }
}
