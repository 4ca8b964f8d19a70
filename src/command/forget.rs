//! `raxx forget`: deletes a value from the store.

use std::process::ExitCode;

use anyhow::{Result, bail};

use super::session::{Session, recheck_command};
use crate::cli::ForgetArgs;
use crate::process::{block_on, say, until_a_signal};
use crate::source::environment;
use crate::store::update::{exists, forget};
use crate::terminal::Terminal;

/// # Errors
/// Usage, configuration, a store that cannot be written.
pub(crate) fn run(args: &ForgetArgs) -> Result<ExitCode> {
    let session = Session::new()?;
    let credential = session.credential(&args.name)?;
    let item = credential.place_in_store()?;
    let store = session.store();
    let name = &credential.name;
    block_on(until_a_signal(async {
        if !exists(store, item).await? {
            say(&format!("raxx: {name} is not in the {}", store.backend_for(item).name()));
            return Ok(ExitCode::FAILURE);
        }
        if !args.yes {
            match Terminal::new().yes(&format!("Delete {name} from the {}?", store.backend_for(item).name())).await {
                Some(true) => {}
                Some(false) => {
                    say("raxx: nothing was changed");
                    return Ok(ExitCode::FAILURE);
                }
                None => bail!("there is no terminal to confirm on; type: raxx forget {name} --yes"),
            }
        }
        forget(store, name, item, &recheck_command(&session.config, name)).await?;
        let here = match environment(name) {
            Some(_) => format!(". This shell still has it. Type: unset {name}"),
            None => String::new(),
        };
        say(&format!("raxx: deleted {name} from the {}{here}", store.backend_for(item).name()));
        Ok(ExitCode::SUCCESS)
    }))?
}
