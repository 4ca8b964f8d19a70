//! Secret Services for tests: the real gnome-keyring on its own bus, and a stand-in that the test configures.

#![allow(dead_code)] // each test program uses its own part

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::Sandbox;

/// The login keyring's password.
pub const PASSWORD: &str = "ci-pw";

/// Fails if the program is missing: a skipped test would hide faults in the Secret Service code.
pub fn need(program: &str, package: &str) {
    let found = ["/usr/local/bin", "/usr/bin", "/bin"].iter().any(|dir| Path::new(dir).join(program).is_file());
    assert!(found, "this test needs the program {program}: install {package} (apt-get install {package})");
}

/// A program in the sandbox that can be left running.
pub fn std_command(sandbox: &Sandbox, program: &str) -> Command {
    let mut command = Command::new(program);
    command.env_clear().envs(sandbox.environment().iter().cloned()).current_dir(sandbox.home());
    command
}

/// Kills a child process, even a frozen one, and waits for it.
fn end(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}

/// A session bus that runs until this value is dropped.
pub struct Bus {
    session: Child,
}

impl Bus {
    /// A bus like a desktop's, which starts gnome-keyring on demand. The sandbox uses it from here on.
    pub fn start(sandbox: &mut Sandbox) -> Bus {
        Bus::running(sandbox, &[])
    }

    /// A bus without a Secret Service, which cannot start one either.
    pub fn bare(sandbox: &mut Sandbox) -> Bus {
        let config = sandbox.root().join("bus.conf");
        let listen = format!("<listen>unix:path={}</listen>", sandbox.root().join("bare-bus").display());
        let all = r#"<allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/>"#;
        let policy = format!(r#"<policy context="default">{all}</policy>"#);
        std::fs::write(&config, format!("<busconfig><type>session</type>{listen}{policy}</busconfig>")).unwrap();
        Bus::running(sandbox, &[&format!("--config-file={}", config.display())])
    }

    fn running(sandbox: &mut Sandbox, options: &[&str]) -> Bus {
        need("dbus-run-session", "dbus");
        let mut session = std_command(sandbox, "dbus-run-session");
        // It exits when its stdin closes, even if the test is killed.
        session.args(options).args(["--", "sh", "-c", r#"echo "$DBUS_SESSION_BUS_ADDRESS"; exec cat"#]);
        session.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut session = session.spawn().expect("dbus-run-session starts");
        let mut address = String::new();
        BufReader::new(session.stdout.take().unwrap()).read_line(&mut address).unwrap();
        assert!(address.contains("unix:"), "the session bus gave no address: {address:?}");
        sandbox.env("DBUS_SESSION_BUS_ADDRESS", address.trim());
        Bus { session }
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        drop(self.session.stdin.take());
        // SIGKILL would leave its bus running.
        let deadline = Instant::now() + Duration::from_secs(5);
        while Instant::now() < deadline {
            if !matches!(self.session.try_wait(), Ok(None)) {
                return;
            }
            thread::sleep(Duration::from_millis(5));
        }
        end(&mut self.session);
    }
}

/// The real gnome-keyring, with an unlocked login collection.
pub struct Keyring {
    daemon: Child,
    _bus: Bus,
}

impl Keyring {
    pub fn start(sandbox: &mut Sandbox) -> Keyring {
        Self::start_as(sandbox, Some(PASSWORD))
    }

    /// A keyring without a password, as on a machine with automatic login. After each start it is locked.
    pub fn start_without_password(sandbox: &mut Sandbox) -> Keyring {
        let directory = sandbox.home().join(".local/share/keyrings");
        fs::create_dir_all(&directory).unwrap();
        let keyring = "[keyring]\ndisplay-name=login\nctime=0\nmtime=0\nlock-on-idle=false\nlock-after=false\n";
        fs::write(directory.join("login.keyring"), keyring).unwrap();
        fs::write(directory.join("default"), "login").unwrap();
        Self::start_as(sandbox, None)
    }

    fn start_as(sandbox: &mut Sandbox, password: Option<&str>) -> Keyring {
        need("gnome-keyring-daemon", "gnome-keyring");
        need("secret-tool", "libsecret-tools");
        need("dbus-send", "dbus");
        let bus = Bus::start(sandbox);
        // In the foreground, and waited for: otherwise the bus starts a second daemon, which is locked.
        let mut daemon = std_command(sandbox, "gnome-keyring-daemon");
        daemon.args([if password.is_some() { "--unlock" } else { "--start" }, "--foreground", "--components=secrets"]);
        daemon.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut daemon = daemon.spawn().expect("gnome-keyring-daemon starts");
        daemon.stdin.take().unwrap().write_all(password.unwrap_or_default().as_bytes()).unwrap();
        let keyring = Keyring { daemon, _bus: bus };
        let deadline = Instant::now() + Duration::from_secs(20);
        let name = "string:org.freedesktop.secrets";
        while !call(sandbox, "org.freedesktop.DBus", "/org/freedesktop/DBus", "GetNameOwner", name) {
            assert!(Instant::now() < deadline, "gnome-keyring-daemon did not come up on the bus");
            thread::sleep(Duration::from_millis(20));
        }
        keyring
    }

    /// Stores a value like another client.
    pub fn store(&self, sandbox: &Sandbox, service: &str, account: &str, value: &str) {
        let arguments = ["store", "--label=test", "service", service, "account", account];
        sandbox.command("secret-tool").args(arguments).write_stdin(value).assert().success();
    }

    /// Locks the collection that contains all items.
    pub fn lock(&self, sandbox: &Sandbox) {
        let collection = "array:objpath:/org/freedesktop/secrets/collection/login";
        let locked =
            call(sandbox, "org.freedesktop.secrets", "/org/freedesktop/secrets", "Secret.Service.Lock", collection);
        assert!(locked, "gnome-keyring did not lock");
    }

    /// Stops the daemon: it keeps its name on the bus and does not answer.
    pub fn freeze(&self, sandbox: &Sandbox) {
        sandbox.command("kill").arg("-STOP").arg(self.daemon.id().to_string()).assert().success();
    }

    /// Resumes the daemon, which then processes the calls that arrived meanwhile.
    pub fn thaw(&self, sandbox: &Sandbox) {
        sandbox.command("kill").arg("-CONT").arg(self.daemon.id().to_string()).assert().success();
    }
}

impl Drop for Keyring {
    fn drop(&mut self) {
        end(&mut self.daemon);
    }
}

/// Calls `org.freedesktop.METHOD` on the bus and returns whether it succeeded.
fn call(sandbox: &Sandbox, to: &str, path: &str, method: &str, argument: &str) -> bool {
    let method =
        if to == "org.freedesktop.DBus" { format!("{to}.{method}") } else { format!("org.freedesktop.{method}") };
    let destination = format!("--dest={to}");
    let arguments = ["--session", "--print-reply", &destination, path, &method, argument];
    sandbox.command("dbus-send").args(arguments).output().unwrap().status.success()
}

/// How the stand-in treats a connection.
#[derive(Clone)]
pub enum Behavior {
    /// Accepts the connection and never answers.
    Silent,
    /// Closes the connection at once.
    HangsUp,
    /// Rejects every login.
    Rejects,
    /// Serves as a bus with a Secret Service.
    Serves(Service),
}

/// A Secret Service for tests.
#[derive(Clone, Default)]
pub struct Service {
    pub items: Vec<Stored>,
    /// A search for this service is never answered, like KeePassXC while it asks the user for permission.
    pub hangs_on: Option<&'static str>,
    /// Whether the collection with the items is locked.
    pub locked: bool,
    /// The error for reading a value; if empty, the call is never answered.
    pub refuses_with: Option<&'static str>,
    /// The error for a change; if empty, the call is never answered.
    pub refuses_changes_with: Option<&'static str>,
    /// A change needs a dialog, which the service offers.
    pub prompts: bool,
    /// There is no default collection, as before the first one is created.
    pub no_collection: bool,
    /// The first call on a connection is never answered.
    pub ignores_greetings: bool,
}

/// An item in the service.
#[derive(Clone)]
pub struct Stored {
    pub service: &'static str,
    pub value: &'static str,
    pub modified: u64,
}

/// What the stand-in has recorded.
#[derive(Default)]
struct Seen {
    connections: usize,
    logins: usize,
    calls: Vec<String>,
    changed: Vec<String>,
    searches: Vec<HashMap<String, String>>,
}

/// A session bus and a Secret Service in one, in a thread of the test.
pub struct StandIn {
    seen: Arc<Mutex<Seen>>,
}

impl StandIn {
    /// Starts it. The sandbox uses it from here on.
    pub fn start(sandbox: &mut Sandbox, behavior: Behavior) -> StandIn {
        let path = sandbox.root().join("stand-in");
        _ = std::fs::remove_file(&path); // from an earlier start
        let listener = UnixListener::bind(&path).unwrap();
        sandbox.env("DBUS_SESSION_BUS_ADDRESS", format!("unix:path={}", path.display()));
        let seen = Arc::new(Mutex::new(Seen::default()));
        let shared = seen.clone();
        thread::spawn(move || {
            let mut kept = Vec::new();
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                shared.lock().unwrap().connections += 1;
                match &behavior {
                    Behavior::Silent => kept.push(stream),
                    Behavior::HangsUp => drop(stream),
                    Behavior::Rejects => {
                        let mut stream = BufReader::new(stream);
                        let mut line = Vec::new();
                        let _ = stream.read_until(b'\n', &mut line);
                        let _ = stream.get_mut().write_all(b"REJECTED ANONYMOUS\r\n");
                    }
                    Behavior::Serves(service) => {
                        let (service, shared) = (service.clone(), shared.clone());
                        // An error means that the client closed the connection.
                        thread::spawn(move || converse(BufReader::new(stream), &service, &shared));
                    }
                }
            }
        });
        StandIn { seen }
    }

    /// How many connections were opened.
    pub fn connections(&self) -> usize {
        self.seen.lock().unwrap().connections
    }

    /// How many clients called `Hello` on the bus.
    pub fn logins(&self) -> usize {
        self.seen.lock().unwrap().logins
    }

    /// The methods that were called.
    pub fn calls(&self) -> Vec<String> {
        self.seen.lock().unwrap().calls.clone()
    }

    /// The changes and deletions, each with its path.
    pub fn changed(&self) -> Vec<String> {
        self.seen.lock().unwrap().changed.clone()
    }

    /// The attributes of each search.
    pub fn searches(&self) -> Vec<HashMap<String, String>> {
        self.seen.lock().unwrap().searches.clone()
    }
}

/// One connection: the text-based login, then messages, each answered at once or never.
fn converse(mut stream: BufReader<UnixStream>, service: &Service, seen: &Mutex<Seen>) -> std::io::Result<()> {
    stream.read_exact(&mut [0])?;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line)? == 0 {
            return Ok(());
        }
        match line.split_whitespace().next() {
            Some("AUTH") => stream.get_mut().write_all(b"OK 0123456789abcdef0123456789abcdef\r\n")?,
            Some("BEGIN") => break,
            _ => stream.get_mut().write_all(b"ERROR\r\n")?,
        }
    }
    seen.lock().unwrap().logins += 1;
    loop {
        let mut head = [0; 16];
        stream.read_exact(&mut head)?;
        assert_eq!(head[0], b'l', "little-endian messages only");
        let number = |at: usize| u32::from_le_bytes(head[at..at + 4].try_into().unwrap());
        let (body, serial, fields) = (number(4) as usize, number(8), number(12) as usize);
        let mut message = vec![0; fields.next_multiple_of(8) + body];
        stream.read_exact(&mut message)?;
        let (path, method) = addressee(&message[..fields]);
        let body = Reader { bytes: &message[fields.next_multiple_of(8)..], at: 0 };
        if let Some(answer) = answer(service, seen, &path, &method, body) {
            stream.get_mut().write_all(&answer.message(serial))?;
        }
    }
}

/// The answer to a call; `None` means no answer.
fn answer(service: &Service, seen: &Mutex<Seen>, path: &str, method: &str, mut body: Reader) -> Option<Answer> {
    let mut seen = seen.lock().unwrap();
    seen.calls.push(method.into());
    if ["SetSecret", "Delete"].contains(&method) {
        seen.changed.push(format!("{method} {path}"));
    }
    let mut out = Writer::default();
    let signature = match method {
        "Hello" => {
            out.string(":1.1");
            "s"
        }
        "ReadAlias" if service.ignores_greetings => return None,
        "OpenSession" => {
            out.variant("s").string("");
            out.string("/org/freedesktop/secrets/session/1");
            "vo"
        }
        "SearchItems" => {
            let attributes = body.dictionary();
            let wanted = attributes.get("service").cloned().unwrap_or_default();
            seen.searches.push(attributes);
            if service.hangs_on == Some(&wanted) {
                return None;
            }
            let items = service.items.iter().enumerate().filter(|(_, item)| item.service == wanted);
            let paths: Vec<_> = items.map(|(at, _)| format!("{COLLECTION}/{at}")).collect();
            for locked in [false, true] {
                let paths = paths.iter().filter(|_| service.locked == locked);
                out.array(4, |out| paths.for_each(|path| out.string(path)));
            }
            "aoao"
        }
        "GetSecret" => {
            if let Some(error) = service.refuses_with {
                return (!error.is_empty()).then(|| Answer { error: Some(error), signature: "", body: Vec::new() });
            }
            out.pad(8);
            out.string("/org/freedesktop/secrets/session/1");
            out.array(1, |_| {});
            out.array(1, |out| out.bytes.extend_from_slice(item(service, path).value.as_bytes()));
            out.string("text/plain");
            "(oayays)"
        }
        "ReadAlias" => {
            out.string(if service.no_collection { "/" } else { COLLECTION });
            "o"
        }
        "SetSecret" | "CreateItem" | "Delete" if service.refuses_changes_with.is_some() => {
            let error = service.refuses_changes_with.filter(|error| !error.is_empty())?;
            return Some(Answer { error: Some(error), signature: "", body: Vec::new() });
        }
        "CreateItem" => {
            out.string(&if service.prompts { "/".into() } else { format!("{COLLECTION}/new") });
            out.string(if service.prompts { PROMPT } else { "/" });
            "oo"
        }
        "Delete" => {
            out.string(if service.prompts { PROMPT } else { "/" });
            "o"
        }
        "Get" => match (body.string(), body.string()).1.as_str() {
            "Locked" => {
                out.variant("b").number(service.locked.into());
                "v"
            }
            "Modified" => {
                out.variant("t").pad(8);
                out.bytes.extend_from_slice(&item(service, path).modified.to_le_bytes());
                "v"
            }
            other => panic!("nobody should ask for the property {other}"),
        },
        _ => "",
    };
    Some(Answer { error: None, signature, body: out.bytes })
}

const COLLECTION: &str = "/org/freedesktop/secrets/collection/team";
const PROMPT: &str = "/org/freedesktop/secrets/prompt/1";

fn item<'a>(service: &'a Service, path: &str) -> &'a Stored {
    let at: usize = path.rsplit('/').next().unwrap().parse().unwrap();
    &service.items[at]
}

/// The path and the method of a call, from its header fields.
fn addressee(fields: &[u8]) -> (String, String) {
    let mut reader = Reader { bytes: fields, at: 0 };
    let (mut path, mut method) = (String::new(), String::new());
    while reader.at < fields.len() {
        reader.pad(8);
        let code = reader.byte();
        match (code, reader.signature().as_str()) {
            (1, "o") => path = reader.string(),
            (3, "s") => method = reader.string(),
            (_, "g") => drop(reader.signature()),
            (_, "u") => drop(reader.number()),
            _ => drop(reader.string()),
        }
    }
    (path, method)
}

struct Answer {
    error: Option<&'static str>,
    signature: &'static str,
    body: Vec<u8>,
}

impl Answer {
    fn message(&self, to: u32) -> Vec<u8> {
        let kind = if self.error.is_some() { 3 } else { 2 };
        let mut out = Writer { bytes: vec![b'l', kind, 1, 1] };
        out.number(self.body.len() as u32);
        out.number(1);
        out.array(8, |out| {
            out.field(5, "u").number(to);
            out.field(7, "s").string(":1.2");
            if let Some(error) = self.error {
                out.field(4, "s").string(error);
            }
            if !self.signature.is_empty() {
                out.field(8, "g").signature(self.signature);
            }
        });
        out.pad(8);
        out.bytes.extend_from_slice(&self.body);
        out.bytes
    }
}

/// Writes D-Bus's binary format, in which every value is aligned to its size.
#[derive(Default)]
struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    fn pad(&mut self, to: usize) {
        self.bytes.resize(self.bytes.len().next_multiple_of(to), 0);
    }

    fn number(&mut self, number: u32) {
        self.pad(4);
        self.bytes.extend_from_slice(&number.to_le_bytes());
    }

    fn string(&mut self, text: &str) {
        self.number(text.len() as u32);
        self.bytes.extend_from_slice(text.as_bytes());
        self.bytes.push(0);
    }

    fn signature(&mut self, signature: &str) {
        self.bytes.push(signature.len() as u8);
        self.bytes.extend_from_slice(signature.as_bytes());
        self.bytes.push(0);
    }

    fn variant(&mut self, signature: &str) -> &mut Writer {
        self.signature(signature);
        self
    }

    fn field(&mut self, code: u8, signature: &str) -> &mut Writer {
        self.pad(8);
        self.bytes.push(code);
        self.variant(signature)
    }

    /// The length does not include the padding before the first element.
    fn array(&mut self, alignment: usize, elements: impl FnOnce(&mut Writer)) {
        self.number(0);
        let length_at = self.bytes.len() - 4;
        self.pad(alignment);
        let start = self.bytes.len();
        elements(self);
        let length = (self.bytes.len() - start) as u32;
        self.bytes[length_at..length_at + 4].copy_from_slice(&length.to_le_bytes());
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn pad(&mut self, to: usize) {
        self.at = self.at.next_multiple_of(to);
    }

    fn byte(&mut self) -> u8 {
        self.at += 1;
        self.bytes[self.at - 1]
    }

    fn number(&mut self) -> u32 {
        self.pad(4);
        self.at += 4;
        u32::from_le_bytes(self.bytes[self.at - 4..self.at].try_into().unwrap())
    }

    fn text(&mut self, length: usize) -> String {
        let text = String::from_utf8(self.bytes[self.at..self.at + length].to_vec()).unwrap();
        self.at += length + 1;
        text
    }

    fn string(&mut self) -> String {
        let length = self.number() as usize;
        self.text(length)
    }

    fn signature(&mut self) -> String {
        let length = self.byte().into();
        self.text(length)
    }

    fn dictionary(&mut self) -> HashMap<String, String> {
        let length = self.number() as usize;
        self.pad(8);
        let end = self.at + length;
        let mut all = HashMap::new();
        while self.at < end {
            self.pad(8);
            all.insert(self.string(), self.string());
        }
        all
    }
}
