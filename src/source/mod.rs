//! Where a value comes from: the environment, then the machine's secret store.

pub(crate) mod infisical;

use std::time::Duration;

use crate::config::Credential;
use crate::report::{Cause, Kind, Row};
use crate::secret::{Malformed, Secret, from_environment};
use crate::store::{Remedy, Store, StoreError};

/// The time limit for the store while a shell starts and a person waits.
pub(crate) const STORE_AT_START: Duration = Duration::from_millis(300);

/// The time limit for the store in all other cases.
pub(crate) const STORE: Duration = Duration::from_millis(1_500);

/// Returns the value of the variable, unless it is unset or empty.
pub(crate) fn environment(name: &str) -> Option<Result<Secret, Malformed>> {
    from_environment(name).map(|bytes| Secret::parse(&bytes))
}

/// The store's answer for one credential.
pub(crate) enum Stored {
    Value(Secret),
    Malformed(Malformed),
    Absent,
    Failed(StoreError),
}

/// Reads these credentials from the store in one request. A credential without a store item is absent.
pub(crate) async fn stored(store: &dyn Store, wanted: &[&Credential], limit: Duration) -> Vec<Stored> {
    let items: Vec<_> = wanted.iter().filter_map(|c| c.store.clone()).collect();
    let mut answers = if items.is_empty() { Vec::new() } else { store.read(&items, limit).await }.into_iter();
    let one = |c: &&Credential| match c.store.as_ref().and_then(|_| answers.next()) {
        Some(Ok(Some(bytes))) => match Secret::parse(&bytes) {
            Ok(secret) => Stored::Value(secret),
            Err(why) => Stored::Malformed(why),
        },
        Some(Err(why)) => Stored::Failed(why),
        Some(Ok(None)) | None => Stored::Absent,
    };
    wanted.iter().map(one).collect()
}

/// Returns the row of a credential that no source has, or whose store could not be read.
pub(crate) fn without_value(credential: &Credential, error: Option<&StoreError>, store: &dyn Store) -> Row {
    let store = credential.store.as_ref().map_or(store, |item| store.backend_for(item));
    let name = store.name();
    let row = |kind, words: String| Row::new(&credential.name, &credential.provider, kind, words);
    let store_failed = |words: String, what: String, hint: bool| {
        let mut row = row(Kind::Locked, words);
        match credential.store.as_ref().filter(|_| hint).map(|item| store.unlock_hint(item)) {
            Some(Remedy::Type(command)) => row.next = Some(command),
            Some(Remedy::Do(words)) => row.verdict.hint = Some(words),
            None => {}
        }
        row.verdict.cause = Some(Cause::Store { what });
        row
    };
    let Some(error) = error else {
        let mut row = match &credential.store {
            Some(_) => row(Kind::Missing, format!("not in env or {name}")),
            // `raxx store` has no place to put the value.
            None => Row {
                next: Some(format!("read -rs {0} && export {0}", credential.name)),
                ..row(Kind::Missing, "not in env".into())
            },
        };
        row.verdict.cause = Some(Cause::NotStored);
        row.rotate_via = credential.rotate_via.clone();
        return row;
    };
    match error {
        StoreError::Unavailable(why) => {
            let mut row = row(Kind::Missing, format!("not in env or {name}: {why}"));
            row.verdict.cause = Some(Cause::NoStore);
            row.rotate_via = credential.rotate_via.clone();
            row
        }
        StoreError::Locked(what) => {
            store_failed(format!("in {what}, which is locked"), format!("{what}, which is locked"), true)
        }
        StoreError::Consent(why) => {
            let what = format!("the {name}, which needs your permission: {why}");
            store_failed(format!("in {what}"), what, true)
        }
        StoreError::Unreachable(why) | StoreError::Broken(why) | StoreError::Unfit(why) => store_failed(
            format!("not in env; the {name} does not work: {why}"),
            format!("the {name}, which does not work: {why}"),
            false,
        ),
        StoreError::TimedOut => store_failed(
            format!("not in env; the {name} did not answer in time"),
            format!("the {name}, which did not answer in time"),
            false,
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::store::{Backend, StoreSettings, not_there, store_file, why_not};

    /// Shows the row of the report, and the error of a command that changes the store.
    #[test]
    fn each_store_error_has_its_kind_and_message() {
        let place = tempfile::tempdir().unwrap();
        let path = Some(place.path().join("store.age"));
        let settings = StoreSettings { backend: Backend::File, path, identity: None, offered_identity: None };
        let store = store_file(&settings).unwrap();
        let config = Config::built_in();
        let credential = &config.credentials[2];
        let mut all = String::new();
        for (error, kind) in [
            (None, Kind::Missing),
            (Some(StoreError::Unavailable("(why)".into())), Kind::Missing),
            (Some(StoreError::Locked("(what)".into())), Kind::Locked),
            (Some(StoreError::Consent("(why)".into())), Kind::Locked),
            (Some(StoreError::Unreachable("(why)".into())), Kind::Locked),
            (Some(StoreError::Broken("(why)".into())), Kind::Locked),
            (Some(StoreError::Unfit("(why)".into())), Kind::Locked),
            (Some(StoreError::TimedOut), Kind::Locked),
        ] {
            let row = without_value(credential, error.as_ref(), &store);
            assert_eq!(row.verdict.kind, kind, "{error:?}");
            let item = credential.store.as_ref().unwrap();
            let refused = error.map_or_else(|| not_there(item, &store), |error| why_not(&error, item, &store));
            let next = row.next.map(|command| format!("; type: {command}")).unwrap_or_default();
            all += &format!("{kind:?}: {}{next}\n=> {refused}\n\n", row.verdict.words);
        }
        insta::assert_snapshot!("answers_without_a_value", all);
    }
}
