//! A connection to the Secret Service: calls, prompts, and the meaning of its errors.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use zbus::zvariant::{OwnedObjectPath, OwnedValue, Value};

use super::bus::{self, Bus};
use super::collection::collection_name;
use super::provider::Provider;
use super::unlock;
use crate::process::say;
use crate::store::StoreError;
use crate::text::plain;

const PROVIDER: &str = "org.freedesktop.secrets";
pub(super) const SERVICE: &str = "/org/freedesktop/secrets";
const IS_LOCKED: &str = "org.freedesktop.Secret.Error.IsLocked";
pub(super) const NO_SUCH_OBJECT: &str = "org.freedesktop.Secret.Error.NoSuchObject";

const CHANGE_DENIED: &str = "changing it requires confirmation in a dialog";

/// How long to wait before mentioning a dialog: most services need none and answer at once.
const NOTICE_DELAY: Duration = Duration::from_secs(1);

/// A session with the Secret Service.
pub(super) struct Session {
    pub(super) bus: Bus,
    connection: zbus::Connection,
    pub(super) path: OwnedObjectPath,
}

impl Session {
    pub(super) async fn begin() -> Result<Self, StoreError> {
        let (bus, connection) = bus::connect().await?;
        warm_up(&connection).await.map_err(|error| failure(&bus, &error))?;
        let mut session = Self { bus, connection, path: OwnedObjectPath::default() };
        let plain = ("plain", Value::from(""));
        let opened = session.call::<_, (OwnedValue, OwnedObjectPath)>(SERVICE, "Service.OpenSession", &plain).await;
        session.path = opened.map_err(|error| failure(&session.bus, &error))?.1;
        Ok(session)
    }

    /// Calls a method of the service; `method` is `Interface.Method` without the prefix that all interfaces share.
    pub(super) async fn call<B, R>(&self, path: &str, method: &str, body: &B) -> zbus::Result<R>
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

    /// As [`Session::call`], for methods that change an object; `None` if the object no longer exists.
    pub(super) async fn change<B, R>(&self, path: &str, method: &str, body: &B) -> Result<Option<R>, StoreError>
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

    pub(super) async fn property<T>(&self, path: &str, interface: &str, name: &str) -> Option<T>
    where
        T: TryFrom<OwnedValue>,
    {
        let interface = format!("org.freedesktop.Secret.{interface}");
        let value: OwnedValue = self.call(path, "Properties.Get", &(interface, name)).await.ok()?;
        value.try_into().ok()
    }

    pub(super) async fn is_locked(&self, collection: &str) -> bool {
        self.property(collection, "Collection", "Locked").await.unwrap_or(false)
    }

    /// The program that provides the Secret Service.
    pub(super) async fn provider(&self) -> Provider {
        let bus = Some("org.freedesktop.DBus");
        let answer =
            self.connection.call_method(bus, "/org/freedesktop/DBus", bus, "GetConnectionUnixProcessID", &PROVIDER);
        let process = answer.await.and_then(|answer| answer.body().deserialize::<u32>());
        let name = process.ok().and_then(|process| std::fs::read_to_string(format!("/proc/{process}/comm")).ok());
        Provider::from_process(&plain(&name.unwrap_or_default()))
    }

    /// Why the object at `path` could not be read or changed; `denied` is the message if the service refused without
    /// a dialog.
    pub(super) fn refusal(&self, error: &zbus::Error, path: &str, denied: &str) -> StoreError {
        // It was locked or protected after it was found.
        if answered(error, IS_LOCKED) {
            StoreError::Locked(collection_name(path))
        } else if answered(error, "org.freedesktop.DBus.Error.AccessDenied") {
            StoreError::Consent(denied.into())
        } else {
            failure(&self.bus, error)
        }
    }

    pub(super) async fn dismiss(&self, prompt: &OwnedObjectPath) {
        if prompt.as_str() != "/" {
            // The result does not matter: some providers do not keep a prompt that was never opened.
            _ = self.call::<_, ()>(prompt, "Prompt.Dismiss", &()).await;
        }
    }

    /// Runs the prompt that a change returned, until it completes, `limit` is over or Ctrl-C is pressed. `KeePassXC`
    /// uses a prompt for every new item and every deletion, even if it does not ask the person.
    pub(super) async fn run_prompt(&self, prompt: &OwnedObjectPath, limit: Duration) -> Result<(), StoreError> {
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
        let notice = async {
            tokio::time::sleep(NOTICE_DELAY).await;
            say("raxx: the Secret Service is asking for your permission in another window");
            std::future::pending::<()>().await;
        };
        let answer = tokio::select! {
            message = completed.next() => message,
            () = tokio::time::sleep(limit) => None,
            _ = interrupted => None,
            () = notice => None,
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

/// Makes the service register this connection before the first real request. gnome-keyring (42 to 50) registers a new
/// client in one iteration of its main loop and answers in another. When many clients connect at once, as when tmux
/// restores its panes, it sometimes looks up a client that is not registered yet and aborts, which leaves the whole
/// desktop with a locked keyring (omacom/omarchy#11590, basecamp/hey-cli#352). Reading an alias that does not exist
/// needs no registration but is answered by the same loop, so the client is registered once the answer arrives. (A
/// ping is answered outside the loop.)
async fn warm_up(connection: &zbus::Connection) -> zbus::Result<()> {
    let interface = Some("org.freedesktop.Secret.Service");
    match connection.call_method(Some(PROVIDER), SERVICE, interface, "ReadAlias", &"raxx").await {
        Err(error) if !matches!(error, zbus::Error::MethodError(..)) => Err(error),
        _ => Ok(()), // an error is an answer too; the next request reports its own error
    }
}

/// Converts a D-Bus error into a store error.
pub(super) fn failure(bus: &Bus, error: &zbus::Error) -> StoreError {
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
        Some((_, why)) => {
            StoreError::Broken(format!("the D-Bus session bus at {} rejected the login: {why}", bus.address))
        }
        None => StoreError::Broken(format!("a D-Bus error: {text}")),
    }
}

/// The error if the object to change was deleted in the meantime.
pub(super) fn gone() -> StoreError {
    StoreError::Broken("the object to change no longer exists".into())
}

/// Whether the error is the D-Bus error of this name.
pub(super) fn answered(error: &zbus::Error, name: &str) -> bool {
    matches!(error, zbus::Error::MethodError(answer, ..) if answer.as_str() == name)
}
