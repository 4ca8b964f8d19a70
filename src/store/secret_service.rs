//! The Linux Secret Service (gnome-keyring, KWallet, KeePassXC) over D-Bus.
//!
//! It only searches and reads: nothing here unlocks, creates or prompts. One connection serves all items. The session is
//! not encrypted: whoever may read this user's bus may ask for the secret itself, and the key exchange would cost each
//! terminal twice the rest of the lookup.

use std::cell::RefCell;
use std::collections::HashMap;
use std::env;
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{LocalBoxFuture, join_all};
use secret_service::{EncryptionType, Error};
use zeroize::Zeroizing;

use super::{Item, Lookup, Store, quoted};

const ADDRESS: &str = "DBUS_SESSION_BUS_ADDRESS";

/// The Secret Service as a store.
pub(super) struct SecretService;

impl Store for SecretService {
    fn name(&self) -> &'static str {
        "Secret Service"
    }

    fn unlock_hint(&self, item: &Item) -> String {
        let set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
        unlock_hint(item, set("WAYLAND_DISPLAY") || set("DISPLAY"))
    }

    fn store_command(&self, name: &str, item: &Item) -> Option<String> {
        let (service, account) = (quoted(&item.service), quoted(&item.account));
        Some(format!("secret-tool store --label={name} service {service} account {account}"))
    }

    fn read<'a>(&'a self, items: &'a [Item], limit: Duration) -> LocalBoxFuture<'a, Vec<Lookup>> {
        Box::pin(async move {
            let answers = RefCell::new(Vec::from_iter(items.iter().map(|_| None)));
            // What is in `answers` when the time is over is kept.
            if let Ok(Err(failure)) = tokio::time::timeout(limit, read_all(items, &answers)).await {
                answers.borrow_mut().fill_with(|| Some(failure.lookup()));
            }
            answers.into_inner().into_iter().map(|answer| answer.unwrap_or(Lookup::TimedOut)).collect()
        })
    }
}

/// Why no item can be read.
#[derive(Debug, PartialEq)]
enum Failure {
    Unavailable(String),
    Broken(String),
}

impl Failure {
    fn lookup(&self) -> Lookup {
        match self {
            Self::Unavailable(why) => Lookup::Unavailable(why.clone()),
            Self::Broken(why) => Lookup::Broken(why.clone()),
        }
    }
}

async fn read_all(items: &[Item], answers: &RefCell<Vec<Option<Lookup>>>) -> Result<(), Failure> {
    let bus = Bus::from_environment(env::var_os(ADDRESS), env::var_os("XDG_RUNTIME_DIR"), uid())?;
    bus.try_connect().await?;
    let service = secret_service::SecretService::connect(EncryptionType::Plain).await;
    let service = service.map_err(|error| failure(&bus, &error))?;
    join_all(items.iter().enumerate().map(|(at, item)| {
        let (service, bus) = (&service, &bus);
        async move {
            let answer = read_one(service, bus, item).await;
            answers.borrow_mut()[at] = Some(answer);
        }
    }))
    .await;

    // KeePassXC does not search a locked database: it answers that there is no such item. That must not be told as
    // "missing", which sends a person to mint a new token. A provider that named a locked item does search what is locked.
    let seen = |wanted: fn(&Lookup) -> bool| answers.borrow().iter().flatten().any(wanted);
    if seen(|answer| *answer == Lookup::Absent)
        && !seen(|answer| matches!(answer, Lookup::Locked(_)))
        && let Ok(collection) = service.get_default_collection().await
        && collection.is_locked().await.unwrap_or(false)
    {
        let name = collection_name(&collection.collection_path);
        for answer in answers.borrow_mut().iter_mut().filter(|answer| **answer == Some(Lookup::Absent)) {
            *answer = Some(Lookup::Locked(name.clone()));
        }
    }
    Ok(())
}

async fn read_one(service: &secret_service::SecretService<'_>, bus: &Bus, item: &Item) -> Lookup {
    let attributes = HashMap::from([("service", &*item.service), ("account", &*item.account)]);
    let mut found = match service.search_items(attributes).await {
        Ok(found) => found,
        Err(error) => return failure(bus, &error).lookup(),
    };
    let item = match (found.unlocked.len(), found.locked.first()) {
        (0, None) => return Lookup::Absent,
        (0, Some(locked)) => return Lookup::Locked(collection_name(&locked.item_path)),
        (1, _) => found.unlocked.remove(0),
        // Two programs, or two collections, hold one each. The one written last is the one a person rotated.
        _ => {
            let written = join_all(found.unlocked.iter().map(|item| item.get_modified())).await;
            let written = written.into_iter().map(|time| time.unwrap_or(0)).enumerate();
            found.unlocked.remove(written.max_by_key(|(at, time)| (*time, usize::MAX - at)).map_or(0, |(at, _)| at))
        }
    };
    match item.get_secret().await {
        Ok(value) => Lookup::Found(Zeroizing::new(value)),
        // It was locked, deleted or protected between the two calls.
        Err(error) if answered(&error, "org.freedesktop.Secret.Error.IsLocked") => {
            Lookup::Locked(collection_name(&item.item_path))
        }
        Err(error) if answered(&error, "org.freedesktop.Secret.Error.NoSuchObject") => Lookup::Absent,
        Err(error) if answered(&error, "org.freedesktop.DBus.Error.AccessDenied") => {
            Lookup::Consent("it is given out only after a dialog".into())
        }
        Err(error) => failure(bus, &error).lookup(),
    }
}

/// The session bus, as D-Bus clients find it.
#[derive(Debug, PartialEq)]
struct Bus {
    /// The address, for a person.
    address: String,
    /// The socket; an address of another kind has none.
    socket: Option<PathBuf>,
    /// Somebody said that there is a bus here. Otherwise its absence is no fault.
    given: bool,
}

impl Bus {
    fn from_environment(address: Option<OsString>, runtime: Option<OsString>, uid: u32) -> Result<Self, Failure> {
        let none = |why: &str| Failure::Unavailable(format!("no D-Bus session bus{why}"));
        let Some(address) = address else {
            let runtime = runtime.and_then(|dir| dir.into_string().ok()).unwrap_or_else(|| format!("/run/user/{uid}"));
            let socket = format!("{runtime}/bus");
            return Ok(Self { address: plain(&socket), socket: Some(socket.into()), given: false });
        };
        let Ok(address) = address.into_string() else {
            return Err(Failure::Broken(format!("{ADDRESS} is not UTF-8")));
        };
        let (kind, rest) = address.split_once(':').unwrap_or((&address, ""));
        let socket = match kind {
            "" => return Err(none(&format!(": {ADDRESS} is empty"))),
            // Both say "not this one": what they lead to is made up by libdbus alone.
            "disabled" | "autolaunch" => return Err(none(&format!(": {ADDRESS} is {kind}:"))),
            "unix" => rest.split(',').find_map(|option| match option.split_once('=')? {
                ("path", path) => Some(unescaped(path)),
                ("abstract", name) => Some([b"\0", &*unescaped(name)].concat()),
                _ => None,
            }),
            _ => None,
        };
        let socket = socket.map(|path| PathBuf::from(OsString::from_vec(path)));
        Ok(Self { address: plain(&address), socket, given: true })
    }

    /// Connects and hangs up, for two reasons: the plain error of the system call can be told in plain words, and the
    /// real connection is made on a thread that blocks, which a socket with a full queue would hold for ever.
    async fn try_connect(&self) -> Result<(), Failure> {
        let Some(socket) = &self.socket else { return Ok(()) };
        match tokio::net::UnixStream::connect(socket).await {
            Ok(_) => Ok(()),
            Err(error) if !self.given && error.kind() == io::ErrorKind::NotFound => {
                Err(Failure::Unavailable("no D-Bus session bus".into()))
            }
            Err(error) => Err(self.broken(&error)),
        }
    }

    fn broken(&self, error: &io::Error) -> Failure {
        let what = match error.kind() {
            io::ErrorKind::NotFound => "does not exist".into(),
            io::ErrorKind::ConnectionRefused => "refused the connection".into(),
            io::ErrorKind::PermissionDenied => "may not be used by this user".into(),
            io::ErrorKind::WouldBlock => "takes no more connections".into(),
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof => {
                "closed the connection".into()
            }
            _ => format!("does not work: {}", plain(&error.to_string())),
        };
        Failure::Broken(format!("the D-Bus session bus at {} {what}", self.address))
    }
}

/// What an error of the D-Bus conversation means.
fn failure(bus: &Bus, error: &Error) -> Failure {
    let no_provider = ["org.freedesktop.DBus.Error.ServiceUnknown", "org.freedesktop.DBus.Error.NameHasNoOwner"]
        .map(|n| answered(error, n));
    if no_provider.contains(&true) {
        return Failure::Unavailable("no program on the D-Bus session bus provides a Secret Service".into());
    }
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(inner) = cause {
        let shared = inner.downcast_ref::<Arc<io::Error>>().map(|error| &**error);
        if let Some(error) = inner.downcast_ref().or(shared) {
            return bus.broken(error);
        }
        cause = inner.source();
    }
    let text = text(error);
    match text.split_once("handshake failed: ") {
        Some((_, why)) => Failure::Broken(format!("the D-Bus session bus at {} let nobody in: {why}", bus.address)),
        None if matches!(error, Error::Unavailable) => {
            Failure::Broken(format!("{ADDRESS} is no address that raxx can use"))
        }
        None => Failure::Broken(format!("a D-Bus error: {text}")),
    }
}

/// Whether the error is the D-Bus error of this name.
fn answered(error: &Error, name: &str) -> bool {
    text(error).split(": ").any(|part| part == name)
}

fn text(error: &Error) -> String {
    match error {
        Error::Zbus(error) => plain(&error.to_string()),
        Error::ZbusFdo(error) => plain(&error.to_string()),
        error => plain(&error.to_string()),
    }
}

/// Text from elsewhere on its way to a terminal: one line, of a bearable length.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect()
}

/// `%41` → `A`, as in D-Bus addresses. What is no such escape stays as it is.
fn unescaped(text: &str) -> Vec<u8> {
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

/// "the login collection", from the path of the collection or of an item in it.
fn collection_name(path: &str) -> String {
    let path = path.split("/collection/").nth(1).and_then(|rest| rest.split('/').next()).unwrap_or_default();
    if path.is_empty() {
        return "the secret collection".into();
    }
    // gnome-keyring writes other characters than letters and digits as `_xx`; not every provider does.
    let name = String::from_utf8(unescaped(&path.replace('_', "%"))).ok().filter(|name| !name.contains('%'));
    format!("the {} collection", name.map_or_else(|| path.to_owned(), |name| plain(&name)))
}

/// `secret-tool` has the desktop ask for the password. Where there is no desktop nobody would, so gnome-keyring gets it
/// directly: all of its input is the password, hence no newline, and only a daemon that starts takes one, hence
/// `--replace`.
fn unlock_hint(item: &Item, desktop: bool) -> String {
    if desktop {
        let (service, account) = (quoted(&item.service), quoted(&item.account));
        return format!("secret-tool lookup service {service} account {account} >/dev/null");
    }
    r#"read -rs p && printf %s "$p" | gnome-keyring-daemon --replace --unlock >/dev/null; unset p"#.into()
}

fn uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;
    use std::path::Path;

    use super::*;

    fn bus(address: Option<&str>, runtime: Option<&str>) -> Result<Bus, Failure> {
        Bus::from_environment(address.map(Into::into), runtime.map(Into::into), 1000)
    }

    fn socket(address: &str) -> Option<String> {
        bus(Some(address), None).unwrap().socket.map(|path| path.to_string_lossy().into_owned())
    }

    #[test]
    fn the_bus_is_where_d_bus_clients_look() {
        let bus = |address, runtime| bus(address, runtime).unwrap();
        assert_eq!(bus(None, None).socket, Some("/run/user/1000/bus".into()));
        assert_eq!(bus(None, Some("/run/elsewhere")).socket, Some("/run/elsewhere/bus".into()));
        assert!(!bus(None, None).given);
        assert!(bus(Some("unix:path=/a"), Some("/run/elsewhere")).given);
        assert_eq!(socket("unix:path=/tmp/a,guid=00"), Some("/tmp/a".into()));
        assert_eq!(socket("unix:guid=00,path=/tmp/a%20b%2C%zz"), Some("/tmp/a b,%zz".into()));
        assert_eq!(socket("unix:abstract=/tmp/dbus-x"), Some("\0/tmp/dbus-x".into()));
        assert_eq!(socket("tcp:host=127.0.0.1,port=1"), None);
    }

    #[test]
    fn a_bus_that_is_switched_off_is_no_fault() {
        for (address, why) in [
            ("", "no D-Bus session bus: DBUS_SESSION_BUS_ADDRESS is empty"),
            ("disabled:", "no D-Bus session bus: DBUS_SESSION_BUS_ADDRESS is disabled:"),
            ("autolaunch:", "no D-Bus session bus: DBUS_SESSION_BUS_ADDRESS is autolaunch:"),
        ] {
            assert_eq!(bus(Some(address), None), Err(Failure::Unavailable(why.into())));
        }
    }

    #[test]
    fn an_address_cannot_write_to_the_terminal() {
        assert_eq!(bus(Some("unix:path=/a\u{1b}[31m\n"), None).unwrap().address, "unix:path=/a [31m ");
    }

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
    }

    fn try_connect(address: Option<&str>, directory: &Path) -> Result<(), Failure> {
        let bus = bus(address, Some(&directory.to_string_lossy())).unwrap();
        runtime().block_on(bus.try_connect())
    }

    #[test]
    fn each_dead_bus_has_its_own_words() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("bus");
        let address = format!("unix:path={}", path.display());
        let broken = |what: &str, at: &str| Err(Failure::Broken(format!("the D-Bus session bus at {at} {what}")));
        let at_default = path.display().to_string();

        assert_eq!(try_connect(None, directory.path()), Err(Failure::Unavailable("no D-Bus session bus".into())));
        assert_eq!(try_connect(Some(&address), directory.path()), broken("does not exist", &address));

        let listener = UnixListener::bind(&path).unwrap();
        assert_eq!(try_connect(Some(&address), directory.path()), Ok(()));
        assert_eq!(try_connect(None, directory.path()), Ok(()));

        drop(listener); // the file stays
        assert_eq!(try_connect(Some(&address), directory.path()), broken("refused the connection", &address));
        assert_eq!(try_connect(None, directory.path()), broken("refused the connection", &at_default));
    }

    #[test]
    fn a_bus_with_a_full_queue_is_told_and_not_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("bus");
        let bus = bus(Some(&format!("unix:path={}", path.display())), None).unwrap();
        runtime().block_on(async {
            let socket = tokio::net::UnixSocket::new_stream().unwrap();
            socket.bind(&path).unwrap();
            let _listener = socket.listen(1).unwrap();
            let mut queued = Vec::new();
            let full = loop {
                match tokio::net::UnixStream::connect(&path).await {
                    Ok(stream) => queued.push(stream),
                    Err(error) => break error,
                }
            };
            assert_eq!(full.kind(), io::ErrorKind::WouldBlock);
            let Err(Failure::Broken(why)) = bus.try_connect().await else { panic!() };
            assert!(why.ends_with(" takes no more connections"), "{why}");
        });
    }

    #[test]
    fn errors_of_the_conversation_are_in_plain_words() {
        let bus = bus(Some("unix:path=/b"), None).unwrap();
        assert_eq!(
            failure(&bus, &Error::Unavailable),
            Failure::Broken("DBUS_SESSION_BUS_ADDRESS is no address that raxx can use".into())
        );
        assert_eq!(failure(&bus, &Error::Crypto("a\nb")), Failure::Broken("a D-Bus error: Crypto error: a b".into()));
    }

    #[test]
    fn a_collection_is_called_by_its_path() {
        for (path, name) in [
            ("/org/freedesktop/secrets/collection/login", "the login collection"),
            ("/org/freedesktop/secrets/collection/login/17", "the login collection"),
            ("/org/freedesktop/secrets/collection/Work_20keys/1", "the Work keys collection"),
            ("/org/freedesktop/secrets/collection/my_keys", "the my_keys collection"),
            ("/org/freedesktop/secrets/collection/a_0ab", "the a b collection"),
            ("/org/freedesktop/secrets/aliases/default", "the secret collection"),
        ] {
            assert_eq!(collection_name(path), name);
        }
    }

    #[test]
    fn the_hint_is_a_command_that_works_where_the_person_sits() {
        let item = Item { service: "raxx token".into(), account: "a".into() };
        assert_eq!(unlock_hint(&item, true), "secret-tool lookup service 'raxx token' account a >/dev/null");
        assert!(unlock_hint(&item, false).contains("gnome-keyring-daemon"));
    }
}
