//! The Linux Secret Service (gnome-keyring, `KWallet`, `KeePassXC`) over D-Bus.
//!
//! Reading never opens a dialog: what is locked is asked to unlock, which a service without a password for it does at
//! once, and a prompt that comes back is dismissed. One connection serves all items. The session is not encrypted:
//! whoever may read this user's bus may ask for the secret itself, and the key exchange would cost each terminal twice
//! the rest of the lookup. All of it happens on a thread of its own, so that the deadline does not depend on a library.

use std::collections::HashMap;
use std::env;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::{LocalBoxFuture, join_all};
use zbus::zvariant::{OwnedObjectPath, OwnedValue, Value};
use zeroize::Zeroizing;

use super::apart::apart;
use super::{Answer, Item, Keyring, Remedy, Store, StoreError, StoreFuture, quoted};
use crate::process::say;
use crate::secret::Secret;
use crate::terminal::Terminal;
use crate::text::plain;
use bus::Bus;

mod bus;
mod unlock;

/// Every value that raxx stores, and what `secret-tool` says of its own.
const CONTENT_TYPE: &str = "text/plain";

const PROVIDER: &str = "org.freedesktop.secrets";
const SERVICE: &str = "/org/freedesktop/secrets";
const IS_LOCKED: &str = "org.freedesktop.Secret.Error.IsLocked";
const NO_SUCH_OBJECT: &str = "org.freedesktop.Secret.Error.NoSuchObject";

const READ_DENIED: &str = "it is given out only after a dialog";
const CHANGE_DENIED: &str = "it is changed only after a dialog";

/// How long a person may take for the service's own dialog about a change.
const DIALOG: Duration = Duration::from_secs(30);

/// After how long a dialog is pointed out: most services need none and answer at once.
const POINTED_OUT: Duration = Duration::from_secs(1);

/// The most items with the same attributes that are compared by age.
const MOST_ALIKE: usize = 100;

/// The Secret Service as a store.
#[derive(Default)]
pub(super) struct SecretService {
    /// How what was found locked is unlocked, known since it was found.
    hint: Arc<Mutex<Option<Remedy>>>,
}

impl Store for SecretService {
    fn name(&self) -> &'static str {
        "Secret Service"
    }

    fn backend_for(&self, _: &Item) -> &dyn Store {
        self
    }

    fn unlock_hint(&self, item: &Item) -> Remedy {
        let noted = self.hint.lock().unwrap_or_else(PoisonError::into_inner).clone();
        noted.unwrap_or_else(|| Provider::Unknown(String::new()).hint(item, has_desktop(), false))
    }

    fn read<'a>(&'a self, items: &'a [Item], limit: Duration) -> LocalBoxFuture<'a, Vec<Answer>> {
        Box::pin(async move {
            let answers = Arc::new(Answers(Mutex::new(items.iter().map(|_| None).collect())));
            let (wanted, shared, hint) = (items.to_vec(), answers.clone(), self.hint.clone());
            let done = apart(limit, move || async move {
                if let Err(why) = read_all(&wanted, &shared, &hint).await {
                    shared.fill(&why);
                }
            });
            if let Err(error) = done.await {
                // What was answered before stays.
                answers.fill(&not_done(&error));
            }
            answers.take()
        })
    }

    /// Only for commands that a person typed: a service that makes each change in a prompt (`KeePassXC`) may ask there.
    fn write<'a>(&'a self, name: &'a str, item: &'a Item, value: &'a Secret, limit: Duration) -> StoreFuture<'a, ()> {
        let (name, item, value) = (name.to_owned(), item.clone(), value.clone());
        let hint = self.hint.clone();
        changed(limit, move |limits| async move { write_one(&name, &item, &value, &limits, &hint).await })
    }

    /// As [`SecretService::write`].
    fn delete<'a>(&'a self, item: &'a Item, limit: Duration) -> StoreFuture<'a, bool> {
        let (item, hint) = (item.clone(), self.hint.clone());
        changed(limit, move |limits| async move { delete_one(&item, &limits, &hint).await })
    }

    fn takes_new<'a>(&'a self, item: &'a Item, limit: Duration) -> StoreFuture<'a, ()> {
        let (item, hint) = (item.clone(), self.hint.clone());
        Box::pin(async move {
            let asked = apart(limit, move || async move {
                let session = Session::begin().await?;
                session.collection_for_new(&item, &hint).await.map(drop)
            });
            asked.await.unwrap_or_else(|error| Err(not_done(&error)))
        })
    }

    fn keeps_keyrings(&self) -> bool {
        true
    }

    fn locked_keyrings<'a>(&'a self, items: &'a [Item], limit: Duration) -> StoreFuture<'a, Vec<Keyring>> {
        self.locked(items, limit)
    }

    fn unlock_keyring<'a>(
        &'a self,
        keyring: &'a Keyring,
        password: Zeroizing<Vec<u8>>,
        limit: Duration,
    ) -> StoreFuture<'a, bool> {
        SecretService::unlock(keyring, password, limit)
    }
}

/// How long a change may take.
struct Limits {
    /// The service itself.
    service: Duration,
    /// A person who is asked by the service.
    dialog: Duration,
}

/// Makes a change apart. The deadline for a dialog is on top of the one for the service.
fn changed<'a, T, F>(limit: Duration, work: impl FnOnce(Limits) -> F + Send + 'static) -> StoreFuture<'a, T>
where
    T: Send + 'static,
    F: Future<Output = Result<T, StoreError>>,
{
    Box::pin(async move {
        // Without a terminal nobody is there who would answer.
        let dialog = if Terminal::new().is_there() { DIALOG } else { limit };
        let limits = Limits { service: limit, dialog };
        apart(limit + dialog, move || work(limits)).await.unwrap_or_else(|error| Err(not_done(&error)))
    })
}

/// Why there is no answer.
fn not_done(error: &io::Error) -> StoreError {
    match error.kind() {
        io::ErrorKind::TimedOut => StoreError::TimedOut,
        _ => StoreError::Broken(format!("it could not be asked: {error}")),
    }
}

/// The answers so far, which outlive the thread that gets them.
struct Answers(Mutex<Vec<Option<Answer>>>);

impl Answers {
    fn with<T>(&self, look: impl FnOnce(&mut Vec<Option<Answer>>) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn put(&self, at: usize, answer: Answer) {
        self.with(|answers| answers[at] = Some(answer));
    }

    /// Sets the answer of every item that has none.
    fn fill(&self, why: &StoreError) {
        self.with(|answers| {
            for answer in answers.iter_mut().filter(|answer| answer.is_none()) {
                *answer = Some(Err(why.clone()));
            }
        });
    }

    fn take(&self) -> Vec<Answer> {
        self.with(std::mem::take).into_iter().map(|answer| answer.unwrap_or(Err(StoreError::TimedOut))).collect()
    }
}

/// The session, its parameters, the value and its content type.
type SecretStruct = (OwnedObjectPath, Vec<u8>, Vec<u8>, String);

/// What a search found.
struct Found {
    unlocked: Vec<OwnedObjectPath>,
    locked: Vec<OwnedObjectPath>,
}

/// A session with the Secret Service.
struct Session {
    bus: Bus,
    connection: zbus::Connection,
    path: OwnedObjectPath,
}

impl Session {
    async fn begin() -> Result<Self, StoreError> {
        let (bus, connection) = bus::connect().await?;
        warm_up(&connection).await.map_err(|error| failure(&bus, &error))?;
        let mut session = Self { bus, connection, path: OwnedObjectPath::default() };
        let plain = ("plain", Value::from(""));
        let opened = session.call::<_, (OwnedValue, OwnedObjectPath)>(SERVICE, "Service.OpenSession", &plain).await;
        session.path = opened.map_err(|error| failure(&session.bus, &error))?.1;
        Ok(session)
    }

    /// Calls a method of the service, `Interface.Method` without the names that all of them share.
    async fn call<B, R>(&self, path: &str, method: &str, body: &B) -> zbus::Result<R>
    where
        B: serde::Serialize + zbus::zvariant::DynamicType,
        R: serde::de::DeserializeOwned + zbus::zvariant::Type,
    {
        let (interface, method) = method.rsplit_once('.').unwrap_or_default();
        let interface = match interface {
            unlock::INTERFACE => interface.into(),
            "Properties" => "org.freedesktop.DBus.Properties".into(),
            interface => format!("org.freedesktop.Secret.{interface}"),
        };
        let answer = self.connection.call_method(Some(PROVIDER), path, Some(&*interface), method, body).await?;
        answer.body().deserialize()
    }

    /// As [`Session::call`], for what changes an object; `None` if the object is gone.
    async fn change<B, R>(&self, path: &str, method: &str, body: &B) -> Result<Option<R>, StoreError>
    where
        B: serde::Serialize + zbus::zvariant::DynamicType,
        R: serde::de::DeserializeOwned + zbus::zvariant::Type,
    {
        match self.call(path, method, body).await {
            Ok(answer) => Ok(Some(answer)),
            Err(error) if answered(&error, NO_SUCH_OBJECT) => Ok(None),
            Err(error) => Err(self.refusal(&error, path, CHANGE_DENIED)),
        }
    }

    async fn property<T>(&self, path: &str, interface: &str, name: &str) -> Option<T>
    where
        T: TryFrom<OwnedValue>,
    {
        let interface = format!("org.freedesktop.Secret.{interface}");
        let value: OwnedValue = self.call(path, "Properties.Get", &(interface, name)).await.ok()?;
        value.try_into().ok()
    }

    async fn is_locked(&self, collection: &str) -> bool {
        self.property(collection, "Collection", "Locked").await.unwrap_or(false)
    }

    async fn search(&self, item: &Item) -> Result<Found, StoreError> {
        let found = self.call(SERVICE, "Service.SearchItems", &(attributes(item),)).await;
        let (unlocked, locked) = found.map_err(|error| failure(&self.bus, &error))?;
        Ok(Found { unlocked, locked })
    }

    /// The value of the one that was written last.
    async fn value(&self, items: Vec<OwnedObjectPath>) -> Answer {
        let Some(item) = self.by_age(items).await.pop() else { return Ok(None) };
        let given = self.call::<_, (SecretStruct,)>(&item, "Item.GetSecret", &(&self.path,)).await;
        match given {
            Ok(((_, _, value, _),)) => Ok(Some(value.into())),
            Err(error) if answered(&error, NO_SUCH_OBJECT) => Ok(None),
            Err(error) => Err(self.refusal(&error, &item, READ_DENIED)),
        }
    }

    /// The items, the one written last at the end. Where two programs, or two collections, hold one each, that is the
    /// one which a person rotated.
    async fn by_age(&self, mut items: Vec<OwnedObjectPath>) -> Vec<OwnedObjectPath> {
        if items.len() < 2 {
            return items;
        }
        // Nobody has so many of one kind: the rest counts as older, so that they cannot take all the time.
        items.truncate(MOST_ALIKE);
        let written = join_all(items.iter().map(|item| self.property::<u64>(item, "Item", "Modified"))).await;
        let mut items = Vec::from_iter(written.into_iter().map(|time| time.unwrap_or(0)).zip(items));
        items.reverse();
        items.sort_by_key(|(time, _)| *time);
        items.into_iter().map(|(_, item)| item).collect()
    }

    /// Unlocks what opens without a password, as the keyring of a machine with automatic login does, and gives what is
    /// unlocked. A service that wants to ask somebody answers with a prompt instead; it is dismissed unopened.
    async fn unlock(&self, objects: &[OwnedObjectPath]) -> Result<Vec<OwnedObjectPath>, StoreError> {
        let answer = self.call(SERVICE, "Service.Unlock", &(objects,)).await;
        let (unlocked, prompt): (Vec<OwnedObjectPath>, OwnedObjectPath) =
            answer.map_err(|error| failure(&self.bus, &error))?;
        self.dismiss(&prompt).await;
        Ok(unlocked)
    }

    async fn dismiss(&self, prompt: &OwnedObjectPath) {
        if prompt.as_str() != "/" {
            // A provider that keeps no prompt which was not opened has nothing to forget.
            _ = self.call::<_, ()>(prompt, "Prompt.Dismiss", &()).await;
        }
    }

    /// Unlocks the items that open without a password, and gives all that can be read then.
    async fn unlocked(&self, found: Found) -> Result<Found, StoreError> {
        if found.locked.is_empty() {
            return Ok(found);
        }
        let opened = self.unlock(&found.locked).await?;
        let Found { mut unlocked, mut locked } = found;
        locked.retain(|item| !opened.contains(item));
        unlocked.extend(opened);
        Ok(Found { unlocked, locked })
    }

    /// Why a locked item is not given, and how to change that, for the person.
    async fn locked(&self, path: &str, item: &Item, hint: &Mutex<Option<Remedy>>) -> StoreError {
        let provider = self.provider().await;
        // KeePassXC calls an item locked of an open database if it wants to ask before it gives it out.
        let collection = collection_path(path);
        let asks = path != collection && provider == Provider::KeePassXc && !self.is_locked(collection).await;
        let said = provider.hint(item, has_desktop(), asks);
        hint.lock().unwrap_or_else(PoisonError::into_inner).replace(said);
        if asks {
            StoreError::Consent("KeePassXC asks before it gives it out".into())
        } else {
            StoreError::Locked(collection_name(path))
        }
    }

    async fn default_collection(&self) -> zbus::Result<Option<OwnedObjectPath>> {
        let path: OwnedObjectPath = self.call(SERVICE, "Service.ReadAlias", &"default").await?;
        Ok(Some(path).filter(|path| path.as_str() != "/"))
    }

    /// The default collection, if it is locked.
    async fn locked_default(&self) -> Option<OwnedObjectPath> {
        let collection = self.default_collection().await.ok()??;
        self.is_locked(&collection).await.then_some(collection)
    }

    /// What is locked, where an item that was not found may be in it.
    async fn locked_away(&self, item: &Item, hint: &Mutex<Option<Remedy>>) -> Option<String> {
        let collection = self.locked_default().await?;
        // One without a password opens, and what is not found in it is not there.
        if self.unlock(std::slice::from_ref(&collection)).await.is_ok_and(|opened| opened.contains(&collection)) {
            return None;
        }
        match self.locked(&collection, item, hint).await {
            StoreError::Locked(what) => Some(what),
            _ => None,
        }
    }

    /// The collection that a new item goes to. One without a password is unlocked.
    async fn collection_for_new(
        &self,
        item: &Item,
        hint: &Mutex<Option<Remedy>>,
    ) -> Result<OwnedObjectPath, StoreError> {
        let collection = self.default_collection().await.map_err(|error| failure(&self.bus, &error))?;
        let Some(collection) = collection else {
            return Err(StoreError::Unfit(self.provider().await.no_collection(has_desktop())));
        };
        if self.is_locked(&collection).await && self.unlock(std::slice::from_ref(&collection)).await?.is_empty() {
            return Err(self.locked(&collection, item, hint).await);
        }
        Ok(collection)
    }

    /// Which program serves the secrets.
    async fn provider(&self) -> Provider {
        let bus = Some("org.freedesktop.DBus");
        let asked =
            self.connection.call_method(bus, "/org/freedesktop/DBus", bus, "GetConnectionUnixProcessID", &PROVIDER);
        let process = asked.await.and_then(|answer| answer.body().deserialize::<u32>());
        let name = process.ok().and_then(|process| std::fs::read_to_string(format!("/proc/{process}/comm")).ok());
        Provider::called(&plain(&name.unwrap_or_default()))
    }

    /// Why the object at `path` was not given or changed; `denied` is what a refusal without a dialog means.
    fn refusal(&self, error: &zbus::Error, path: &str, denied: &str) -> StoreError {
        // It was locked or protected since it was found.
        if answered(error, IS_LOCKED) {
            StoreError::Locked(collection_name(path))
        } else if answered(error, "org.freedesktop.DBus.Error.AccessDenied") {
            StoreError::Consent(denied.into())
        } else {
            failure(&self.bus, error)
        }
    }

    /// Runs the prompt that a change comes with, until it is done, `limit` is over or Ctrl-C is pressed. `KeePassXC` makes
    /// every new item and every deletion in one, also where it asks nobody.
    async fn run_prompt(&self, prompt: &OwnedObjectPath, limit: Duration) -> Result<(), StoreError> {
        if prompt.as_str() == "/" {
            return Ok(());
        }
        let broken = |error: zbus::Error| failure(&self.bus, &error);
        let rule = zbus::MatchRule::builder()
            .msg_type(zbus::message::Type::Signal)
            .sender(PROVIDER)
            .and_then(|rule| rule.interface("org.freedesktop.Secret.Prompt")?.member("Completed")?.path(prompt))
            .map_err(broken)?
            .build();
        let mut completed =
            zbus::MessageStream::for_match_rule(rule, &self.connection, Some(1)).await.map_err(broken)?;
        self.change::<_, ()>(prompt, "Prompt.Prompt", &"").await?.ok_or_else(gone)?;
        let interrupted = tokio::signal::ctrl_c();
        let pointed_out = async {
            tokio::time::sleep(POINTED_OUT).await;
            say("raxx: the Secret Service asks for your permission in a window of its own");
            std::future::pending::<()>().await;
        };
        let answer = tokio::select! {
            message = completed.next() => message,
            () = tokio::time::sleep(limit) => None,
            _ = interrupted => None,
            () = pointed_out => None,
        };
        let Some(message) = answer else {
            self.dismiss(prompt).await;
            return Err(StoreError::Consent(CHANGE_DENIED.into()));
        };
        match message.and_then(|message| message.body().deserialize::<(bool, OwnedValue)>()).map_err(broken)? {
            (false, _) => Ok(()),
            (true, _) => Err(StoreError::Consent("the change was declined".into())),
        }
    }
}

/// The program that serves the secrets: each is unlocked in its own way.
#[derive(Debug, PartialEq)]
enum Provider {
    Gnome,
    KeePassXc,
    KWallet,
    /// Its name, where the system tells it.
    Unknown(String),
}

impl Provider {
    /// From the name of its process, of which the kernel keeps 15 bytes.
    fn called(name: &str) -> Provider {
        match name.trim().to_lowercase() {
            name if name.starts_with("gnome-keyring") => Provider::Gnome,
            name if name.starts_with("keepassxc") => Provider::KeePassXc,
            name if name.starts_with("kwallet") || name.starts_with("ksecret") => Provider::KWallet,
            name => Provider::Unknown(name),
        }
    }

    /// What to do so that the item can be read.
    fn hint(&self, item: &Item, desktop: bool, asks: bool) -> Remedy {
        Remedy::Do(match self {
            Provider::Gnome => return Remedy::Type("raxx unlock".into()),
            Provider::KeePassXc if asks => "in KeePassXC, open Tools > Settings > Secret Service Integration \
                 and turn off \"Confirm when passwords are retrieved by clients\""
                .into(),
            Provider::KeePassXc => "unlock the database in KeePassXC".into(),
            Provider::KWallet => "open the wallet in KWalletManager".into(),
            Provider::Unknown(_) if desktop => {
                let (service, account) = (quoted(&item.service), quoted(&item.account));
                return Remedy::Type(format!("secret-tool lookup service {service} account {account} >/dev/null"));
            }
            Provider::Unknown(name) if name.is_empty() => {
                "unlock it in the program that provides the Secret Service".into()
            }
            Provider::Unknown(name) => format!("unlock it in {name}, which provides the Secret Service"),
        })
    }

    /// That there is nowhere to put a new item, and what to do.
    fn no_collection(&self, desktop: bool) -> String {
        let next = match self {
            Provider::KeePassXc => {
                "unlock a database in KeePassXC, and choose what it shares under \
                 Database > Database Settings > Secret Service Integration"
            }
            Provider::KWallet => "make a wallet in KWalletManager",
            Provider::Gnome | Provider::Unknown(_) if desktop => {
                "keep values in a file, with backend = \"file\" under [store] in the configuration, \
                 or make a keyring and set it as default; type: seahorse"
            }
            Provider::Gnome | Provider::Unknown(_) => {
                "keep values in a file, with backend = \"file\" under [store] in the configuration"
            }
        };
        format!("it has no default collection; {next}")
    }
}

/// Whether a dialog would be seen.
fn has_desktop() -> bool {
    ["WAYLAND_DISPLAY", "DISPLAY"].iter().any(|name| env::var_os(name).is_some_and(|value| !value.is_empty()))
}

/// Lets the service meet this connection before it is asked for anything. gnome-keyring (42 to 50) notes a new caller in one
/// turn of its loop and answers in another: when many connect at once, as when tmux brings its panes back, it now and then
/// looks for a caller that is not noted yet and aborts, which leaves the whole desktop with a locked keyring
/// (omacom/omarchy#11590, basecamp/hey-cli#352). An alias that nobody has is looked up without the note, and in the very
/// loop that takes it: once that is answered, the note is there. (A ping is answered beside the loop.)
async fn warm_up(connection: &zbus::Connection) -> zbus::Result<()> {
    let interface = Some("org.freedesktop.Secret.Service");
    match connection.call_method(Some(PROVIDER), SERVICE, interface, "ReadAlias", &"raxx").await {
        Err(error) if !matches!(error, zbus::Error::MethodError(..)) => Err(error),
        _ => Ok(()), // a refusal is an answer too, and what is asked next is refused in its own words
    }
}

fn attributes(item: &Item) -> HashMap<&str, &str> {
    HashMap::from([("service", &*item.service), ("account", &*item.account)])
}

async fn read_all(items: &[Item], answers: &Answers, hint: &Mutex<Option<Remedy>>) -> Result<(), StoreError> {
    let session = Session::begin().await?;
    let locked = Mutex::new(Vec::new());
    join_all(items.iter().enumerate().map(|(at, item)| {
        let (session, locked) = (&session, &locked);
        async move {
            match session.search(item).await {
                Ok(found) if found.unlocked.is_empty() && !found.locked.is_empty() => {
                    locked.lock().unwrap_or_else(PoisonError::into_inner).push((at, found));
                }
                Ok(found) => answers.put(at, session.value(found.unlocked).await),
                Err(why) => answers.put(at, Err(why)),
            }
        }
    }))
    .await;

    // All in one question, so that there is one prompt to dismiss at most.
    let locked = locked.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Some((first, found)) = locked.first() {
        let all = Vec::from_iter(locked.iter().flat_map(|(_, found)| found.locked.iter().cloned()));
        let opened = session.unlock(&all).await.unwrap_or_default();
        let why = session.locked(&found.locked[0], &items[*first], hint).await;
        for (at, found) in &locked {
            let opened = Vec::from_iter(found.locked.iter().filter(|path| opened.contains(path)).cloned());
            let answer = match (opened.is_empty(), &why) {
                (false, _) => session.value(opened).await,
                (true, StoreError::Consent(_)) => Err(why.clone()),
                (true, _) => Err(StoreError::Locked(collection_name(&found.locked[0]))),
            };
            answers.put(*at, answer);
        }
        return Ok(());
    }

    // KeePassXC does not search a locked database: it answers that there is no such item. That must not be told as
    // "missing", which sends a person to mint a new token. A provider that named a locked item does search what is locked.
    let absent = answers.with(|answers| answers.iter().position(|answer| *answer == Some(Ok(None))));
    if let Some(at) = absent
        && let Some(why) = session.locked_away(&items[at], hint).await
    {
        answers.with(|answers| {
            for answer in answers.iter_mut().filter(|answer| **answer == Some(Ok(None))) {
                *answer = Some(Err(StoreError::Locked(why.clone())));
            }
        });
    }
    Ok(())
}

/// Each change is one message, which the bus passes on whole or not at all: whoever is killed here leaves the old value
/// or the new one.
async fn write_one(
    name: &str,
    item: &Item,
    value: &Secret,
    limits: &Limits,
    hint: &Mutex<Option<Remedy>>,
) -> Result<(), StoreError> {
    let create = async {
        let session = Session::begin().await?;
        let found = session.unlocked(session.search(item).await?).await?;
        // The one that reading gives, wherever it is and whatever else is noted on it.
        if let Some(there) = session.by_age(found.unlocked).await.pop() {
            let secret = (&session.path, &[] as &[u8], value.expose().as_bytes(), CONTENT_TYPE);
            match session.change::<_, ()>(&there, "Item.SetSecret", &(secret,)).await {
                Ok(None) => {} // somebody deleted it just now
                done => return done.map(|_| None),
            }
        } else if let Some(locked) = found.locked.first() {
            // A second one beside it would be a duplicate as soon as that one is unlocked.
            return Err(session.locked(locked, item, hint).await);
        }
        create(&session, name, item, value, hint).await.map(|prompt| Some((session, prompt)))
    };
    match in_time(limits.service, create).await? {
        Some((session, prompt)) => session.run_prompt(&prompt, limits.dialog).await,
        None => Ok(()),
    }
}

async fn in_time<T>(limit: Duration, work: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    tokio::time::timeout(limit, work).await.unwrap_or(Err(StoreError::TimedOut))
}

/// Makes the item, or gives the prompt in which it is made.
async fn create(
    session: &Session,
    name: &str,
    item: &Item,
    value: &Secret,
    hint: &Mutex<Option<Remedy>>,
) -> Result<OwnedObjectPath, StoreError> {
    let collection = session.collection_for_new(item, hint).await?;
    let secret = (&session.path, &[] as &[u8], value.expose().as_bytes(), CONTENT_TYPE);
    let properties = HashMap::from([
        ("org.freedesktop.Secret.Item.Label", Value::from(name)),
        ("org.freedesktop.Secret.Item.Attributes", Value::from(attributes(item))),
    ]);
    // With `true` it takes the place of one that another program has made meanwhile.
    let (made, prompt): (OwnedObjectPath, OwnedObjectPath) =
        session.change(&collection, "Collection.CreateItem", &(properties, secret, true)).await?.ok_or_else(gone)?;
    match (made.as_str(), prompt.as_str()) {
        ("/", "/") => Err(StoreError::Broken("it made no item and did not say why".into())),
        _ => Ok(prompt),
    }
}

async fn delete_one(item: &Item, limits: &Limits, hint: &Mutex<Option<Remedy>>) -> Result<bool, StoreError> {
    let begin = async {
        let session = Session::begin().await?;
        let found = session.unlocked(session.search(item).await?).await?;
        // One that stays behind would be back as soon as it is unlocked.
        if let Some(locked) = found.locked.first() {
            return Err(session.locked(locked, item, hint).await);
        }
        if found.unlocked.is_empty() {
            // As in reading: a locked KeePassXC says that there is no such item.
            return match session.locked_away(item, hint).await {
                Some(what) => Err(StoreError::Locked(what)),
                None => Ok((session, Vec::new())),
            };
        }
        let items = session.by_age(found.unlocked).await;
        Ok((session, items))
    };
    let (session, items) = in_time(limits.service, begin).await?;
    let found = !items.is_empty();
    // The one that reading gives goes last: broken off, this leaves the value that was there.
    for item in items {
        // Without a prompt, somebody else was faster.
        if let Some(prompt) = in_time(limits.service, session.change(&item, "Item.Delete", &())).await? {
            session.run_prompt(&prompt, limits.dialog).await?;
        }
    }
    Ok(found)
}

/// What an error of the D-Bus conversation means.
fn failure(bus: &Bus, error: &zbus::Error) -> StoreError {
    let no_provider = ["org.freedesktop.DBus.Error.ServiceUnknown", "org.freedesktop.DBus.Error.NameHasNoOwner"]
        .map(|n| answered(error, n));
    if no_provider.contains(&true) {
        return StoreError::Unavailable("no program on the D-Bus session bus provides a Secret Service".into());
    }
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(inner) = cause {
        let shared = inner.downcast_ref::<Arc<io::Error>>().map(|error| &**error);
        if let Some(error) = inner.downcast_ref().or(shared) {
            return bus.broken(error);
        }
        cause = inner.source();
    }
    let text = plain(&error.to_string());
    match text.split_once("handshake failed: ") {
        Some((_, why)) => StoreError::Broken(format!("the D-Bus session bus at {} let nobody in: {why}", bus.address)),
        None => StoreError::Broken(format!("a D-Bus error: {text}")),
    }
}

/// The object of a change was deleted meanwhile.
fn gone() -> StoreError {
    StoreError::Broken("the object to change no longer exists".into())
}

/// Whether the error is the D-Bus error of this name.
fn answered(error: &zbus::Error, name: &str) -> bool {
    matches!(error, zbus::Error::MethodError(answer, ..) if answer.as_str() == name)
}

/// The collection, from its path or the path of an item in it.
fn collection_path(path: &str) -> &str {
    let Some((start, rest)) = path.split_once("/collection/") else { return path };
    let name = rest.split('/').next().unwrap_or_default();
    &path[..start.len() + "/collection/".len() + name.len()]
}

/// "the login collection", from the path of the collection or of an item in it.
fn collection_name(path: &str) -> String {
    let path = path.split("/collection/").nth(1).and_then(|rest| rest.split('/').next()).unwrap_or_default();
    if path.is_empty() {
        return "the secret collection".into();
    }
    // gnome-keyring writes other characters than letters and digits as `_xx`; not every provider does.
    let unescaped = bus::unescaped(&path.replace('_', "%"));
    let name = String::from_utf8(unescaped).ok().filter(|name| !name.contains('%'));
    format!("the {} collection", plain(&name.unwrap_or_else(|| path.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_the_conversation_are_one_line_of_plain_words() {
        let mut bus = Bus::default();
        bus.address = "unix:path=/b".into();
        let said = |error: zbus::Error| match failure(&bus, &error) {
            StoreError::Broken(why) => why,
            other => panic!("{other:?}"),
        };
        let of_the_bus = said(zbus::Error::Failure("a\n\u{202e}b".into()));
        assert!(of_the_bus.ends_with("a b"), "{of_the_bus}");
        let error = io::Error::from(io::ErrorKind::UnexpectedEof);
        insta::assert_snapshot!("errors_of_the_conversation", format!("{of_the_bus}\n{}\n", said(error.into())));
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
    fn an_item_is_in_the_collection_of_its_path() {
        let login = "/org/freedesktop/secrets/collection/login";
        for (path, collection) in
            [(login, login), ("/org/freedesktop/secrets/collection/login/17", login), ("/elsewhere", "/elsewhere")]
        {
            assert_eq!(collection_path(path), collection);
        }
    }

    #[test]
    fn the_hint_fits_the_program_that_serves() {
        let item = Item { service: "raxx token".into(), account: "a".into() };
        let mut hints = String::new();
        for (process, named) in [
            ("gnome-keyring-d\n", "type: raxx unlock"),
            ("keepassxc", "KeePassXC"),
            ("KeePassXC", "KeePassXC"),
            ("kwalletd6", "KWalletManager"),
            ("ksecretd", "KWalletManager"),
            ("oo7-daemon", "oo7-daemon"),
            ("", "Secret Service"),
        ] {
            let hint = Provider::called(process).hint(&item, false, false).to_string();
            assert!(hint.contains(named), "{hint}");
            hints += &format!("{process:?} => {hint}\n");
        }
        let asks = Provider::KeePassXc.hint(&item, true, true);
        insta::assert_snapshot!("hints", format!("{hints}KeePassXC that asks about each use => {asks}\n"));
        let mut nowhere = String::new();
        for process in ["gnome-keyring-d", "keepassxc", "kwalletd6", "oo7-daemon"] {
            for desktop in [false, true] {
                let where_it_runs = if desktop { "desktop" } else { "no desktop" };
                nowhere +=
                    &format!("{process}, {where_it_runs} => {}\n", Provider::called(process).no_collection(desktop));
            }
        }
        insta::assert_snapshot!("no_collection", nowhere);
        // A desktop has somebody to ask for a password.
        let hint = Provider::called("oo7-daemon").hint(&item, true, false).to_string();
        assert_eq!(hint, "type: secret-tool lookup service 'raxx token' account a >/dev/null");
    }
}
