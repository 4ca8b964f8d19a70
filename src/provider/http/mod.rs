//! The only module that uses HTTP: one client, no redirects, a size limit on the body. Callers set the deadlines.

mod certificates;
mod fault;
mod proxy;

use std::time::{Duration, Instant};

use bytes::Bytes;
use reqwest::Response;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use tokio::time::timeout_at;
use url::Url;
use zeroize::Zeroizing;

use certificates::Certificates;
pub(crate) use fault::{Fault, ProxyFault};
use proxy::Proxy;

use crate::provider::Answer;

/// The most that is read of a body: no answer that raxx needs is longer.
const BODY_LIMIT: usize = 64 * 1024;

/// How long the body of a web page is read. Its headers are enough to classify it, and a page that arrives slowly must not
/// count as a timeout.
const PAGE: Duration = Duration::from_secs(1);

/// A request. Its secrets are wiped when it is dropped.
pub(crate) struct Request {
    pub post: bool,
    pub url: Url,
    pub headers: Vec<(String, Zeroizing<String>)>,
    /// A JSON body.
    pub body: Option<Zeroizing<String>>,
}

/// The HTTP client. Building one takes milliseconds to read the machine's certificates, so it is built only when needed.
pub(crate) struct Client {
    client: reqwest::Client,
    proxy: Option<Proxy>,
    certificates: Certificates,
}

impl Client {
    /// # Errors
    /// The machine has no usable certificates, or a variable is invalid.
    pub(crate) fn new() -> Result<Client, Fault> {
        // A second call fails because the provider is already installed.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = reqwest::Client::builder().no_proxy();
        let proxy = Proxy::from_environment().map_err(Fault::NotSent)?;
        if let Some(proxy) = &proxy {
            builder = builder.proxy(proxy.rule());
        }
        let mut certificates = Certificates::from_environment().map_err(Fault::NotSent)?;
        if let Some(authorities) = certificates.authorities.take() {
            builder = builder.tls_certs_only(authorities);
        }
        let client = builder
            // Without a user agent GitHub returns 403, and Cloudflare's integrity check 1010.
            .user_agent(concat!("raxx/", env!("CARGO_PKG_VERSION")))
            // A redirect would take the credential along to another host.
            .redirect(Policy::none())
            .referer(false)
            .build()
            .map_err(|error| Fault::of_setup(&error))?;
        Ok(Client { client, proxy, certificates })
    }

    /// Returns the name of the proxy for requests to `address`, if there is one.
    pub(crate) fn proxy_for(&self, address: &str) -> Option<&str> {
        let address = Url::parse(address).ok()?;
        self.proxy.as_ref().filter(|proxy| proxy.is_for(&address)).map(|proxy| proxy.name.as_str())
    }

    /// Sends a request and reads the answer.
    ///
    /// # Errors
    /// Why there is no answer.
    pub(crate) async fn send(&self, request: &Request) -> Result<Answer, Fault> {
        let mut headers = HeaderMap::new();
        for (name, value) in &request.headers {
            let name = HeaderName::try_from(name.as_str())
                .map_err(|_| Fault::NotSent(format!("{name} is not a header name")))?;
            let mut value = HeaderValue::from_maybe_shared(Bytes::from_owner(value.clone()))
                .map_err(|_| Fault::NotSent("the value cannot be sent in a header".into()))?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        let mut builder =
            if request.post { self.client.post(request.url.clone()) } else { self.client.get(request.url.clone()) }
                .headers(headers);
        if let Some(body) = &request.body {
            // Slack requires the character set and sets its own content type.
            if !request.headers.iter().any(|(name, _)| name == "content-type") {
                builder = builder.header("content-type", "application/json");
            }
            builder = builder.body(Bytes::from_owner(body.clone()));
        }
        let host = request.url.host_str().unwrap_or_default().to_string();
        let fault =
            |error| Fault::of(&error, &host, self.proxy.as_ref().map(|proxy| proxy.name.as_str()), &self.certificates);
        let response = builder.send().await.map_err(fault)?;

        let text = |v: &HeaderValue| String::from_utf8_lossy(v.as_bytes()).into_owned();
        let headers = response.headers().iter().map(|(n, v)| (n.as_str().to_string(), text(v))).collect();
        let status = response.status().as_u16();
        let mut answer = Answer { host: host.clone(), status, headers, body: String::new(), truncated: false };
        (answer.body, answer.truncated) = body(response, answer.is_json()).await.map_err(fault)?;
        Ok(answer)
    }
}

/// Reads a body up to the limit, and returns whether it was cut short. A web page is read only for a moment: its headers are
/// enough to classify it.
async fn body(mut response: Response, is_json: bool) -> Result<(String, bool), reqwest::Error> {
    // The buffer has its full size from the start: growing would leave copies of a secret in memory.
    let mut body = Zeroizing::new(Vec::with_capacity(BODY_LIMIT));
    let until = Instant::now() + PAGE;
    let truncated = loop {
        let chunk = if is_json {
            response.chunk().await?
        } else {
            match timeout_at(until.into(), response.chunk()).await {
                Ok(Ok(chunk)) => chunk,
                Ok(Err(_)) | Err(_) => break true,
            }
        };
        let Some(chunk) = chunk else { break false };
        let room = BODY_LIMIT - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if chunk.len() > room {
            break true;
        }
    };
    Ok((text(body), truncated))
}

/// Converts bytes to text without an unwiped copy.
fn text(mut bytes: Zeroizing<Vec<u8>>) -> String {
    if std::str::from_utf8(&bytes).is_ok() {
        return String::from_utf8(std::mem::take(&mut *bytes)).unwrap_or_default();
    }
    // Each byte becomes at most one replacement character.
    let mut text = String::with_capacity(bytes.len() * char::REPLACEMENT_CHARACTER.len_utf8());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend((!chunk.invalid().is_empty()).then_some(char::REPLACEMENT_CHARACTER));
    }
    text
}
