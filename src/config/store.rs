//! `[store]`: which secret store to use.

use serde::Deserialize;
use toml::Spanned;

use super::file::{ConfigError, File, absolute};
use super::paths::{directory, xdg};
use crate::store::{Backend, StoreSettings};
use crate::text::typed::{shown, suggestion};

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct StoreForm {
    backend: Option<Spanned<String>>,
    path: Option<Spanned<String>>,
    identity: Option<Spanned<String>>,
}

pub(super) fn store_settings(file: &File, form: &StoreForm) -> Result<StoreSettings, ConfigError> {
    let backend = match &form.backend {
        None => Backend::Auto,
        Some(text) => {
            let refuse = |why: String| file.error(Some(text.span()), why);
            let word = text.get_ref().as_str();
            let Some((_, backend)) = Backend::WORDS.iter().find(|(known, _)| *known == word) else {
                let known = Backend::WORDS.map(|(known, _)| known);
                let why = format!("unknown backend{}: {}", shown(word, &known), suggestion(word, &known));
                return Err(refuse(why));
            };
            if !backend.is_supported() {
                let here: Vec<&str> =
                    Backend::WORDS.iter().filter(|(_, b)| b.is_supported()).map(|(known, _)| *known).collect();
                let os = std::env::consts::OS;
                return Err(refuse(format!("{os} has no backend \"{word}\": use one of {}", here.join(", "))));
            }
            *backend
        }
    };
    let path = |text: &Option<Spanned<String>>, key: &str| text.as_ref().map(|t| absolute(file, t, key)).transpose();
    Ok(StoreSettings {
        backend,
        path: path(&form.path, "path")?.or_else(|| Some(xdg("XDG_DATA_HOME", ".local/share")?.join("store.age"))),
        identity: path(&form.identity, "identity")?,
        offered_identity: directory().map(|dir| dir.join("identity.txt")),
    })
}
