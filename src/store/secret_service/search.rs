//! Searching the Secret Service for items with the attributes of one of raxx's items.

use std::collections::HashMap;

use futures_util::future::join_all;
use zbus::zvariant::OwnedObjectPath;

use super::session::{SERVICE, Session, failure};
use crate::store::{Item, StoreError};

/// The most items with the same attributes that are compared by age.
const MAX_ALIKE: usize = 100;

/// The result of a search.
pub(super) struct Found {
    pub(super) unlocked: Vec<OwnedObjectPath>,
    pub(super) locked: Vec<OwnedObjectPath>,
}

impl Session {
    pub(super) async fn search(&self, item: &Item) -> Result<Found, StoreError> {
        let found = self.call(SERVICE, "Service.SearchItems", &(attributes(item),)).await;
        let (unlocked, locked) = found.map_err(|error| failure(&self.bus, &error))?;
        Ok(Found { unlocked, locked })
    }

    /// Sorts the items by modification time, newest last. If two programs or two collections have the same item, the
    /// newest is the one that a person rotated.
    pub(super) async fn by_age(&self, mut items: Vec<OwnedObjectPath>) -> Vec<OwnedObjectPath> {
        if items.len() < 2 {
            return items;
        }
        // More are not realistic. Ignoring the rest keeps the query time limited.
        items.truncate(MAX_ALIKE);
        let written = join_all(items.iter().map(|item| self.property::<u64>(item, "Item", "Modified"))).await;
        let mut items = Vec::from_iter(written.into_iter().map(|time| time.unwrap_or(0)).zip(items));
        items.reverse();
        items.sort_by_key(|(time, _)| *time);
        items.into_iter().map(|(_, item)| item).collect()
    }
}

pub(super) fn attributes(item: &Item) -> HashMap<&str, &str> {
    HashMap::from([("service", &*item.service), ("account", &*item.account)])
}
