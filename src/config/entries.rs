//! The parts of a configuration that are tables of their own: a credential, and the vault.

use std::time::Duration;

use toml::Spanned;

use super::file::{File, duration};
use super::{Config, ConfigError, Credential, CredentialForm, Infisical, InfisicalForm, Items};
use crate::provider::base_url::vault_url;

/// Reads a `warn_before`.
pub(super) fn warn_time(file: &File, text: Option<&Spanned<String>>) -> Result<Option<Duration>, ConfigError> {
    let year = Duration::from_secs(365 * 86_400);
    text.map(|text| duration(file, text, "warn_before", ("0s", Duration::ZERO), ("365d", year))).transpose()
}

/// Reads `[vault.infisical]`; `base` has what the file does not set.
pub(super) fn infisical(file: &File, vault: InfisicalForm, base: Option<&Config>) -> Result<Infisical, ConfigError> {
    let vault_url = match &vault.base_url {
        Some(text) => Some(vault_url(text.get_ref()).map_err(|why| file.error(Some(text.span()), why))?),
        None => None,
    };
    if let Some(text) = &vault.rotate_via {
        file.no_secret(text.span(), "rotate_via", text.get_ref())?;
    }
    Ok(Infisical {
        enabled: vault.enabled.or(base.map(|b| b.infisical.enabled)).unwrap_or(true),
        base_url: vault_url.or(base.map(|b| b.infisical.base_url.clone())).expect("the defaults have one"),
        rotate_via: vault
            .rotate_via
            .map(Spanned::into_inner)
            .or_else(|| base.and_then(|b| b.infisical.rotate_via.clone())),
        warn_before: warn_time(file, vault.warn_before.as_ref())?,
    })
}

/// Reads a `[[credential]]` whose name has been checked.
pub(super) fn credential(file: &File, form: CredentialForm, items: &mut Items) -> Result<Credential, ConfigError> {
    if let Some(id) = &form.account_id {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if id.get_ref().is_empty() || !id.get_ref().chars().all(plain) {
            let why = "account_id can contain only letters, digits, - and _";
            return Err(file.error(Some(id.span()), why));
        }
    }
    for (key, text) in [("rotate_via", &form.rotate_via), ("scope", &form.scope)] {
        if let Some(text) = text {
            file.no_secret(text.span(), key, text.get_ref())?;
        }
    }
    if let Some(item) = &form.store {
        file.no_secret(item.span(), "store", &item.get_ref().service)?;
        file.no_secret(item.span(), "store", &item.get_ref().account)?;
        items.check(file, &form.name, item)?;
    }
    file.no_secret(form.provider.span(), "provider", form.provider.get_ref())?;
    Ok(Credential {
        name: form.name.into_inner(),
        provider: form.provider.into_inner(),
        store: form.store.map(Spanned::into_inner),
        rotate_via: form.rotate_via.map(Spanned::into_inner),
        scope: form.scope.map(Spanned::into_inner),
        account_id: form.account_id.map(Spanned::into_inner),
        warn_before: warn_time(file, form.warn_before.as_ref())?,
    })
}
