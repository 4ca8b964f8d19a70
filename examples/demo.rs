//! A demo without tokens: what a new terminal with raxx feels like.
//!
//!     cargo run --example demo               opens your own shell in it
//!     cargo run --example demo -- --script   types the commands and prints the transcript
//!
//! It has a provider on loopback, a temporary home, and four made-up credentials, one of them revoked. It never accesses your
//! tokens, your home, your secret store or the network.

#![allow(clippy::pedantic, clippy::print_stderr, clippy::print_stdout, clippy::unwrap_used, unreachable_pub)] // for the program

#[path = "../tests/support/loopback.rs"]
mod loopback;

use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use jiff::{SignedDuration, Timestamp};
use loopback::{Answer, Loopback};

const PROMPT: &str = "raxx-demo$ ";

/// All values are made up. The Heroku key is the revoked one.
const CREDENTIALS: [(&str, &str, &str, &str); 4] = [
    (
        "CLOUDFLARE_ACCESS_MGMT_TOKEN",
        "cloudflare",
        "cfut_ThisTokenIsMadeUpAndOpensNothingAtAll0123456789ab",
        "docs/ops/runbooks/rotation/cloudflare-user-api-token.md",
    ),
    (
        "CF_WORKER_DEPLOY",
        "cloudflare",
        "cfut_ThisTokenIsMadeUpTooAndOpensNothingEither01239f2a",
        "docs/ops/runbooks/rotation/cloudflare-user-api-token.md (scope: Zone:Workers Routes:Edit)",
    ),
    (
        "HEROKU_API_KEY",
        "heroku",
        "HRKU-AAThisKeyIsMadeUpAndDeadAsWellAsADemonstrationNeedsOneTo1234",
        "docs/ops/runbooks/rotation/heroku-platform-token.md",
    ),
    (
        "GITHUB_API_SECRETS_TOKEN",
        "github",
        "github_pat_ThisTokenIsMadeUpAndOpensNothingAtAll_ItStandsHereForTheDemonstrationOfRaxxAlone0cdef",
        "docs/ops/runbooks/rotation/github-pat.md",
    ),
];
const DEAD: &str = "HEROKU_API_KEY";

/// The variables that the demo's shell keeps: the terminal's settings, and no token.
const KEPT: [&str; 9] = ["TERM", "COLORTERM", "LANG", "LC_ALL", "LC_CTYPE", "USER", "LOGNAME", "TZ", "NO_COLOR"];

fn main() -> ExitCode {
    let script = match std::env::args().skip(1).collect::<Vec<_>>().as_slice() {
        [] => false,
        [only] if only == "--script" => true,
        _ => {
            eprintln!("usage: cargo run --example demo [-- --script]");
            return ExitCode::from(2);
        }
    };
    match run(script) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(script: bool) -> Result<()> {
    let raxx = binary()?;
    let shell = shell()?;
    let providers = providers();
    let home = tempfile::Builder::new().prefix("raxx-demo-").tempdir().context("cannot create a temporary home")?;
    remove_when_killed(home.path().to_path_buf(), script);
    write_home(home.path(), &providers)?;
    let environment = environment(home.path(), &raxx, &shell);
    if script {
        let transcript = run_script(&shell, home.path(), &environment)?;
        print!("{transcript}");
    } else {
        eprintln!(
            "A new terminal with raxx: four made-up credentials, one of them revoked, and a provider on loopback."
        );
        eprintln!("Try: raxx check, raxx load, raxx unset, raxx --help. To leave: exit");
        // The exit code of the user's last command does not matter.
        let mut command = Command::new(&shell);
        command.arg("-i").env_clear().envs(environment).current_dir(home.path());
        command.status().with_context(|| format!("cannot start {}", shell.display()))?;
        eprintln!("The demo is over; everything it created has been removed.");
    }
    remove_home(home.path(), 5).context("cannot remove the temporary home")
}

/// Removes the home until it stays removed for `looks` times 30 ms: a background check can still write to it.
fn remove_home(home: &Path, looks: u32) -> std::io::Result<()> {
    let (mut away, mut end) = (0, Ok(()));
    for _ in 0..200 {
        end = std::fs::remove_dir_all(home);
        away = if home.exists() { 0 } else { away + 1 };
        if away == looks {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(30));
    }
    end
}

/// The raxx built with this example. If cargo is available, it is rebuilt first, so that it is never outdated.
fn binary() -> Result<PathBuf> {
    let here = std::env::current_exe()?;
    let profile = here.parent().and_then(Path::parent).context("the example is not in a target directory")?;
    if let Some(cargo) = std::env::var_os("CARGO") {
        let mut build = Command::new(cargo);
        build.args([
            "build",
            "--quiet",
            "--bin",
            "raxx",
            "--manifest-path",
            concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"),
        ]);
        if profile.file_name().is_some_and(|name| name == "release") {
            build.arg("--release");
        }
        ensure!(build.status()?.success(), "cannot build raxx");
    }
    let raxx = profile.join("raxx");
    ensure!(raxx.is_file(), "{} does not exist: run cargo build", raxx.display());
    Ok(raxx)
}

/// The user's own shell if raxx supports it, otherwise the first supported one that is installed.
fn shell() -> Result<PathBuf> {
    let own = std::env::var_os("SHELL").map(PathBuf::from);
    if let Some(own) = own.filter(|shell| is(shell, "zsh") || is(shell, "bash")).filter(|shell| shell.is_file()) {
        return Ok(own);
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let found = ["zsh", "bash"].iter().find_map(|name| places.iter().map(|p| p.join(name)).find(|p| p.is_file()));
    let Some(found) = found else { bail!("the demo needs zsh or bash, and neither is installed") };
    Ok(found)
}

fn is(shell: &Path, name: &str) -> bool {
    shell.file_name().is_some_and(|file| file == name)
}

fn providers() -> Loopback {
    let server = Loopback::start();
    // As slow as a provider on another continent: the prompt is ready long before the answer.
    server.latency(Duration::from_millis(250));
    for (name, provider, value, _) in CREDENTIALS {
        if name != DEAD {
            server.accept(value);
        }
        if provider == "github" {
            // Plus half a day, so that it is 41 full days however slowly the user types.
            let expiry = Timestamp::now() + SignedDuration::from_hours(41 * 24 + 12);
            let expiry = expiry.strftime("%Y-%m-%d %H:%M:%S UTC").to_string();
            let user = Answer::json(200, r#"{"login":"octo-op","id":1,"type":"User"}"#);
            server.react(value, user.with("github-authentication-token-expiration", &expiry));
        }
    }
    server
}

/// Writes a configuration, and rc files with the line that installs the hook.
fn write_home(home: &Path, providers: &Loopback) -> Result<()> {
    let mut config = String::new();
    for (name, provider, _, page) in CREDENTIALS {
        // No item in a store: the demo must not access the user's own store.
        config += &format!("[[credential]]\nname = \"{name}\"\nprovider = \"{provider}\"\nrotate_via = \"{page}\"\n\n");
    }
    config += &providers.config();
    std::fs::create_dir_all(home.join(".config/raxx"))?;
    std::fs::write(home.join(".config/raxx/config.toml"), config)?;
    // PROMPT_SP would add a mark and fill the line, which a transcript would show.
    std::fs::write(
        home.join(".zshrc"),
        format!("PS1='{PROMPT}'\nsetopt no_prompt_sp\nunset HISTFILE\neval \"$(raxx init zsh)\"\n"),
    )?;
    std::fs::write(home.join(".bashrc"), format!("PS1='{PROMPT}'\nunset HISTFILE\neval \"$(raxx init bash)\"\n"))?;
    // Some systems print a greeting unless this file exists.
    std::fs::write(home.join(".hushlogin"), "")?;
    Ok(())
}

fn environment(home: &Path, raxx: &Path, shell: &Path) -> Vec<(String, String)> {
    let mut environment: Vec<(String, String)> =
        KEPT.iter().filter_map(|name| Some((name.to_string(), std::env::var(name).ok()?))).collect();
    let path = std::env::var("PATH").unwrap_or_else(|_| "/usr/bin:/bin".into());
    let directory = raxx.parent().unwrap_or(Path::new("."));
    environment.push(("PATH".into(), format!("{}:{path}", directory.display())));
    environment.push(("SHELL".into(), shell.display().to_string()));
    for (name, under) in [
        ("HOME", ""),
        ("ZDOTDIR", ""),
        ("XDG_CONFIG_HOME", ".config"),
        ("XDG_STATE_HOME", ".local/state"),
        ("XDG_DATA_HOME", ".local/share"),
        ("XDG_CACHE_HOME", ".cache"),
    ] {
        environment.push((name.into(), home.join(under).display().to_string().trim_end_matches('/').into()));
    }
    environment.push(("DBUS_SESSION_BUS_ADDRESS".into(), "unix:path=/nonexistent".into()));
    environment.extend(CREDENTIALS.iter().map(|(name, _, value, _)| (name.to_string(), value.to_string())));
    environment
}

/// Removes the home after a closed window or a kill too. Ctrl-C belongs to the shell, except with `--script`, which no one
/// controls.
fn remove_when_killed(home: PathBuf, script: bool) {
    use tokio::signal::unix::{SignalKind, signal};
    thread::spawn(move || -> Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let code = runtime.block_on(async {
            let (mut hangup, mut terminate) = (signal(SignalKind::hangup())?, signal(SignalKind::terminate())?);
            let mut interrupt = signal(SignalKind::interrupt())?;
            loop {
                tokio::select! {
                    _ = hangup.recv() => return anyhow::Ok(129),
                    _ = terminate.recv() => return Ok(143),
                    _ = interrupt.recv() => if script { return Ok(130) },
                }
            }
        })?;
        // The shell inside is still running, and starts a check at its first prompt.
        let _ = remove_home(&home, 50);
        std::process::exit(code);
    });
}

/// A terminal that the script types into, tall enough that the transcript does not scroll.
struct Terminal {
    screen: Arc<Mutex<vt100::Parser>>,
    keyboard: Box<dyn Write + Send>,
    child: Box<dyn portable_pty::Child + Send + Sync>,
}

const ROWS: NonZeroU16 = NonZeroU16::new(120).unwrap();
const COLUMNS: NonZeroU16 = NonZeroU16::new(120).unwrap();

impl Terminal {
    fn open(shell: &Path, home: &Path, environment: &[(String, String)]) -> Result<Terminal> {
        let size = portable_pty::PtySize { rows: ROWS.get(), cols: COLUMNS.get(), pixel_width: 0, pixel_height: 0 };
        let pty = portable_pty::native_pty_system().openpty(size)?;
        let mut command = portable_pty::CommandBuilder::new(shell);
        command.arg("-i");
        command.env_clear();
        environment.iter().for_each(|(name, value)| command.env(name, value));
        command.env("TERM", "xterm-256color");
        command.cwd(home);
        let child = pty.slave.spawn_command(command)?;
        let screen = Arc::new(Mutex::new(vt100::Parser::new(ROWS, COLUMNS, 0)));
        let (mut output, shown) = (pty.master.try_clone_reader()?, screen.clone());
        let keyboard = pty.master.take_writer()?;
        thread::spawn(move || {
            // Reads until the terminal closes.
            let _pty = pty;
            let mut chunk = [0; 4096];
            while let Ok(count @ 1..) = output.read(&mut chunk) {
                shown.lock().expect("no reader panics").process(&chunk[..count]);
            }
        });
        Ok(Terminal { screen, keyboard, child })
    }

    /// The text on the screen, without control sequences.
    fn text(&self) -> String {
        let screen = self.screen.lock().expect("no reader panics");
        let lines: Vec<String> = screen.screen().rows(0, COLUMNS.get()).map(|row| row.trim_end().to_string()).collect();
        lines.join("\n").trim_end().to_string()
    }

    fn wait(&self, what: &str, there: impl Fn(&str) -> bool) -> Result<()> {
        let until = Instant::now() + Duration::from_secs(30);
        while !there(&self.text()) {
            ensure!(Instant::now() < until, "timed out waiting for {what}:\n{}", self.text());
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Types like a user, one key at a time.
    fn typed(&mut self, keys: &str) -> Result<()> {
        for key in keys.chars() {
            write!(self.keyboard, "{key}")?;
            self.keyboard.flush()?;
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Presses Enter and waits for the next prompt.
    fn enter(&mut self) -> Result<()> {
        let prompts = |text: &str| text.lines().filter(|line| line.starts_with(PROMPT.trim_end())).count();
        let before = prompts(&self.text());
        self.typed("\r")?;
        self.wait("a prompt", |text| prompts(text) > before && text.ends_with(PROMPT.trim_end()))
    }
}

/// Runs the script and returns its transcript.
fn run_script(shell: &Path, home: &Path, environment: &[(String, String)]) -> Result<String> {
    let mut terminal = Terminal::open(shell, home, environment)?;
    terminal.wait("the first prompt", |text| text.ends_with(PROMPT.trim_end()))?;

    // zsh reports above the prompt as soon as the check is done.
    if is(shell, "zsh") {
        terminal.wait("the verdict", |text| text.contains("[FAIL]") && text.ends_with(PROMPT.trim_end()))?;
    }
    terminal.typed("echo \"my token has ${#GITHUB_API_SECRETS_TOKEN} characters\"")?;
    terminal.enter()?;
    // bash reports before its next prompt.
    let until = Instant::now() + Duration::from_secs(10);
    while !terminal.text().contains("[FAIL]") && Instant::now() < until {
        thread::sleep(Duration::from_millis(300));
        terminal.enter()?;
    }
    for line in ["raxx check", "raxx unset", "echo \"${GITHUB_API_SECRETS_TOKEN-it is gone}\""] {
        terminal.typed(line)?;
        terminal.enter()?;
    }
    // Up to the last prompt.
    let text = terminal.text();
    let mut story: Vec<&str> = text.lines().collect();
    story.pop();
    terminal.typed("exit\r")?;
    terminal.child.wait()?;
    Ok(story.join("\n") + "\n")
}
