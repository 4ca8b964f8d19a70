//! Finding the session bus, and connecting to it so that a hostile peer can neither block raxx nor fill its memory.

use std::env;
use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::BoxFuture;
use tokio::io::AsyncReadExt as _;
use tokio::net::UnixStream;
use tokio::net::unix::OwnedReadHalf;
use zbus::connection::socket::{ReadHalf, Split};

use super::session::failure;
use crate::store::StoreError;
use crate::text::plain;

const ADDRESS: &str = "DBUS_SESSION_BUS_ADDRESS";

/// The limit for data read until the bus has authenticated this process: a few lines and one short message.
const LOGIN_LIMIT: usize = 16 * 1024;

/// The limit for all data read. A thousand values are far below it, and it stops a bus that never stops sending.
const LIMIT: usize = 16 * 1024 * 1024;

/// The session bus, as D-Bus clients find it.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Bus {
    /// The address, for messages.
    pub(super) address: String,
    socket: PathBuf,
}

/// Where to look for the bus, from the environment.
#[derive(Debug, PartialEq)]
struct Places {
    /// The addresses that the environment names.
    named: Vec<Bus>,
    /// The default buses of the user, in case the environment names none or one that is gone.
    own: Vec<Bus>,
    /// The error if there is no bus at all.
    none: StoreError,
}

impl Places {
    fn from_environment(address: Option<OsString>, runtime: Option<OsString>, uid: u32) -> Self {
        let runtime = runtime.map(PathBuf::from).filter(|directory| directory.is_absolute());
        let at = |directory: &Path| Bus::at(directory.join("bus"));
        let own = runtime.iter().map(|directory| at(directory)).chain([at(Path::new(&format!("/run/user/{uid}")))]);
        let mut places = Places { named: Vec::new(), own: own.collect(), none: no_bus("") };
        let Some(address) = address else { return places };
        let Ok(address) = address.into_string() else {
            places.none = StoreError::Unreachable(format!("{ADDRESS} is not UTF-8"));
            return places;
        };
        if address.is_empty() {
            places.none = no_bus(&format!(": {ADDRESS} is empty"));
            return places;
        }
        places.none = StoreError::Unreachable(format!("{ADDRESS} is not an address that raxx can use"));
        for one in address.split(';') {
            let (kind, rest) = one.split_once(':').unwrap_or((one, ""));
            match kind {
                "disabled" => {
                    places.own.clear();
                    places.none = no_bus(&format!(": {ADDRESS} is {kind}:"));
                    return places;
                }
                // libdbus resolves it itself, after trying the user's default bus.
                "autolaunch" => places.none = no_bus(&format!(": {ADDRESS} is {kind}:")),
                "unix" => places
                    .named
                    .extend(socket(rest, runtime.as_deref()).map(|socket| Bus { address: plain(one), socket })),
                _ => {}
            }
        }
        places
    }
}

/// The socket named by the options of a `unix:` address.
fn socket(options: &str, runtime: Option<&Path>) -> Option<PathBuf> {
    options.split(',').find_map(|option| match option.split_once('=')? {
        ("path", path) => Some(path_of(unescaped(path))).filter(|path| path.is_absolute()),
        ("abstract", name) => Some(path_of([b"\0", &*unescaped(name)].concat())),
        ("runtime", "yes") => runtime.map(|directory| directory.join("bus")),
        _ => None,
    })
}

fn path_of(bytes: Vec<u8>) -> PathBuf {
    OsString::from_vec(bytes).into()
}

fn no_bus(why: &str) -> StoreError {
    StoreError::Unavailable(format!("no D-Bus session bus{why}"))
}

impl Bus {
    fn at(socket: PathBuf) -> Self {
        Bus { address: plain(&socket.to_string_lossy()), socket }
    }

    /// Whether the socket belongs to this user: a socket that others put there is not this user's bus.
    fn is_own(&self, uid: u32) -> bool {
        std::fs::metadata(&self.socket).is_ok_and(|found| found.file_type().is_socket() && found.uid() == uid)
    }

    /// Authenticates with the bus.
    async fn authenticate(&self, stream: UnixStream) -> zbus::Result<zbus::Connection> {
        let (half, write) = stream.into_split();
        let left = Arc::new(AtomicUsize::new(LOGIN_LIMIT));
        let read = Bounded { half, left: left.clone() };
        let split: Split<Box<dyn ReadHalf>, Box<dyn zbus::connection::socket::WriteHalf>> =
            Split::new(Box::new(read), Box::new(write));
        let connection = zbus::connection::Builder::socket(split).build().await?;
        left.store(LIMIT, Ordering::Relaxed);
        Ok(connection)
    }

    pub(super) fn broken(&self, error: &io::Error) -> StoreError {
        let what = match error.kind() {
            io::ErrorKind::NotFound => "does not exist".into(),
            io::ErrorKind::ConnectionRefused => "refused the connection".into(),
            io::ErrorKind::PermissionDenied => {
                "denied access: it belongs to another user, or a sandbox forbids it".into()
            }
            io::ErrorKind::WouldBlock => "accepts no more connections".into(),
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof => {
                "closed the connection".into()
            }
            io::ErrorKind::FileTooLarge => "sent too much data".into(),
            _ => format!("does not work: {}", plain(&error.to_string())),
        };
        let why = format!("the D-Bus session bus at {} {what}", self.address);
        if is_gone(error) { StoreError::Unreachable(why) } else { StoreError::Broken(why) }
    }
}

/// Whether no process listens there: an address inherited from another machine, another user or an earlier day.
fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused | io::ErrorKind::NotADirectory)
}

/// Connects to the first bus that accepts a connection.
pub(super) async fn connect() -> Result<(Bus, zbus::Connection), StoreError> {
    let uid = rustix::process::geteuid().as_raw();
    let places = Places::from_environment(env::var_os(ADDRESS), env::var_os("XDG_RUNTIME_DIR"), uid);
    let (bus, stream) = reach(places, uid).await?;
    match bus.authenticate(stream).await {
        Ok(connection) => Ok((bus, connection)),
        Err(error) => Err(failure(&bus, &error)),
    }
}

async fn reach(places: Places, uid: u32) -> Result<(Bus, UnixStream), StoreError> {
    let mut first = None;
    for bus in places.named {
        match UnixStream::connect(&bus.socket).await {
            Ok(stream) => return Ok((bus, stream)),
            Err(error) => {
                let why = bus.broken(&error);
                // A bus that exists but is full, for example, is the right one.
                if !is_gone(&error) && error.kind() != io::ErrorKind::PermissionDenied {
                    return Err(why);
                }
                first.get_or_insert(why);
            }
        }
    }
    for bus in places.own {
        match UnixStream::connect(&bus.socket).await {
            Ok(stream) if bus.is_own(uid) => return Ok((bus, stream)),
            // Its absence is not an error, because nothing in the environment names it.
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                first.get_or_insert(bus.broken(&error));
            }
            _ => {}
        }
    }
    Err(first.unwrap_or(places.none))
}

/// The reading half of a connection, which fails once it has received more than the limit. It yields to the other
/// tasks on its thread, however fast the peer sends.
#[derive(Debug)]
struct Bounded {
    half: OwnedReadHalf,
    left: Arc<AtomicUsize>,
}

impl ReadHalf for Bounded {
    fn recvmsg<'a, 'b, 'f>(&'a mut self, buffer: &'b mut [u8]) -> BoxFuture<'f, io::Result<(usize, Vec<OwnedFd>)>>
    where
        'a: 'f,
        'b: 'f,
        Self: 'f,
    {
        Box::pin(async move {
            // The buffer is as long as the announced message.
            let left = self.left.load(Ordering::Relaxed);
            if buffer.len() > left {
                return Err(io::ErrorKind::FileTooLarge.into());
            }
            let read = self.half.read(buffer).await?;
            if read == 0 {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            self.left.store(left - read, Ordering::Relaxed);
            Ok((read, Vec::new()))
        })
    }
}

/// `%41` → `A`, as in D-Bus addresses. Invalid escapes are unchanged.
pub(super) fn unescaped(text: &str) -> Vec<u8> {
    let mut bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    while let [first, rest @ ..] = bytes {
        let byte = match rest {
            [high, low, ..] if *first == b'%' => hex(*high, *low),
            _ => None,
        };
        out.push(byte.unwrap_or(*first));
        bytes = if byte.is_some() { &rest[2..] } else { rest };
    }
    out
}

fn hex(high: u8, low: u8) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    fn places(address: Option<&str>, runtime: Option<&str>) -> Places {
        Places::from_environment(address.map(Into::into), runtime.map(Into::into), 1000)
    }

    fn sockets(buses: &[Bus]) -> Vec<String> {
        buses.iter().map(|bus| bus.socket.to_string_lossy().into_owned()).collect()
    }

    fn named(address: &str) -> Vec<String> {
        sockets(&places(Some(address), Some("/run/mine")).named)
    }

    #[test]
    fn the_bus_is_found_where_d_bus_clients_look() {
        let own = |runtime| sockets(&places(None, runtime).own);
        assert_eq!(own(None), ["/run/user/1000/bus"]);
        assert_eq!(own(Some("/run/elsewhere")), ["/run/elsewhere/bus", "/run/user/1000/bus"]);
        // The current directory is never searched.
        assert_eq!(own(Some("")), ["/run/user/1000/bus"]);
        assert_eq!(own(Some("run")), ["/run/user/1000/bus"]);
        assert_eq!(named("unix:path=bus"), [""; 0]);

        assert_eq!(named("unix:path=/tmp/a,guid=00"), ["/tmp/a"]);
        assert_eq!(named("unix:guid=00,path=/tmp/a%20b%2C%zz"), ["/tmp/a b,%zz"]);
        assert_eq!(named("unix:abstract=/tmp/dbus-x"), ["\0/tmp/dbus-x"]);
        assert_eq!(named("unix:runtime=yes"), ["/run/mine/bus"]);
        assert_eq!(named("tcp:host=127.0.0.1,port=1;unix:path=/a;unix:path=/b"), ["/a", "/b"]);
        for none in ["tcp:host=127.0.0.1,port=1", "unixexec:path=/bin/sh", "nonsense"] {
            let places = places(Some(none), None);
            assert_eq!((places.named.len(), places.own.len()), (0, 1), "{none}");
            let StoreError::Unreachable(why) = places.none else { panic!("{none}") };
            insta::assert_snapshot!("an_address_that_is_none", why);
        }
    }

    #[test]
    fn a_disabled_bus_is_not_an_error() {
        let mut said = String::new();
        for (address, own) in [("", 1), ("disabled:", 0), ("autolaunch:", 1)] {
            let places = places(Some(address), None);
            assert_eq!((places.named.len(), places.own.len()), (0, own), "{address}");
            let StoreError::Unavailable(why) = places.none else { panic!("{address}") };
            said += &format!("{address:?} => {why}\n");
        }
        insta::assert_snapshot!("no_bus", said);
    }

    #[test]
    fn control_characters_in_an_address_are_removed() {
        let places = places(Some("unix:path=/a\u{1b}[31m\u{202e}\n"), None);
        assert!(!places.named[0].address.contains(['\u{1b}', '\u{202e}', '\n']), "{places:?}");
    }

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
    }

    fn uid() -> u32 {
        rustix::process::geteuid().as_raw()
    }

    /// The socket that is connected to, with this address and this runtime directory.
    fn reached(address: Option<&str>, runtime_directory: &Path) -> Result<PathBuf, StoreError> {
        let mut places = places(address, Some(&runtime_directory.to_string_lossy()));
        // The bus of the user who runs the test must not be used.
        places.own.truncate(1);
        runtime().block_on(reach(places, uid())).map(|(bus, _)| bus.socket)
    }

    #[test]
    fn each_dead_bus_has_its_own_message() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("bus");
        let given = directory.path().join("given");
        let address = format!("unix:path={}", given.display());
        let mut all = String::new();
        let mut is_gone = |what: &str, address: Option<&str>| {
            let Err(StoreError::Unreachable(why)) = reached(address, directory.path()) else { panic!("{what}") };
            all += &format!("{what} => {}\n", why.replace(&directory.path().display().to_string(), "[DIR]"));
        };

        assert_eq!(reached(None, directory.path()), Err(no_bus("")));
        is_gone("no socket", Some(&address));

        let listener = UnixListener::bind(&given).unwrap();
        assert_eq!(reached(Some(&address), directory.path()), Ok(given.clone()));
        drop(listener); // the socket file remains
        is_gone("no listener", Some(&address));
        drop(UnixListener::bind(&path).unwrap());
        is_gone("no listener at the default path", None);
        insta::assert_snapshot!("dead_buses", all);
    }

    #[test]
    fn the_default_bus_is_used_if_the_named_one_is_gone() {
        let directory = tempfile::tempdir().unwrap();
        let own = directory.path().join("bus");
        let _listener = UnixListener::bind(&own).unwrap();
        let gone = format!("unix:path={}", directory.path().join("gone").display());
        for address in [&*gone, "", "nonsense", "autolaunch:"] {
            assert_eq!(reached(Some(address), directory.path()), Ok(own.clone()), "{address}");
        }
        assert!(reached(Some("disabled:"), directory.path()).is_err());
        // Another user's socket is never used as the default bus.
        let places = places(Some(&gone), Some(&directory.path().to_string_lossy()));
        let others = Places { own: places.own.into_iter().take(1).collect(), ..places };
        assert!(matches!(runtime().block_on(reach(others, uid() + 1)), Err(StoreError::Unreachable(_))));
    }

    #[test]
    fn denied_access_is_not_reported_as_absence() {
        let bus = Bus::at("/run/user/1/bus".into());
        for code in [1, 13] {
            // EPERM and EACCES
            let StoreError::Broken(why) = bus.broken(&io::Error::from_raw_os_error(code)) else { panic!("{code}") };
            insta::assert_snapshot!("denied_access", why);
        }
    }

    #[test]
    fn a_bus_with_a_full_queue_is_reported_without_waiting() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("full");
        runtime().block_on(async {
            let socket = tokio::net::UnixSocket::new_stream().unwrap();
            socket.bind(&path).unwrap();
            let _listener = socket.listen(1).unwrap();
            let mut queued = Vec::new();
            let full = loop {
                match UnixStream::connect(&path).await {
                    Ok(stream) => queued.push(stream),
                    Err(error) => break error,
                }
            };
            assert_eq!(full.kind(), io::ErrorKind::WouldBlock);
            let address = format!("unix:path={}", path.display());
            let Err(StoreError::Broken(why)) = reach(places(Some(&address), None), uid()).await else { panic!() };
            let why = why.replace(&directory.path().display().to_string(), "[DIR]");
            insta::assert_snapshot!("a_full_queue", why);
        });
    }
}
