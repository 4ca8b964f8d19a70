//! The one place that speaks HTTP: one client, no redirects, a capped body. Deadlines are the caller's.

use std::error::Error as _;
use std::fmt;
use std::io::ErrorKind;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use url::Url;
use zeroize::Zeroizing;

use crate::provider::Answer;
use crate::typed::looks_like_a_value;

/// No answer that raxx needs is longer; what comes after is not read.
const BODY_LIMIT: usize = 64 * 1024;

/// A request, with what is secret in it wiped when it is dropped.
pub struct Request {
    pub post: bool,
    pub url: Url,
    pub headers: Vec<(String, Zeroizing<String>)>,
    /// JSON.
    pub body: Option<Zeroizing<String>>,
}

/// Why there is no whole answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Not before the deadline.
    TimedOut,
    Dns,
    Refused,
    /// Certificate or protocol; the words of the TLS library.
    Tls(String),
    /// The connection ended before the answer did.
    BrokeOff,
    /// The body has not ended after 64 KiB.
    TooLong,
    /// The proxy at `host` answered in place of the provider, or gave no answer itself.
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
pub enum ProxyFault {
    WantsLogin,
    Refuses,
    /// It gave no whole answer; why.
    Silent(String),
}

impl fmt::Display for ProxyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ProxyFault::WantsLogin => "wants a login (HTTP 407)",
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
            Fault::BrokeOff => f.write_str("the connection broke off"),
            Fault::TooLong => f.write_str("the answer does not end after 64 KiB"),
            Fault::Proxy { host, fault: ProxyFault::Silent(why) } => write!(f, "the proxy {host}: {why}"),
            Fault::Proxy { host, fault } => write!(f, "the proxy {host} {fault}"),
            Fault::NotSent(why) | Fault::Other(why) => f.write_str(why),
        }
    }
}

/// The client. Building it reads the machine's certificates (milliseconds): only done where the network is used.
pub struct Client {
    client: reqwest::Client,
    /// The proxy's host and port; its address may hold a password.
    proxy: String,
}

impl Client {
    /// # Errors
    /// The machine has no usable certificates, or a proxy variable makes no sense.
    pub fn new() -> Result<Client, Fault> {
        // A second call finds the provider installed, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = reqwest::Client::builder().no_proxy();
        // For https alone, which a proxy passes on unread: http is loopback, and a proxy would see the credential.
        let set = |name: &&'static str| Some((*name, std::env::var(name).ok().filter(|v| !v.is_empty())?));
        let mut proxy_host = String::new();
        if let Some((name, address)) = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"].iter().find_map(set) {
            let proxy = reqwest::Proxy::https(&address)
                .map_err(|_| Fault::NotSent(format!("{name} is no address of a proxy")))?;
            builder = builder.proxy(proxy.no_proxy(reqwest::NoProxy::from_env()));
            // The name of what was put in its place by mistake is not passed on.
            let host = Some(host_and_port(&address)).filter(|host| !looks_like_a_value(host));
            proxy_host = host.unwrap_or_else(|| format!("named by {name}"));
        }
        let client = builder
            // GitHub answers 403 without one, Cloudflare's integrity check 1010.
            .user_agent(concat!("raxx/", env!("CARGO_PKG_VERSION")))
            // A redirect would take the credential along to another host.
            .redirect(Policy::none())
            .referer(false)
            .build();
        let client = client.map_err(|e| Fault::NotSent(chain(&e)))?;
        Ok(Client { client, proxy: proxy_host })
    }

    /// Sends it and reads the answer.
    ///
    /// # Errors
    /// [`Fault`] when no whole answer came.
    pub async fn send(&self, request: &Request) -> Result<Answer, Fault> {
        let mut headers = HeaderMap::new();
        for (name, value) in &request.headers {
            let name =
                HeaderName::try_from(name.as_str()).map_err(|_| Fault::NotSent(format!("{name} is no header")))?;
            let mut value = HeaderValue::try_from(value.as_bytes())
                .map_err(|_| Fault::NotSent("the value cannot stand in a header".into()))?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        let mut builder = match request.post {
            true => self.client.post(request.url.clone()),
            false => self.client.get(request.url.clone()),
        }
        .headers(headers);
        if let Some(body) = &request.body {
            // Slack wants the character set said; others are known to take it without.
            if !request.headers.iter().any(|(name, _)| name == "content-type") {
                builder = builder.header("content-type", "application/json");
            }
            builder = builder.body(body.as_bytes().to_vec());
        }
        let mut response = builder.send().await.map_err(|e| self.fault(&e))?;

        let text = |v: &HeaderValue| String::from_utf8_lossy(v.as_bytes()).into_owned();
        let headers = response.headers().iter().map(|(n, v)| (n.as_str().to_string(), text(v))).collect();
        let status = response.status().as_u16();
        // It may hold secrets. Of one size from the start: growing would leave copies behind.
        let mut body = Zeroizing::new(Vec::with_capacity(BODY_LIMIT));
        while let Some(chunk) = response.chunk().await.map_err(|e| fault(&e))? {
            if body.len() + chunk.len() > BODY_LIMIT {
                return Err(Fault::TooLong);
            }
            body.extend_from_slice(&chunk);
        }
        let host = request.url.host_str().unwrap_or_default().to_string();
        Ok(Answer { host, status, headers, body: String::from_utf8_lossy(&body).into_owned() })
    }

    /// The fault, and whose it is: the provider's or that of the proxy on the way.
    fn fault(&self, error: &reqwest::Error) -> Fault {
        const TUNNEL: &str = "tunnel error: ";
        let mut source = error.source();
        while let Some(cause) = source {
            // The library does not export the error's type.
            if let Some(what) = cause.to_string().strip_prefix(TUNNEL) {
                let fault = match what {
                    "proxy authorization required" => ProxyFault::WantsLogin,
                    "unsuccessful" => ProxyFault::Refuses,
                    _ => ProxyFault::Silent(fault(error).to_string()),
                };
                return Fault::Proxy { host: self.proxy.clone(), fault };
            }
            source = cause.source();
        }
        fault(error)
    }
}

/// An address without its user and password.
fn host_and_port(address: &str) -> String {
    let parsed = |address: &str| Url::parse(address).ok().filter(Url::has_host);
    let url = parsed(address).or_else(|| parsed(&format!("http://{address}")));
    let host = |url: Url| Some((url.host_str()?.to_string(), url.port()));
    match url.and_then(host) {
        Some((host, Some(port))) => format!("{host}:{port}"),
        Some((host, None)) => host,
        None => String::new(),
    }
}

/// Sorts an error of the client by what is under it. Nothing of it is shown as it is: its text may hold the address.
fn fault(error: &reqwest::Error) -> Fault {
    if error.is_timeout() {
        return Fault::TimedOut;
    }
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(tls) = tls_error(cause) {
            return Fault::Tls(tls_words(tls));
        }
        match cause.downcast_ref::<std::io::Error>().map(std::io::Error::kind) {
            Some(ErrorKind::ConnectionRefused) => return Fault::Refused,
            Some(ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof | ErrorKind::BrokenPipe) => {
                return Fault::BrokeOff;
            }
            _ => {}
        }
        if cause.to_string().contains("dns error") {
            return Fault::Dns;
        }
        source = cause.source();
    }
    if error.is_body() || error.is_decode() || error.is_request() && !error.is_connect() {
        return Fault::BrokeOff;
    }
    Fault::Other(match error.is_connect() {
        true => format!("no connection ({})", root(error)),
        false => root(error),
    })
}

/// The TLS error that this one is or holds: I/O errors hold it without being its consequence.
fn tls_error<'e>(error: &'e (dyn std::error::Error + 'static)) -> Option<&'e rustls::Error> {
    let mut held: &(dyn std::error::Error + 'static) = error;
    while let Some(inner) = held.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
        held = inner;
    }
    held.downcast_ref()
}

fn tls_words(error: &rustls::Error) -> String {
    use rustls::CertificateError as C;
    match error {
        rustls::Error::InvalidCertificate(C::UnknownIssuer) => {
            "the certificate's issuer is not known here (a proxy's own? then set SSL_CERT_FILE)".into()
        }
        rustls::Error::InvalidCertificate(C::NotValidForName | C::NotValidForNameContext { .. }) => {
            "the certificate is for another name".into()
        }
        rustls::Error::InvalidCertificate(C::Expired | C::ExpiredContext { .. }) => {
            "the certificate is expired (or this machine's clock is wrong)".into()
        }
        other => crate::text::plain(&other.to_string()),
    }
}

/// The innermost cause: the outer ones repeat the address.
fn root(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    crate::text::plain(&cause.to_string())
}

fn chain(error: &reqwest::Error) -> String {
    format!("the HTTPS client cannot be set up: {}", root(error))
}
