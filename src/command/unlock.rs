//! `raxx unlock` and `raxx lock`: a keyring's password and the store file's passphrase; and how a new store file is protected.

use std::process::ExitCode;

use anyhow::{Result, bail};
use zeroize::Zeroizing;

use crate::cli::UnlockArgs;
use crate::config::Config;
use crate::process::{block_on, say, unbroken, until_a_signal};
use crate::secret::Secret;
use crate::store::update::LIMIT;
use crate::store::why_not;
use crate::store::{self, FirstWrite, Form, Item, KEPT_HOURS, Keyring, Store, StoreError, StoreFile, UnlockError};
use crate::terminal::{self, Terminal};

/// How many times a password can be tried.
const TRIES: usize = 3;

/// Unlocks the locked keyrings, then the store file.
///
/// # Errors
/// Usage, configuration, a store that no password unlocks.
pub(crate) fn unlock(args: &UnlockArgs) -> Result<ExitCode> {
    let config = Config::load()?;
    block_on(until_a_signal(async {
        let store = store::open(&config.store);
        let items: Vec<Item> = config.credentials.iter().filter_map(|credential| credential.store.clone()).collect();
        let locked = store.locked_keyrings(&items, LIMIT).await;
        let file = store::store_file(&config.store).map(|file| file.can_be_unlocked().map(|()| file));
        let mut input = Input { piped: args.stdin && !terminal::stdin_is_a_terminal(), terminal: Terminal::new() };
        match (locked, file) {
            (Ok(keyrings), file) if !keyrings.is_empty() => {
                let file = file.and_then(Result::ok);
                if input.piped && keyrings.len() + usize::from(file.is_some()) > 1 {
                    bail!("several stores are locked, and a pipe has only one password; type: raxx unlock");
                }
                for keyring in &keyrings {
                    if !unlock_keyring(&*store, keyring, &mut input).await? {
                        return Ok(ExitCode::FAILURE);
                    }
                }
                match file {
                    Some(file) => unlock_file(&file, &mut input).await,
                    None => Ok(ExitCode::SUCCESS),
                }
            }
            // A problem of the service matters only if there is no file to unlock.
            (_, Some(Ok(file))) => unlock_file(&file, &mut input).await,
            (
                Err(
                    why @ (StoreError::Locked(_)
                    | StoreError::Consent(_)
                    | StoreError::Broken(_)
                    | StoreError::TimedOut),
                ),
                _,
            ) => {
                let item = items.first().cloned().unwrap_or_else(Item::probe);
                bail!("{}", why_not(&why, &item, &*store))
            }
            (Ok(_), _) if store.keeps_keyrings() => {
                say(&format!("raxx: nothing is locked: values can be read from the {}", store.name()));
                Ok(ExitCode::SUCCESS)
            }
            (_, Some(Err(why))) => refused(why),
            (_, None) if cfg!(target_os = "macos") => {
                bail!("this machine stores values in the Keychain; type: security unlock-keychain")
            }
            (Err(why), None) => {
                let item = items.first().cloned().unwrap_or_else(Item::probe);
                bail!("{}", why_not(&why, &item, &*store))
            }
            (Ok(_), None) => no_file(&config),
        }
    }))?
}

/// Where passwords come from.
struct Input {
    piped: bool,
    terminal: Terminal,
}

impl Input {
    async fn hidden(&mut self, question: &str) -> Result<Zeroizing<Vec<u8>>> {
        if self.piped { terminal::piped().await } else { self.terminal.hidden(question).await }
    }
}

/// Passes the password to the keyring's own program. Returns whether the keyring is unlocked.
async fn unlock_keyring(store: &dyn Store, keyring: &Keyring, input: &mut Input) -> Result<bool> {
    for _ in 0..TRIES {
        let mut password = input.hidden(&format!("Password of {}: ", keyring.name)).await?;
        // The newline is not part of the password.
        if password.last() == Some(&b'\n') {
            password.pop();
        }
        match store.unlock_keyring(keyring, password, LIMIT).await {
            Ok(true) => {
                say(&format!("raxx: {} is unlocked; to load its values, type: raxx load", keyring.name));
                return Ok(true);
            }
            Ok(false) => say(&format!("raxx: wrong password: {} is still locked", keyring.name)),
            Err(StoreError::TimedOut) => bail!("the {} did not answer in time", store.name()),
            Err(
                StoreError::Locked(why) | StoreError::Consent(why) | StoreError::Broken(why) | StoreError::Unfit(why),
            ) => {
                bail!("{} could not be unlocked: {why}", keyring.name)
            }
            Err(_) => bail!("{} could not be unlocked: its service is gone", keyring.name),
        }
        if input.piped {
            break;
        }
    }
    Ok(false)
}

async fn unlock_file(file: &StoreFile, input: &mut Input) -> Result<ExitCode> {
    let bytes = input.hidden("Passphrase of the store file: ").await?;
    if let Err(why) = file.unlock(&passphrase(&bytes)?) {
        return refused(why);
    }
    say(&format!("raxx: the store file is unlocked for {KEPT_HOURS} hours; lock it sooner with: raxx lock"));
    Ok(ExitCode::SUCCESS)
}

/// Locks the store file.
///
/// # Errors
/// Usage, configuration, a keyring that cannot be used.
pub(crate) fn lock() -> Result<ExitCode> {
    let said = match store_file(&Config::load()?)?.lock() {
        Ok(true) => "the store file is locked",
        Ok(false) => "the store file was not unlocked",
        Err(why) => bail!("{why}"),
    };
    say(&format!("raxx: {said}"));
    Ok(ExitCode::SUCCESS)
}

fn store_file(config: &Config) -> Result<StoreFile> {
    store::store_file(&config.store).map_or_else(|| no_file(config), Ok)
}

fn no_file<T>(config: &Config) -> Result<T> {
    bail!("this machine stores values in the {}: raxx can lock only a store file", store::open(&config.store).name())
}

fn refused(why: UnlockError) -> Result<ExitCode> {
    match why {
        UnlockError::WrongPassphrase => {
            say("raxx: wrong passphrase; nothing was changed");
            Ok(ExitCode::FAILURE)
        }
        UnlockError::Nothing(why) | UnlockError::Broken(why) => bail!("{why}"),
    }
}

fn passphrase(bytes: &[u8]) -> Result<Secret> {
    Secret::parse(bytes)
        .map_err(|why| anyhow::anyhow!("{}", why.to_string().replace("not a token", "not a passphrase")))
}

/// Creates the store file if this machine needs one and does not have it. Without a terminal the person is not asked.
///
/// # Errors
/// It cannot be created, or its protection was not chosen.
pub(crate) async fn ready_to_write(config: &Config, terminal: Option<&mut Terminal>) -> Result<()> {
    let store = store::open(&config.store);
    let Some(first) = store.first_write(LIMIT).await else { return Ok(()) };
    let form = match (&first.identity, terminal) {
        (Some(path), _) => Form::Identity(path.clone()),
        (None, Some(terminal)) => choose(&first, terminal).await?,
        (None, None) => bail!("{}", first.advice()),
    };
    match unbroken(first.create(&form, LIMIT)).await {
        Ok(made) => {
            for path in made {
                say(&format!("raxx: created {}", path.display()));
            }
            Ok(())
        }
        Err(StoreError::Broken(why)) => bail!("{why}"),
        Err(_) => bail!("another raxx process is creating {} and did not finish in time", first.path().display()),
    }
}

async fn choose(first: &FirstWrite, terminal: &mut Terminal) -> Result<Form> {
    const PASSPHRASE: &str = "passphrase";
    const IDENTITY: &str = "identity";
    if !terminal.exists() {
        bail!("{}", first.advice());
    }
    say(&format!(
        "raxx: this machine has no secret store: values are stored in an encrypted file, {}",
        first.path().display()
    ));
    say("raxx:   passphrase  entered once after each boot with: raxx unlock");
    let offered = first.offered_identity();
    if let Some(identity) = &offered {
        say(&format!(
            "raxx:   identity    a key in {}, for unattended machines; anyone who can read it can read the values",
            identity.display()
        ));
    }
    match (terminal.one_of("How should it be protected?", &[PASSPHRASE, IDENTITY]).await, offered) {
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
        _ => bail!("nothing was chosen, so no store file was created"),
    }
}
