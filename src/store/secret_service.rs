//! The Linux Secret Service (gnome-keyring, KWallet, KeePassXC) over D-Bus.
//!
//! Nothing here unlocks or prompts, in reading or in writing. One connection serves all items. The session is not
//! encrypted: whoever may read this user's bus may ask for the secret itself, and the key exchange would cost each
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
use secret_service::{EncryptionType, Error, SearchItemsResult};
use zbus::zvariant::{OwnedObjectPath, OwnedValue, Value};
use zeroize::Zeroizing;

use super::{Item, Lookup, Store, Written, quoted};
use crate::secret::Secret;
use crate::text::plain;

const ADDRESS: &str = "DBUS_SESSION_BUS_ADDRESS";

/// Every value that raxx stores, and what `secret-tool` says of its own.
const CONTENT_TYPE: &str = "text/plain";

const PROVIDER: &str = "org.freedesktop.secrets";
const SERVICE: &str = "/org/freedesktop/secrets";
const IS_LOCKED: &str = "org.freedesktop.Secret.Error.IsLocked";
const NO_SUCH_OBJECT: &str = "org.freedesktop.Secret.Error.NoSuchObject";

const READ_DENIED: &str = "it is given out only after a dialog";
const CHANGE_DENIED: &str = "it is changed only after a dialog";

/// The Secret Service as a store.
pub(super) struct SecretService;

impl Store for SecretService {
    fn name(&self) -> &'static str {
        "Secret Service"
    }

    fn speaker(&self, _: &Item) -> &dyn Store {
        self
    }

    fn unlock_hint(&self, item: &Item) -> String {
        let set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
        unlock_hint(item, set("WAYLAND_DISPLAY") || set("DISPLAY"))
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

    fn write<'a>(&'a self, name: &'a str, item: &'a Item, value: &'a Secret, limit: Duration) -> Written<'a> {
        Box::pin(async move { in_time(limit, write_one(name, item, value)).await })
    }

    fn delete<'a>(&'a self, item: &'a Item, limit: Duration) -> Written<'a> {
        Box::pin(async move { in_time(limit, delete_one(item)).await })
    }
}

async fn in_time(limit: Duration, work: impl Future<Output = Result<(), Lookup>>) -> Result<(), Lookup> {
    tokio::time::timeout(limit, work).await.unwrap_or(Err(Lookup::TimedOut))
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

/// A conversation with the Secret Service.
struct Talk {
    bus: Bus,
    connection: zbus::Connection,
    service: secret_service::SecretService<'static>,
}

impl Talk {
    async fn begin() -> Result<Self, Failure> {
        let bus = Bus::from_environment(env::var_os(ADDRESS), env::var_os("XDG_RUNTIME_DIR"), uid())?;
        bus.try_connect().await?;
        let connection = zbus::Connection::session().await.map_err(|error| match error {
            zbus::Error::Address(_) => failure(&bus, &Error::Unavailable),
            error => failure(&bus, &error.into()),
        })?;
        greet(&connection).await.map_err(|error| failure(&bus, &error.into()))?;
        let service = secret_service::SecretService::connect_with_existing(EncryptionType::Plain, connection.clone());
        let service = service.await.map_err(|error| failure(&bus, &error))?;
        Ok(Self { bus, connection, service })
    }

    async fn search(&self, item: &Item) -> Result<SearchItemsResult<secret_service::Item<'_>>, Lookup> {
        self.service.search_items(attributes(item)).await.map_err(|error| failure(&self.bus, &error).lookup())
    }

    /// The default collection's name, if it is locked.
    async fn locked_default(&self) -> Option<String> {
        let collection = self.service.get_default_collection().await.ok()?;
        let locked = collection.is_locked().await.unwrap_or(false);
        locked.then(|| collection_name(&collection.collection_path))
    }

    /// Why the object at `path` was not given or changed; `denied` is what a refusal without a dialog means.
    fn refusal(&self, error: &Error, path: &str, denied: &str) -> Lookup {
        // It was locked, deleted or protected since it was found.
        if answered(error, IS_LOCKED) {
            Lookup::Locked(collection_name(path))
        } else if answered(error, NO_SUCH_OBJECT) {
            Lookup::Absent
        } else if answered(error, "org.freedesktop.DBus.Error.AccessDenied") {
            Lookup::Consent(denied.into())
        } else {
            failure(&self.bus, error).lookup()
        }
    }

    /// Calls a method. The crate's own calls that may lead to a prompt also open it, and wait for ever for its end.
    async fn call<B, R>(&self, path: &str, method: &str, body: &B) -> Result<R, Lookup>
    where
        B: serde::Serialize + zbus::zvariant::DynamicType,
        R: serde::de::DeserializeOwned + zbus::zvariant::Type,
    {
        let (interface, method) = method.rsplit_once('.').unwrap_or_default();
        let interface = format!("org.freedesktop.Secret.{interface}");
        let answer = self.connection.call_method(Some(PROVIDER), path, Some(&*interface), method, body).await;
        let answer = answer.and_then(|message| message.body().deserialize());
        answer.map_err(|error| self.refusal(&error.into(), path, CHANGE_DENIED))
    }

    /// What a call asks for before it does anything: nothing, or a dialog, which is not opened.
    async fn declined(&self, prompt: &OwnedObjectPath) -> Result<(), Lookup> {
        if prompt.as_str() == "/" {
            return Ok(());
        }
        // A provider that keeps no prompt which was not opened has nothing to forget.
        _ = self.call::<_, ()>(prompt, "Prompt.Dismiss", &()).await;
        Err(Lookup::Consent(CHANGE_DENIED.into()))
    }
}

/// Lets the service meet this connection before it is asked for anything. gnome-keyring (42 to 50) notes a new caller in one
/// turn of its loop and answers in another: when many connect at once, as when tmux brings its panes back, it now and then
/// looks for a caller that is not noted yet and aborts, which leaves the whole desktop with a locked keyring
/// (omacom/omarchy#11590, basecamp/hey-cli#352). An alias that nobody has is looked up without the note, and in the very
/// loop that takes it: once that is answered, the note is there. (A ping is answered beside the loop.)
async fn greet(connection: &zbus::Connection) -> zbus::Result<()> {
    let interface = Some("org.freedesktop.Secret.Service");
    match connection.call_method(Some(PROVIDER), SERVICE, interface, "ReadAlias", &"raxx").await {
        Err(error) if !matches!(error, zbus::Error::MethodError(..)) => Err(error),
        _ => Ok(()), // a refusal is an answer too, and what is asked next is refused in its own words
    }
}

fn attributes(item: &Item) -> HashMap<&str, &str> {
    HashMap::from([("service", &*item.service), ("account", &*item.account)])
}

/// The items, the one written last at the end. Where two programs, or two collections, hold one each, that is the one
/// which a person rotated.
async fn by_age(items: Vec<secret_service::Item<'_>>) -> Vec<secret_service::Item<'_>> {
    if items.len() < 2 {
        return items;
    }
    let written = join_all(items.iter().map(|item| item.get_modified())).await;
    let mut items = Vec::from_iter(written.into_iter().map(|time| time.unwrap_or(0)).zip(items));
    items.reverse();
    items.sort_by_key(|(time, _)| *time);
    items.into_iter().map(|(_, item)| item).collect()
}

async fn read_all(items: &[Item], answers: &RefCell<Vec<Option<Lookup>>>) -> Result<(), Failure> {
    let talk = Talk::begin().await?;
    join_all(items.iter().enumerate().map(|(at, item)| {
        let talk = &talk;
        async move {
            let answer = read_one(talk, item).await.unwrap_or_else(|answer| answer);
            answers.borrow_mut()[at] = Some(answer);
        }
    }))
    .await;

    // KeePassXC does not search a locked database: it answers that there is no such item. That must not be told as
    // "missing", which sends a person to mint a new token. A provider that named a locked item does search what is locked.
    let seen = |wanted: fn(&Lookup) -> bool| answers.borrow().iter().flatten().any(wanted);
    if seen(|answer| *answer == Lookup::Absent)
        && !seen(|answer| matches!(answer, Lookup::Locked(_)))
        && let Some(name) = talk.locked_default().await
    {
        for answer in answers.borrow_mut().iter_mut().filter(|answer| **answer == Some(Lookup::Absent)) {
            *answer = Some(Lookup::Locked(name.clone()));
        }
    }
    Ok(())
}

async fn read_one(talk: &Talk, item: &Item) -> Result<Lookup, Lookup> {
    let found = talk.search(item).await?;
    let Some(item) = by_age(found.unlocked).await.pop() else {
        return Ok(found
            .locked
            .first()
            .map_or(Lookup::Absent, |item| Lookup::Locked(collection_name(&item.item_path))));
    };
    let value = item.get_secret().await.map_err(|error| talk.refusal(&error, &item.item_path, READ_DENIED))?;
    Ok(Lookup::Found(Zeroizing::new(value)))
}

/// Each change is one message, which the bus passes on whole or not at all: whoever is killed here leaves the old value
/// or the new one.
async fn write_one(name: &str, item: &Item, value: &Secret) -> Result<(), Lookup> {
    let talk = Talk::begin().await.map_err(|failure| failure.lookup())?;
    let found = talk.search(item).await?;
    // The one that reading gives, wherever it is and whatever else is noted on it.
    if let Some(there) = by_age(found.unlocked).await.pop() {
        let set = there.set_secret(value.expose().as_bytes(), CONTENT_TYPE).await;
        match set.map_err(|error| talk.refusal(&error, &there.item_path, CHANGE_DENIED)) {
            Err(Lookup::Absent) => {} // somebody took it away just now
            done => return done,
        }
    } else if let Some(locked) = found.locked.first() {
        // A second one beside it would be a duplicate as soon as that one is unlocked.
        return Err(Lookup::Locked(collection_name(&locked.item_path)));
    }
    create(&talk, name, item, value).await
}

async fn create(talk: &Talk, name: &str, item: &Item, value: &Secret) -> Result<(), Lookup> {
    let collection = match talk.service.get_default_collection().await {
        Ok(collection) => collection,
        Err(Error::NoResult) => return Err(Lookup::Broken("it has no default collection to put an item in".into())),
        Err(error) => return Err(failure(&talk.bus, &error).lookup()),
    };
    let path = &collection.collection_path;
    if collection.is_locked().await.map_err(|error| talk.refusal(&error, path, CHANGE_DENIED))? {
        return Err(Lookup::Locked(collection_name(path)));
    }
    let plain = ("plain", Value::from(""));
    let (_, session): (OwnedValue, OwnedObjectPath) = talk.call(SERVICE, "Service.OpenSession", &plain).await?;
    let secret = (session, &[] as &[u8], value.expose().as_bytes(), CONTENT_TYPE);
    let properties = HashMap::from([
        ("org.freedesktop.Secret.Item.Label", Value::from(name)),
        ("org.freedesktop.Secret.Item.Attributes", Value::from(attributes(item))),
    ]);
    // With `true` it takes the place of one that another program has made meanwhile.
    let (made, prompt): (OwnedObjectPath, OwnedObjectPath) =
        talk.call(path, "Collection.CreateItem", &(properties, secret, true)).await?;
    talk.declined(&prompt).await?;
    match made.as_str() {
        "/" => Err(Lookup::Broken("it made no item and did not say why".into())),
        _ => Ok(()),
    }
}

async fn delete_one(item: &Item) -> Result<(), Lookup> {
    let talk = Talk::begin().await.map_err(|failure| failure.lookup())?;
    let found = talk.search(item).await?;
    // One that stays behind would be back as soon as it is unlocked.
    if let Some(locked) = found.locked.first() {
        return Err(Lookup::Locked(collection_name(&locked.item_path)));
    }
    if found.unlocked.is_empty() {
        // As in reading: a locked KeePassXC says that there is no such item.
        return Err(talk.locked_default().await.map_or(Lookup::Absent, Lookup::Locked));
    }
    // The one that reading gives goes last: broken off, this leaves the value that was there.
    for item in by_age(found.unlocked).await {
        match talk.call(&item.item_path, "Item.Delete", &()).await {
            Ok(prompt) => talk.declined(&prompt).await?,
            Err(Lookup::Absent) => {} // somebody was faster
            Err(refusal) => return Err(refusal),
        }
    }
    Ok(())
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
        assert_eq!(bus(Some("unix:path=/a\u{1b}[31m\n"), None).unwrap().address, "unix:path=/a[31m");
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
