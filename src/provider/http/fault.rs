//! Why there is no answer: the library's errors in words. Nothing of them is shown as it is: their text may hold the
//! address.

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
    /// Not before the deadline.
    TimedOut,
    Dns,
    Refused,
    /// Certificate or protocol; the words of the TLS library.
    Tls(String),
    /// The connection ended before the answer did.
    ConnectionLost,
    /// The proxy of this name answered in place of the provider, or gave no answer itself.
    Proxy {
        host: String,
        fault: ProxyFault,
    },
    /// Nothing was sent: it is this machine's.
    NotSent(String),
    Other(String),
}

/// What a proxy did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ProxyFault {
    WantsLogin,
    Refuses,
    /// It gave no whole answer; why.
    Silent(String),
}

impl fmt::Display for ProxyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ProxyFault::WantsLogin => "requires a login (HTTP 407)",
            ProxyFault::Refuses => "refuses the connection",
            ProxyFault::Silent(why) => why,
        })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::TimedOut => f.write_str("timed out"),
            Fault::Dns => f.write_str("its name could not be resolved"),
            Fault::Refused => f.write_str("connection refused"),
            Fault::Tls(why) => write!(f, "TLS: {why}"),
            Fault::ConnectionLost => f.write_str("the connection broke off"),
            Fault::Proxy { host, fault: ProxyFault::Silent(why) } => write!(f, "the proxy {host}: {why}"),
            Fault::Proxy { host, fault } => write!(f, "the proxy {host} {fault}"),
            Fault::NotSent(why) | Fault::Other(why) => f.write_str(why),
        }
    }
}

impl Fault {
    /// The fault of a request to `host`, and whose it is: the provider's, or that of the proxy on the way.
    pub(super) fn of(error: &reqwest::Error, host: &str, proxy: Option<&str>, certificates: &Certificates) -> Fault {
        const TUNNEL: &str = "tunnel error: ";
        // The library does not export the error's type.
        let what = causes(error).find_map(|cause| cause.to_string().strip_prefix(TUNNEL).map(String::from));
        let fault = sorted(error, host, certificates);
        let (Some(what), Some(proxy)) = (what, proxy) else { return fault };
        let fault = match what.as_str() {
            "proxy authorization required" => ProxyFault::WantsLogin,
            "unsuccessful" => ProxyFault::Refuses,
            _ => ProxyFault::Silent(fault.to_string()),
        };
        Fault::Proxy { host: proxy.into(), fault }
    }

    /// Why there is no client at all.
    pub(super) fn of_setup(error: &reqwest::Error) -> Fault {
        let root = root(error);
        Fault::NotSent(if root.contains("No CA certificates") {
            "this machine has no CA certificates: install them (the package ca-certificates), or set SSL_CERT_FILE"
                .into()
        } else {
            format!("the HTTPS client cannot be set up: {root}")
        })
    }
}

fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn StdError + 'static)> {
    std::iter::successors(error.source(), |cause: &&(dyn StdError + 'static)| (**cause).source())
}

/// Sorts an error of the client by what is under it.
fn sorted(error: &reqwest::Error, host: &str, certificates: &Certificates) -> Fault {
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

/// The words for a host to which there is no way. macOS (15 and later) gives this error for a host of the local network
/// to a program that has not been allowed to use it, and asks nobody where no window can open.
fn no_route(error: &io::Error, host: &str, macos: bool) -> String {
    let words = format!("no connection ({error})");
    if macos && is_local(host) {
        format!(
            "{words}, or macOS does not let raxx use the local network: System Settings, Privacy & Security, Local Network"
        )
    } else {
        words
    }
}

/// Whether a host is on the local network by its name or address.
fn is_local(host: &str) -> bool {
    match host.trim_start_matches('[').trim_end_matches(']').parse() {
        Ok(IpAddr::V4(address)) => address.is_private() || address.is_link_local(),
        Ok(IpAddr::V6(address)) => address.is_unique_local() || address.is_unicast_link_local(),
        Err(_) => host.trim_end_matches('.').to_ascii_lowercase().ends_with(".local") || !host.contains('.'),
    }
}

/// The TLS error that this one is or holds: I/O errors hold it without being its consequence.
fn tls_error<'e>(error: &'e (dyn StdError + 'static)) -> Option<&'e rustls::Error> {
    let mut held: &(dyn StdError + 'static) = error;
    while let Some(inner) = held.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        held = inner;
    }
    held.downcast_ref()
}

fn tls_words(error: &rustls::Error, certificates: &Certificates) -> String {
    use rustls::CertificateError as C;
    match error {
        rustls::Error::InvalidCertificate(C::UnknownIssuer) => match &certificates.named {
            Some(named) => format!("unknown certificate issuer: it is not in {named}"),
            None if cfg!(target_os = "macos") => {
                "unknown certificate issuer; behind a TLS-inspecting proxy, add its certificate to the Keychain".into()
            }
            None => "unknown certificate issuer; behind a TLS-inspecting proxy, set SSL_CERT_FILE".into(),
        },
        rustls::Error::InvalidCertificate(C::NotValidForName | C::NotValidForNameContext { .. }) => {
            "the certificate is for another name".into()
        }
        rustls::Error::InvalidCertificate(C::Expired | C::ExpiredContext { .. }) => {
            "the certificate is expired (or this machine's clock is wrong)".into()
        }
        rustls::Error::InvalidCertificate(C::NotValidYet | C::NotValidYetContext { .. }) => {
            let now = Timestamp::now().strftime("%Y-%m-%d %H:%M UTC");
            format!("the certificate is not valid yet: this machine's clock is behind (it shows {now})")
        }
        rustls::Error::InvalidMessage(_) => "the response is not TLS (a captive portal or a proxy?)".into(),
        other => plain(&other.to_string()),
    }
}

/// The innermost cause: the outer ones repeat the address.
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
    fn a_mac_may_have_closed_the_local_network() {
        let error = io::Error::from(ErrorKind::HostUnreachable);
        let elsewhere = no_route(&error, "api.github.com", false);
        let closed = no_route(&error, "nas", true);
        insta::assert_snapshot!("no_route", format!("{elsewhere}\n{closed}\n"));
        for host in
            ["10.1.2.3", "192.168.0.7", "172.20.1.1", "169.254.9.9", "[fe80::1]", "[fd00::1]", "Vault.local", "nas"]
        {
            assert_eq!(no_route(&error, host, true), closed, "{host}");
            assert_eq!(no_route(&error, host, false), elsewhere, "{host}");
        }
        for host in ["api.github.com", "8.8.8.8", "[2606:4700::1]", "local.example.test"] {
            assert_eq!(no_route(&error, host, true), elsewhere, "{host}");
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
            ("TLS", Fault::Tls("(the TLS library's words)".into())),
            ("lost", Fault::ConnectionLost),
            ("proxy, 407", proxy(ProxyFault::WantsLogin)),
            ("proxy, refused", proxy(ProxyFault::Refuses)),
            ("proxy, other", proxy(ProxyFault::Silent("(why)".into()))),
        ] {
            said += &format!("{what} => {fault}\n");
        }
        insta::assert_snapshot!("faults", said);
    }
}
