//! Cloudflare, Heroku, GitHub, Infisical and Slack on one loopback port.
//!
//! Answers by path and credential, and is as strict about headers as the real APIs: what they would refuse is refused here.
//! Every request is recorded, so that a test can check what was sent, how often and where. Any answer can be replaced by
//! another one, or by a fault that no well-behaved server would produce.
//!
//! Depends only on the standard library and rustls, so that `examples/demo.rs` can include this file.

#![allow(dead_code)] // each test program uses its own part

use std::collections::{HashMap, VecDeque};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

/// How long a hanging answer waits unless the client disconnects: longer than any deadline of a test.
const HANG: Duration = Duration::from_secs(60);

/// A request as it arrived.
#[derive(Clone, Debug, Default)]
pub struct Request {
    pub method: String,
    /// With the query.
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    /// The value of a header, whose name is case-insensitive.
    pub fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name))?;
        Some(value)
    }

    /// The bearer token, or the client secret of a login.
    pub fn credential(&self) -> Option<String> {
        if let Some(authorization) = self.header("authorization") {
            let token = authorization.strip_prefix("Bearer ").or(authorization.strip_prefix("token "));
            return Some(token.unwrap_or(authorization).into());
        }
        let body: serde_json::Value = serde_json::from_slice(&self.body).ok()?;
        Some(body["clientSecret"].as_str()?.trim().into())
    }

    /// Whether `secret` occurs anywhere in the request.
    pub fn contains(&self, secret: &str) -> bool {
        let headers = self.headers.iter().any(|(_, value)| value.contains(secret));
        headers || self.path.contains(secret) || String::from_utf8_lossy(&self.body).contains(secret)
    }
}

/// An answer of the server.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Whether the provider's usual headers (rate limits, request ids, `Server`) are added. An answer of a gateway in front of
    /// a provider does not have them.
    pub from_provider: bool,
}

impl Answer {
    /// An answer of the provider itself.
    pub fn json(status: u16, body: &str) -> Answer {
        Answer { from_provider: true, ..Answer::foreign(status, "application/json; charset=utf-8", body) }
    }

    /// An answer of something else: a proxy, a captive portal, an edge server.
    pub fn foreign(status: u16, content_type: &str, body: &str) -> Answer {
        let headers = vec![("Content-Type".into(), content_type.into())];
        Answer { status, headers, body: body.into(), from_provider: false }
    }

    pub fn html(status: u16, body: &str) -> Answer {
        Answer::foreign(status, "text/html; charset=UTF-8", body)
    }

    pub fn redirect(to: &str) -> Answer {
        Answer::html(302, "<html><body>Found</body></html>").with("Location", to)
    }

    /// Cloudflare Access in front of an application, with an identity policy: a redirect to the login page.
    pub fn access_login(host: &str) -> Answer {
        let login =
            format!("https://raxx-demo.cloudflareaccess.com/cdn-cgi/access/login/{host}?meta=e30&redirect_url=%2F");
        Answer::redirect(&login).with("Server", "cloudflare").with("CF-RAY", "8f00ba4d0f00ba42-FRA")
    }

    /// Cloudflare's firewall, which runs before Access and the API.
    pub fn edge_block() -> Answer {
        let answer = Answer::foreign(403, "text/plain; charset=UTF-8", "error code: 1010");
        answer.with("Server", "cloudflare").with("CF-RAY", "8f00ba4d0f00ba42-FRA")
    }

    /// Adds a header, or replaces the one with that name.
    pub fn with(mut self, name: &str, value: &str) -> Answer {
        self.headers.retain(|(n, _)| !n.eq_ignore_ascii_case(name));
        self.headers.push((name.into(), value.into()));
        self
    }
}

/// What no well-behaved server does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Reads the request and never answers.
    HangBeforeHeaders,
    /// Sends status 200, then nothing.
    HangAfterHeaders,
    /// Resets the connection after the request arrived.
    Reset,
    /// Resets it in the middle of the body.
    ResetInBody,
    /// Closes the connection before the body reaches the announced length.
    Short,
    /// Sends header bytes slowly.
    DripHeaders,
    /// Sends the bytes of a good body slowly.
    DripBody,
    /// Sends an endless body.
    Endless,
    /// Sends an endless web page slowly.
    DripPage,
    /// Resets the connection in the middle of a web page.
    ResetInPage,
    /// Sends endless headers.
    EndlessHeaders,
    /// Sends something that is not HTTP.
    Noise,
}

/// How the server reacts to a request.
#[derive(Clone, Debug)]
pub enum Reaction {
    Answer(Answer),
    Fault(Fault),
}

impl From<Answer> for Reaction {
    fn from(answer: Answer) -> Reaction {
        Reaction::Answer(answer)
    }
}

impl From<Fault> for Reaction {
    fn from(fault: Fault) -> Reaction {
        Reaction::Fault(fault)
    }
}

/// The certificate of a TLS server.
pub struct Tls {
    config: Arc<rustls::ServerConfig>,
    /// The authority that signed it, as PEM.
    pub authority: String,
}

impl Tls {
    /// A certificate for `name`, signed by an authority created for the test.
    pub fn for_name(name: &str) -> Tls {
        Tls::signed(rcgen::CertificateParams::new(vec![name.to_string()]).expect("a name"))
    }

    /// A certificate that has expired.
    pub fn expired(name: &str) -> Tls {
        let mut leaf = rcgen::CertificateParams::new(vec![name.to_string()]).expect("a name");
        leaf.not_after = rcgen::date_time_ymd(2020, 1, 1);
        Tls::signed(leaf)
    }

    /// A certificate that is not valid yet.
    pub fn of_the_future(name: &str) -> Tls {
        let mut leaf = rcgen::CertificateParams::new(vec![name.to_string()]).expect("a name");
        leaf.not_before = rcgen::date_time_ymd(3000, 1, 1);
        Tls::signed(leaf)
    }

    fn signed(leaf: rcgen::CertificateParams) -> Tls {
        let mut authority = rcgen::CertificateParams::new(Vec::new()).expect("no names to refuse");
        authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate().expect("a key");
        // Unique names: a client would mistake a second authority with the same name for a wrong signature.
        let name = format!("made-up authority {:?}", &key.public_key_raw()[..8]);
        authority.distinguished_name.push(rcgen::DnType::CommonName, name);
        let root = authority.self_signed(&key).expect("a root certificate");
        let issuer = rcgen::Issuer::new(authority, key);

        let leaf_key = rcgen::KeyPair::generate().expect("a key");
        let leaf = leaf.signed_by(&leaf_key, &issuer).expect("a certificate");
        let private = rustls::pki_types::PrivateKeyDer::try_from(leaf_key.serialize_der()).expect("a key");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("protocol versions")
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], private)
            .expect("a usable certificate");
        Tls { config: Arc::new(config), authority: root.pem() }
    }

    /// Writes the authority to a file for `SSL_CERT_FILE`.
    pub fn write_authority(&self, file: &Path) {
        std::fs::write(file, &self.authority).expect("the authority's file");
    }
}

/// Cloudflare Access in front of Infisical: requires both headers, and otherwise gives this answer.
struct Gate {
    id: String,
    secret: String,
    refusal: Answer,
}

#[derive(Default)]
struct World {
    requests: Vec<Request>,
    /// The credentials that the providers accept.
    known: Vec<String>,
    /// The reaction to a credential at a path; an empty path means every path.
    reactions: HashMap<(String, String), Reaction>,
    always: Option<Reaction>,
    /// The next reactions at a path, which come before all others there.
    next: HashMap<String, VecDeque<Reaction>>,
    latency: Duration,
    gate: Option<Gate>,
    /// The times of failed logins per Infisical client id.
    failures: HashMap<String, Vec<Instant>>,
}

/// A running server, which stops when dropped.
pub struct Loopback {
    address: SocketAddr,
    scheme: &'static str,
    world: Arc<Mutex<World>>,
    stopped: Arc<AtomicBool>,
}

impl Loopback {
    /// A server that accepts no credential.
    pub fn start() -> Loopback {
        Loopback::serve(None)
    }

    /// A server with TLS that accepts no credential.
    pub fn start_tls(tls: &Tls) -> Loopback {
        Loopback::serve(Some(tls.config.clone()))
    }

    fn serve(tls: Option<Arc<rustls::ServerConfig>>) -> Loopback {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a loopback port");
        let address = listener.local_addr().expect("its address");
        let scheme = if tls.is_some() { "https" } else { "http" };
        let server = Loopback { address, scheme, world: Arc::default(), stopped: Arc::default() };
        let (world, stopped) = (server.world.clone(), server.stopped.clone());
        thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let conversation = Connection { world: world.clone(), stopped: stopped.clone() };
                let tls = tls.clone();
                // A client that disconnects is not a failure of the server.
                thread::spawn(move || conversation.serve(stream, tls));
            }
        });
        server
    }

    /// `http://127.0.0.1:PORT`; with TLS a host name, because certificates have one.
    pub fn url(&self) -> String {
        let host = if self.scheme == "https" { "localhost" } else { "127.0.0.1" };
        format!("{}://{host}:{}", self.scheme, self.address.port())
    }

    /// The configuration that sends every request of raxx here.
    pub fn config(&self) -> String {
        config(&self.url())
    }

    /// Makes the providers accept this credential from now on.
    pub fn accept(&self, credential: &str) {
        self.world().known.push(credential.into());
    }

    /// Makes the providers reject this credential again, as after a revocation.
    pub fn revoke(&self, credential: &str) {
        self.world().known.retain(|known| known != credential);
    }

    /// Sets the reaction to every request with `credential`.
    pub fn react(&self, credential: &str, reaction: impl Into<Reaction>) {
        self.react_at("", credential, reaction);
    }

    /// Sets the reaction to `credential` at `path` (without its query).
    pub fn react_at(&self, path: &str, credential: &str, reaction: impl Into<Reaction>) {
        self.world().reactions.insert((path.into(), credential.into()), reaction.into());
    }

    /// Sets the reaction to every request, whatever the credential and the headers.
    pub fn always(&self, reaction: impl Into<Reaction>) {
        self.world().always = Some(reaction.into());
    }

    /// Adds a reaction for one request to `path`, after the ones added before.
    pub fn next(&self, path: &str, reaction: impl Into<Reaction>) {
        self.world().next.entry(path.into()).or_default().push_back(reaction.into());
    }

    /// Removes the reactions added for `path` with `next`.
    pub fn no_next(&self, path: &str) {
        self.world().next.remove(path);
    }

    /// Delays every answer.
    pub fn latency(&self, latency: Duration) {
        self.world().latency = latency;
    }

    /// Puts Cloudflare Access in front of Infisical: without this pair of headers, it answers `refusal`.
    pub fn behind_access(&self, id: &str, secret: &str, refusal: Answer) {
        self.world().gate = Some(Gate { id: id.into(), secret: secret.into(), refusal });
    }

    /// Every request so far.
    pub fn requests(&self) -> Vec<Request> {
        self.world().requests.clone()
    }

    /// How many requests so far contained this secret anywhere.
    pub fn attempts(&self, secret: &str) -> usize {
        self.world().requests.iter().filter(|request| request.contains(secret)).count()
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().expect("no thread of the server panics")
    }
}

impl Drop for Loopback {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        // Wakes the accepting thread, the only one that waits without a limit.
        let _ = TcpStream::connect(self.address);
    }
}

/// The configuration that sends every request of raxx to one address.
pub fn config(url: &str) -> String {
    format!(
        "[provider.cloudflare]\nbase_url = \"{url}/client/v4\"\n\
         [provider.heroku]\nbase_url = \"{url}\"\n\
         [provider.github]\nbase_url = \"{url}\"\n\
         [vault.infisical]\nbase_url = \"{url}\"\n"
    )
}

/// A port that refuses connections until this value is dropped: a client socket occupies it, and no process listens there.
pub struct ClosedPort {
    held: TcpStream,
    _listener: TcpListener,
}

impl ClosedPort {
    pub fn new() -> ClosedPort {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a loopback port");
        let held = TcpStream::connect(listener.local_addr().expect("its address")).expect("a connection to it");
        ClosedPort { held, _listener: listener }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.held.local_addr().expect("its address"))
    }
}

trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

/// One connection with one request and one reaction.
struct Connection {
    world: Arc<Mutex<World>>,
    stopped: Arc<AtomicBool>,
}

impl Connection {
    fn serve(&self, tcp: TcpStream, tls: Option<Arc<rustls::ServerConfig>>) -> io::Result<()> {
        tcp.set_nodelay(true)?;
        tcp.set_read_timeout(Some(HANG))?;
        let raw = tcp.try_clone()?;
        let bare = tls.is_none();
        let mut stream: Box<dyn Stream> = match tls {
            None => Box::new(tcp),
            Some(config) => {
                let session = rustls::ServerConnection::new(config).map_err(io::Error::other)?;
                Box::new(rustls::StreamOwned::new(session, tcp))
            }
        };
        let (request, rest) = read_request(&mut *stream, &raw, bare)?;
        let (reaction, latency) = {
            let mut world = self.world.lock().expect("no thread of the server panics");
            world.requests.push(request.clone());
            (world.react(&request), world.latency)
        };
        self.pause(latency);
        match reaction {
            Reaction::Answer(answer) => {
                stream.read_exact(&mut vec![0; rest])?;
                stream.write_all(&wire(&request, &answer))?;
                stream.flush()?;
                // Nothing is sent after the answer, so the client need not wait for this thread.
                raw.shutdown(std::net::Shutdown::Write)
            }
            Reaction::Fault(fault) => self.misbehave(fault, &mut *stream, rest, &request),
        }
    }

    fn misbehave(&self, fault: Fault, stream: &mut dyn Stream, rest: usize, request: &Request) -> io::Result<()> {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
        let page = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n";
        let good = World::acceptance(request);
        // Closing with unread data makes the kernel send a reset instead of a normal close.
        if !matches!(fault, Fault::Reset | Fault::ResetInBody | Fault::ResetInPage) {
            stream.read_exact(&mut vec![0; rest])?;
        }
        match fault {
            Fault::Reset => {}
            Fault::ResetInPage => write!(stream, "{page}Content-Length: 100\r\n\r\n<html>")?,
            Fault::DripPage => {
                write!(stream, "{page}\r\n<html>")?;
                self.drip(stream, &[b'a'; 1000])?;
            }
            Fault::ResetInBody => write!(stream, "{head}Content-Length: 100\r\n\r\n{{\"result\"")?,
            Fault::HangBeforeHeaders => self.pause(HANG),
            Fault::HangAfterHeaders => {
                write!(stream, "{head}Content-Length: {}\r\n\r\n", good.body.len())?;
                stream.flush()?;
                self.pause(HANG);
            }
            Fault::Short => {
                write!(stream, "{head}Content-Length: {}\r\n\r\n", good.body.len())?;
                stream.write_all(&good.body[..good.body.len() / 2])?;
                stream.flush()?;
            }
            Fault::DripHeaders => self.drip(stream, &wire(request, &good))?,
            Fault::DripBody => {
                write!(stream, "{head}Content-Length: {}\r\n\r\n", good.body.len())?;
                self.drip(stream, &good.body)?;
            }
            Fault::Endless => {
                write!(stream, "{head}\r\n{{\"padding\":\"")?;
                let padding = [b'a'; 4096];
                while !self.stopped.load(Ordering::Relaxed) {
                    stream.write_all(&padding)?;
                }
            }
            Fault::EndlessHeaders => {
                write!(stream, "{head}")?;
                while !self.stopped.load(Ordering::Relaxed) {
                    write!(stream, "X-Padding: {}\r\n", "a".repeat(4000))?;
                }
            }
            Fault::Noise => {
                stream.write_all(b"220 mail.example.test ESMTP ready\r\n")?;
                stream.flush()?;
            }
        }
        Ok(())
    }

    /// Sends one byte every tenth of a second, which resets a timeout that only detects silence.
    fn drip(&self, stream: &mut dyn Stream, bytes: &[u8]) -> io::Result<()> {
        for byte in bytes {
            if self.stopped.load(Ordering::Relaxed) {
                break;
            }
            stream.write_all(&[*byte])?;
            stream.flush()?;
            self.pause(Duration::from_millis(100));
        }
        Ok(())
    }

    /// Sleeps, unless the server has stopped.
    fn pause(&self, time: Duration) {
        let until = Instant::now() + time;
        while !self.stopped.load(Ordering::Relaxed) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            thread::sleep(left.min(Duration::from_millis(50)));
        }
    }
}

impl World {
    fn react(&mut self, request: &Request) -> Reaction {
        if let Some(reaction) = &self.always {
            return reaction.clone();
        }
        let path = request.path.split('?').next().unwrap_or_default();
        if let Some(reaction) = self.next.get_mut(path).and_then(VecDeque::pop_front) {
            return reaction;
        }
        if let (true, Some(gate)) = (path.starts_with("/api/"), &self.gate) {
            let id = request.header("cf-access-client-id") == Some(&gate.id);
            let secret = request.header("cf-access-client-secret") == Some(&gate.secret);
            if !(id && secret) {
                return gate.refusal.clone().into();
            }
        }
        if let Some(refusal) = refused_headers(path, request) {
            return refusal.into();
        }
        let credential = request.credential().unwrap_or_default();
        let key = |path: &str| (path.to_string(), credential.clone());
        if let Some(reaction) = self.reactions.get(&key(path)).or_else(|| self.reactions.get(&key(""))) {
            return reaction.clone();
        }
        if self.known.contains(&credential) {
            return World::acceptance(request).into();
        }
        self.rejection(path, &credential, request).into()
    }

    /// A provider's answer to a credential that it accepts.
    fn acceptance(request: &Request) -> Answer {
        let path = request.path.split('?').next().unwrap_or_default();
        let credential = request.credential().unwrap_or_default();
        match path {
            "/slack/api/auth.test" => Answer::json(
                200,
                r#"{"ok":true,"url":"https://example.slack.com/","team":"Example","user":"raxxbot","team_id":"T0000000000","user_id":"U0000000000","bot_id":"B0000000000","is_enterprise_install":false}"#,
            ),
            "/slack/api/chat.postMessage" => slack_message(request),
            // The endpoint for user tokens rejects account tokens, even good ones.
            "/client/v4/user/tokens/verify" if credential.starts_with("cfat_") => {
                cloudflare_error(401, 1000, "Invalid API Token")
            }
            _ if path.starts_with("/client/v4/") && path.ends_with("/tokens/verify") => Answer::json(
                200,
                r#"{"result":{"id":"00000000000000000000000000000001","status":"active"},"success":true,"errors":[],"messages":[{"code":10000,"message":"This API Token is valid and active","type":null}]}"#,
            ),
            "/account" => Answer::json(
                200,
                r#"{"allow_tracking":true,"beta":false,"created_at":"2020-01-01T12:00:00Z","delinquent_at":null,"email":"ops@example.test","federated":false,"id":"01234567-89ab-cdef-0123-456789abcdef","identity_provider":null,"last_login":"2026-01-01T12:00:00Z","name":"Made Up","sms_number":null,"suspended_at":null,"two_factor_authentication":true,"updated_at":"2026-01-01T12:00:00Z","verified":true}"#,
            ),
            // An App's token is good but has no user.
            "/user" if credential.starts_with("ghs_") => github_error(
                403,
                "Resource not accessible by integration",
                "https://docs.github.com/rest/users/users#get-the-authenticated-user",
            ),
            "/user" => Answer::json(
                200,
                r#"{"login":"octo-op","id":1,"type":"User","user_view_type":"private","name":"Made Up"}"#,
            ),
            "/installation/repositories" if credential.starts_with("ghs_") => {
                Answer::json(200, r#"{"total_count":1,"repositories":[{"id":1,"full_name":"example/infra"}]}"#)
            }
            "/installation/repositories" => github_error(
                403,
                "Resource not accessible by personal access token",
                "https://docs.github.com/rest/apps/installations#list-repositories-accessible-to-the-app-installation",
            ),
            "/rate_limit" => Answer::json(
                200,
                r#"{"resources":{"core":{"limit":5000,"used":1,"remaining":4999,"reset":4102444800}}}"#,
            ),
            "/api/v1/auth/universal-auth/login" => Answer::json(
                200,
                r#"{"accessToken":"eyJhbGciOiJIUzI1NiJ9.eyJtYWRlIjoidXAifQ.bWFkZS11cC1hY2Nlc3MtdG9rZW4","expiresIn":2592000,"accessTokenMaxTTL":2592000,"tokenType":"Bearer"}"#,
            ),
            "/api/v1/identities/details" => Answer::json(
                200,
                r#"{"identityDetails":{"organization":{"id":"01234567-89ab-cdef-0123-456789abcdef","name":"Example","slug":"example"}}}"#,
            ),
            _ => not_found(path),
        }
    }

    /// A provider's answer to a credential that it does not accept.
    fn rejection(&mut self, path: &str, credential: &str, request: &Request) -> Answer {
        if path.starts_with("/client/v4/") && path.ends_with("/tokens/verify") {
            let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
            // Cloudflare reports a malformed token as a bad header, not as a bad token.
            if credential.len() < 40 || !credential.bytes().all(plain) {
                return Answer::json(
                    400,
                    r#"{"success":false,"errors":[{"code":6003,"message":"Invalid request headers","error_chain":[{"code":6111,"message":"Invalid format for Authorization header"}]}],"messages":[],"result":null}"#,
                );
            }
            return cloudflare_error(401, 1000, "Invalid API Token");
        }
        match path {
            "/account" => Answer::json(401, r#"{"id":"unauthorized","message":"Invalid credentials provided."}"#),
            "/user" | "/installation/repositories" | "/rate_limit" => {
                github_error(401, "Bad credentials", "https://docs.github.com/rest")
            }
            "/api/v1/auth/universal-auth/login" => self.failed_login(request),
            _ if path.starts_with("/slack/api/") => slack_error("invalid_auth"),
            _ if path.starts_with("/services/") => self.webhook(path, request),
            "/api/v1/identities/details" => {
                infisical_error(403, "TokenError", "Your token has expired. Please re-authenticate.")
            }
            _ => not_found(path),
        }
    }

    /// An incoming webhook, whose path is its secret.
    fn webhook(&self, path: &str, request: &Request) -> Answer {
        let word = |status, word: &str| Answer::foreign(status, "text/html", word);
        if !self.known.iter().any(|known| known == path) {
            return word(404, "no_service");
        }
        let message: serde_json::Value = serde_json::from_slice(&request.body).unwrap_or_default();
        match slack_refusal(&message) {
            Some("no_text") => word(400, "no_text"),
            Some(_) => word(400, "invalid_payload"),
            None => word(200, "ok"),
        }
    }

    /// Three failures within thirty seconds lock the identity for all clients.
    fn failed_login(&mut self, request: &Request) -> Answer {
        let body: serde_json::Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let id = body["clientId"].as_str().unwrap_or_default().to_string();
        let failures = self.failures.entry(id).or_default();
        failures.retain(|at| at.elapsed() < Duration::from_secs(30));
        if failures.len() >= 3 {
            let words = "This identity auth method is temporarily locked, please try again later";
            return infisical_error(401, "UnauthorizedError", words);
        }
        failures.push(Instant::now());
        infisical_error(401, "UnauthorizedError", "Invalid credentials")
    }
}

/// The answer to a request whose headers the provider refuses before it looks at the credential.
fn refused_headers(path: &str, request: &Request) -> Option<Answer> {
    let bare = request.header("authorization").is_none();
    if path.starts_with("/client/v4/") {
        return bare.then(|| cloudflare_error(400, 1001, "Missing \"Authorization\" header"));
    }
    match path {
        "/account" => {
            if request.header("accept") != Some("application/vnd.heroku+json; version=3") {
                let words = r#"{"id":"not_acceptable","message":"Set Accept: application/vnd.heroku+json; version=3"}"#;
                return Some(Answer::json(406, words));
            }
            bare.then(|| Answer::json(401, r#"{"id":"unauthorized","message":"Invalid credentials provided."}"#))
        }
        "/user" | "/installation/repositories" | "/rate_limit" => {
            if request.header("user-agent").is_none_or(str::is_empty) {
                let words =
                    "Request forbidden by administrative rules. Please make sure your request has a User-Agent header";
                return Some(Answer::foreign(403, "text/plain; charset=utf-8", words));
            }
            if !matches!(request.header("x-github-api-version"), None | Some("2022-11-28" | "2026-03-10")) {
                let words = "The API version in the X-GitHub-Api-Version header is not supported.";
                return Some(github_error(400, words, "https://docs.github.com/rest/about-the-rest-api/api-versions"));
            }
            if !matches!(
                request.header("accept"),
                None | Some("application/vnd.github+json" | "application/json" | "*/*")
            ) {
                let words = "Must accept 'application/json'";
                return Some(github_error(415, words, "https://docs.github.com/rest"));
            }
            let page = "https://docs.github.com/rest/users/users#get-the-authenticated-user";
            bare.then(|| github_error(401, "Requires authentication", page))
        }
        "/api/v1/auth/universal-auth/login" => {
            if request.method != "POST" {
                return Some(infisical_error(404, "NotFound", "Route not found"));
            }
            let body: serde_json::Value = serde_json::from_slice(&request.body).unwrap_or_default();
            let json = request.header("content-type").is_some_and(|t| t.starts_with("application/json"));
            for field in ["clientId", "clientSecret"] {
                if !json || !body[field].is_string() {
                    let issue = format!(r#"[{{"code":"invalid_type","path":["{field}"],"message":"Required"}}]"#);
                    let body = format!(
                        r#"{{"reqId":"req-made-up","statusCode":422,"message":{issue},"error":"ValidationFailure"}}"#
                    );
                    return Some(Answer::json(422, &body));
                }
            }
            None
        }
        _ if path.starts_with("/slack/api/") => bare.then(|| slack_error("not_authed")),
        "/api/v1/identities/details" => bare.then(|| infisical_error(401, "UnauthorizedError", "Token missing")),
        _ => None,
    }
}

/// Slack's errors have status 200 and a code in the body.
pub fn slack_error(code: &str) -> Answer {
    Answer::json(200, &serde_json::json!({"ok": false, "error": code}).to_string())
}

/// Slack's answer to a posted message.
fn slack_message(request: &Request) -> Answer {
    if request.header("content-type") != Some("application/json; charset=utf-8") {
        return slack_error("invalid_post_type");
    }
    let Ok(message) = serde_json::from_slice::<serde_json::Value>(&request.body) else {
        return slack_error("invalid_json");
    };
    let Some(channel) = message["channel"].as_str() else { return slack_error("channel_not_found") };
    match slack_refusal(&message) {
        Some(code) => slack_error(code),
        None => {
            let body = serde_json::json!({"ok": true, "channel": channel, "ts": "1503435956.000247", "message": {}});
            Answer::json(200, &body.to_string())
        }
    }
}

/// The error code for a message that Slack would refuse.
fn slack_refusal(message: &serde_json::Value) -> Option<&'static str> {
    let length = |value: &serde_json::Value| value.as_str().map(|text| text.chars().count());
    let Some(text) = length(&message["text"]).filter(|length| *length > 0) else { return Some("no_text") };
    if text > 40_000 {
        return Some("msg_too_long");
    }
    let blocks = message.get("blocks")?;
    let Some(list) = blocks.as_array().filter(|list| list.len() <= 50) else { return Some("invalid_blocks") };
    let good = |block: &serde_json::Value| match block["type"].as_str() {
        Some("header") => length(&block["text"]["text"]).is_some_and(|length| (1..=150).contains(&length)),
        Some("section") => length(&block["text"]["text"]).is_some_and(|length| (1..=3_000).contains(&length)),
        Some("context") => block["elements"].as_array().is_some_and(|all| (1..=10).contains(&all.len())),
        _ => false,
    };
    if !list.iter().all(good) {
        return Some("invalid_blocks");
    }
    (blocks.to_string().chars().count() > 13_200).then_some("msg_blocks_too_long")
}

fn cloudflare_error(status: u16, code: u32, message: &str) -> Answer {
    let error = serde_json::json!({"code": code, "message": message});
    let body = serde_json::json!({"success": false, "errors": [error], "messages": [], "result": null});
    Answer::json(status, &body.to_string())
}

fn github_error(status: u16, message: &str, page: &str) -> Answer {
    let body = serde_json::json!({"message": message, "documentation_url": page, "status": status.to_string()});
    Answer::json(status, &body.to_string())
}

fn infisical_error(status: u16, error: &str, message: &str) -> Answer {
    let body = serde_json::json!({"reqId": "req-made-up", "statusCode": status, "message": message, "error": error});
    Answer::json(status, &body.to_string())
}

/// Each API's answer for an unknown path.
fn not_found(path: &str) -> Answer {
    if path.starts_with("/client/v4/") {
        return cloudflare_error(
            400,
            7003,
            "Could not route to the requested path, perhaps your object identifier is invalid?",
        );
    }
    if path.starts_with("/api/") {
        return infisical_error(404, "NotFound", "Route not found");
    }
    github_error(404, "Not Found", "https://docs.github.com/rest")
}

/// The headers of all answers of a provider.
fn usual_headers(path: &str) -> &'static [(&'static str, &'static str)] {
    if path.starts_with("/client/v4/") {
        return &[
            ("Server", "cloudflare"),
            ("CF-RAY", "8f00ba4d0f00ba42-FRA"),
            ("Ratelimit", "\"default\";r=50;t=30"),
            ("Ratelimit-Policy", "\"burst\";q=100;w=60"),
        ];
    }
    match path {
        "/account" => &[("RateLimit-Remaining", "4499"), ("Request-Id", "01234567-89ab-cdef-0123-456789abcdef")],
        "/user" | "/installation/repositories" | "/rate_limit" => &[
            ("Server", "github.com"),
            ("X-GitHub-Request-Id", "0000:000000:0000000:0000000:00000000"),
            ("X-GitHub-Api-Version-Selected", "2022-11-28"),
            ("X-RateLimit-Limit", "5000"),
            ("X-RateLimit-Remaining", "4999"),
            ("X-RateLimit-Reset", "4102444800"),
        ],
        _ => &[],
    }
}

/// An answer as bytes.
fn wire(request: &Request, answer: &Answer) -> Vec<u8> {
    let path = request.path.split('?').next().unwrap_or_default();
    let has = |name: &str| answer.headers.iter().any(|(n, _)| n.eq_ignore_ascii_case(name));
    let mut head = format!("HTTP/1.1 {} {}\r\nConnection: close\r\n", answer.status, reason(answer.status));
    if !has("Date") {
        let now = jiff::Timestamp::now().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        head += &format!("Date: {now}\r\n");
    }
    if !has("Content-Length") {
        head += &format!("Content-Length: {}\r\n", answer.body.len());
    }
    let usual = if answer.from_provider { usual_headers(path) } else { &[] };
    for (name, value) in usual.iter().filter(|(name, _)| !has(name)) {
        head += &format!("{name}: {value}\r\n");
    }
    for (name, value) in &answer.headers {
        head += &format!("{name}: {value}\r\n");
    }
    [head.as_bytes(), b"\r\n", &answer.body].concat()
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        204 => "No Content",
        302 => "Found",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        406 => "Not Acceptable",
        410 => "Gone",
        422 => "Unprocessable Content",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ => "Something",
    }
}

/// Reads a request. On a connection without TLS the data is only peeked at, so that it can be left unread. Returns how many
/// bytes are still unread.
fn read_request(stream: &mut dyn Stream, raw: &TcpStream, bare: bool) -> io::Result<(Request, usize)> {
    let mut bytes = Vec::new();
    let mut chunk = vec![0; 64 * 1024];
    loop {
        let count = if bare { raw.peek(&mut chunk)? } else { stream.read(&mut chunk)? };
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if bare {
            bytes.clear();
        }
        bytes.extend_from_slice(&chunk[..count]);
        if let Some((request, length)) = parse(&bytes) {
            return Ok((request, if bare { length } else { 0 }));
        }
        if bare {
            // The rest is on its way, but peeking again returns at once.
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// The parsed request and its length, if these bytes are complete.
fn parse(bytes: &[u8]) -> Option<(Request, usize)> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let text = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = text.split("\r\n");
    let mut first = lines.next().unwrap_or_default().split(' ');
    let mut request = Request {
        method: first.next().unwrap_or_default().into(),
        path: first.next().unwrap_or_default().into(),
        ..Request::default()
    };
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        request.headers.push((name.into(), value.trim().into()));
    }
    let length = request.header("content-length").and_then(|l| l.parse().ok()).unwrap_or(0);
    request.body = bytes.get(end + 4..end + 4 + length)?.to_vec();
    Some((request, end + 4 + length))
}
