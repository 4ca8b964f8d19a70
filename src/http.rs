//! The one place that speaks HTTP: one client, no redirects, a capped body. Deadlines are the caller's.

use std::error::Error as _;
use std::fmt;
use std::io::ErrorKind;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use url::Url;
use zeroize::Zeroizing;

use crate::provider::Answer;

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
    Other(String),
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
            Fault::Other(why) => f.write_str(why),
        }
    }
}

/// The client. Building it reads the machine's certificates (milliseconds): only done where the network is used.
pub struct Client(reqwest::Client);

impl Client {
    /// # Errors
    /// The machine has no usable certificates, or a proxy variable makes no sense.
    pub fn new() -> Result<Client, Fault> {
        // A second call finds the provider installed, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = reqwest::Client::builder().no_proxy();
        // For https alone, which a proxy passes on unread: http is loopback, and a proxy would see the credential.
        let set = |name: &&str| std::env::var(name).ok().filter(|v| !v.is_empty());
        if let Some(proxy) = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"].iter().find_map(set) {
            let proxy = reqwest::Proxy::https(proxy).map_err(|_| Fault::Other("HTTPS_PROXY is no address".into()))?;
            builder = builder.proxy(proxy.no_proxy(reqwest::NoProxy::from_env()));
        }
        let client = builder
            // GitHub answers 403 without one, Cloudflare's integrity check 1010.
            .user_agent(concat!("raxx/", env!("CARGO_PKG_VERSION")))
            // A redirect would take the credential along to another host.
            .redirect(Policy::none())
            .referer(false)
            .build();
        client.map(Client).map_err(|e| Fault::Other(chain(&e)))
    }

    /// Sends it and reads the answer.
    ///
    /// # Errors
    /// [`Fault`] when no whole answer came.
    pub async fn send(&self, request: &Request) -> Result<Answer, Fault> {
        let mut headers = HeaderMap::new();
        for (name, value) in &request.headers {
            let name = HeaderName::try_from(name.as_str()).map_err(|_| Fault::Other(format!("{name} is no header")))?;
            let mut value = HeaderValue::try_from(value.as_bytes())
                .map_err(|_| Fault::Other("the value cannot stand in a header".into()))?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        let mut builder = match request.post {
            true => self.0.post(request.url.clone()),
            false => self.0.get(request.url.clone()),
        }
        .headers(headers);
        if let Some(body) = &request.body {
            // Slack wants the character set said; others are known to take it without.
            if !request.headers.iter().any(|(name, _)| name == "content-type") {
                builder = builder.header("content-type", "application/json");
            }
            builder = builder.body(body.as_bytes().to_vec());
        }
        let mut response = builder.send().await.map_err(|e| fault(&e))?;

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
        other => crate::report::plain(&other.to_string()),
    }
}

/// The innermost cause: the outer ones repeat the address.
fn root(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    crate::report::plain(&cause.to_string())
}

fn chain(error: &reqwest::Error) -> String {
    format!("the HTTPS client cannot be set up: {}", root(error))
}
