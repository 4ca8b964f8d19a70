//! `raxx forget`: takes a value out of the store.

use std::process::ExitCode;

use anyhow::{Result, bail};

use super::credential;
use crate::ask;
use crate::cli::ForgetArgs;
use crate::config::Config;
use crate::keep::{current, forget, place};
use crate::process::{block_on, say};
use crate::store;

/// # Errors
/// Usage, configuration, a store that cannot be written.
pub fn run(args: &ForgetArgs) -> Result<ExitCode> {
    let config = Config::load()?;
    let credential = credential(&config, &args.name)?;
    let item = place(credential)?;
    let store = store::open(&config);
    let name = &credential.name;
    block_on(async {
        if current(&*store, item).await?.is_none() {
            say(&format!("raxx: {name} is not in the {}", store.name()));
            return Ok(ExitCode::FAILURE);
        }
        if !args.yes {
            match ask::yes(&format!("Take {name} out of the {}?", store.name())) {
                Some(true) => {}
                Some(false) => {
                    say("raxx: nothing is changed");
                    return Ok(ExitCode::FAILURE);
                }
                None => bail!("there is no terminal to ask on: raxx forget {name} --yes"),
            }
        }
        forget(&*store, item).await?;
        say(&format!("raxx: {name} is out of the {}. In this shell it stays until: raxx unset", store.name()));
        Ok(ExitCode::SUCCESS)
    })?
}
