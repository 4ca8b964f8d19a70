//! `raxx unlock` and `raxx lock`: the store file's passphrase; and the question how a new store file is to be opened.

use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::ask::{self, Terminal};
use crate::cli::UnlockArgs;
use crate::config::Config;
use crate::keep::LIMIT;
use crate::process::{block_on, say, unbroken, until_a_signal};
use crate::secret::Secret;
use crate::store::{self, FirstWrite, Form, KEPT_HOURS, Lookup, Refused, StoreFile};

/// `raxx unlock`.
///
/// # Errors
/// Usage, configuration, a store file that cannot be unlocked whatever the passphrase is.
pub fn unlock(args: &UnlockArgs) -> Result<ExitCode> {
    let file = store_file(&Config::load()?)?;
    if let Err(why) = file.can_be_unlocked() {
        return refused(why);
    }
    block_on(until_a_signal(async {
        let mut terminal = Terminal::new();
        let bytes = match args.stdin && !ask::stdin_is_a_person() {
            true => ask::piped().await?,
            false => terminal.hidden("Passphrase of the store file: ").await?,
        };
        if let Err(why) = file.unlock(&passphrase(&bytes)?) {
            return refused(why);
        }
        say(&format!("raxx: the store file is unlocked for {KEPT_HOURS} hours, or until: raxx lock"));
        Ok(ExitCode::SUCCESS)
    }))?
}

/// `raxx lock`.
///
/// # Errors
/// Usage, configuration, a keyring that cannot be used.
pub fn lock() -> Result<ExitCode> {
    let said = match store_file(&Config::load()?)?.lock() {
        Ok(true) => "the store file is locked",
        Ok(false) => "the store file was not unlocked",
        Err(why) => bail!("{why}"),
    };
    say(&format!("raxx: {said}"));
    Ok(ExitCode::SUCCESS)
}

fn store_file(config: &Config) -> Result<StoreFile> {
    match store::store_file(config) {
        Some(file) => Ok(file),
        None => bail!(
            "values are kept in the {} here: only a store file is unlocked and locked by raxx",
            store::open(config).name()
        ),
    }
}

fn refused(why: Refused) -> Result<ExitCode> {
    match why {
        Refused::WrongPassphrase => {
            say("raxx: wrong passphrase; nothing is changed");
            Ok(ExitCode::FAILURE)
        }
        Refused::Nothing(why) | Refused::Broken(why) => bail!("{why}"),
    }
}

fn passphrase(bytes: &[u8]) -> Result<Secret> {
    Secret::parse(bytes).map_err(|why| anyhow::anyhow!("{}", why.words().replace("not a token", "not a passphrase")))
}

/// Makes the store file where the configuration or the person wants one and there is none yet. The terminal is where a
/// person may be asked.
///
/// # Errors
/// It cannot be made, or nobody says how it is to be opened.
pub async fn ready_to_write(config: &Config, terminal: Option<&mut Terminal>) -> Result<()> {
    let store = store::open(config);
    let Some(first) = store.first_write(LIMIT).await else { return Ok(()) };
    let form = match (&first.identity, terminal) {
        (Some(path), _) => Form::Identity(path.clone()),
        (None, Some(terminal)) => choose(&first, terminal).await?,
        (None, None) => bail!("{}", first.advice()),
    };
    match unbroken(first.create(&form, LIMIT)).await {
        Ok(made) => {
            for path in made {
                say(&format!("raxx: made {}", path.display()));
            }
            Ok(())
        }
        Err(Lookup::Broken(why)) => bail!("{why}"),
        Err(_) => bail!("another raxx is making {} and takes too long", first.path().display()),
    }
}

async fn choose(first: &FirstWrite, terminal: &mut Terminal) -> Result<Form> {
    const PASSPHRASE: &str = "passphrase";
    const IDENTITY: &str = "identity";
    if !terminal.is_there() {
        bail!("{}", first.advice());
    }
    say(&format!(
        "raxx: there is no secret store here: values are kept in an encrypted file, {}",
        first.path().display()
    ));
    say("raxx:   passphrase  typed once after each start of the machine: raxx unlock");
    let offered = store::offered_identity();
    if let Some(identity) = &offered {
        say(&format!(
            "raxx:   identity    a key in {}, for machines that nobody unlocks; who can read it can read the values",
            identity.display()
        ));
    }
    match (terminal.one_of("How is it to be opened?", &[PASSPHRASE, IDENTITY]).await, offered) {
        (Some(IDENTITY), Some(path)) => Ok(Form::Identity(path)),
        (Some(PASSPHRASE), _) => {
            if let Err(why) = first.can_have_passphrase() {
                bail!("{why}");
            }
            loop {
                let first = passphrase(&terminal.hidden("New passphrase of the store file: ").await?)?;
                if passphrase(&terminal.hidden("Repeat the passphrase: ").await?)? == first {
                    return Ok(Form::Passphrase(first));
                }
                say("raxx: the two passphrases differ; type both again");
            }
        }
        _ => bail!("no form was chosen; nothing is made"),
    }
}
