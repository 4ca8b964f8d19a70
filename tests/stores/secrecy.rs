//! Values stay inside raxx: not repeated in a message, not in a core dump, and not passed to other programs.

use std::fs;
#[cfg(not(target_os = "macos"))]
use std::os::unix::fs::PermissionsExt as _;
#[cfg(not(target_os = "macos"))]
use std::path::Path;
use std::thread;
#[cfg(not(target_os = "macos"))]
use std::time::{Duration, Instant};

use crate::snapshot::snapshot;
use crate::support;
use crate::support::loopback::Loopback;
use crate::support::{RAXX, text};
use crate::token::{NAME, NEW, OLD, in_time, piped, program_first, sandbox, shown, terminal, with_input};

#[test]
fn a_value_that_was_typed_into_the_command_is_not_repeated() {
    let server = Loopback::start();
    let sandbox = sandbox(&server);
    let typed = format!("{NAME}={NEW}");
    let stdin = format!("--stdin={NEW}");
    let option = format!("--{NEW}");
    let below = format!("{NEW}/{NEW}");
    let mut table = String::new();
    for args in [
        &["store", NAME, NEW][..],
        &["store", NEW, NAME],
        &["store", NEW],
        &["store", &typed],
        &["store", NAME, &stdin],
        &["store", NAME, "-w", NEW],
        &["store", NAME, "--stdin", "--", NEW],
        &["rotate", NAME, NEW],
        &["rotate", "--shell", "zsh", NAME, NEW],
        &["rotate", NEW],
        &["forget", NAME, NEW],
        &["forget", NEW],
        &["unlock", NEW],
        &["unlock", &stdin],
        &["check", NEW],
        &["load", "--shell", "zsh", NEW],
        &["export", "sh", NEW],
        &["list", "--history", NEW],
        &[NEW],
        &["list", NEW],
        &["schedule", NEW],
        &["schedule", "install", "--at", NEW],
        &["store", NAME, &option],
        &["rotate", "--shell", NEW, NAME],
        &["import", NEW],
        &["import", &below],
    ] {
        let out = with_input(&sandbox, args, "");
        let all = text(&out.stderr).replace("\n      type: ", "; type: ");
        assert!(!all.contains(&NEW[..12]) && !all.contains(&NEW[30..]), "{args:?}: {all}");
        assert_eq!((all.lines().count(), out.status.code()), (1, Some(2)), "{args:?}: {all}");
        assert!(all.contains("history") && all.contains("rotate"), "{args:?}: {all}");
        table += &shown(args, &out);
    }
    let next = |args: &[&str]| {
        let (shown, _) = piped(&sandbox, args, "");
        let (_, command) = shown.split_once("type: ").expect("the command to type");
        command.lines().next().unwrap().to_string()
    };
    assert_eq!(next(&["store", NAME, NEW]), format!("raxx store {NAME}"));
    assert_eq!(next(&["rotate", NAME, "x"]), format!("raxx rotate {NAME}"));
    assert_eq!(next(&["unlock", "x"]), "raxx unlock");
    // A typo elsewhere names the command.
    for args in [&["store"][..], &["store", NAME, "--stdn"], &["rotate", "--shell", "zsh", NAME, "--stdn"]] {
        let out = with_input(&sandbox, args, "");
        assert!(text(&out.stderr).contains("`raxx "), "{args:?}: {}", text(&out.stderr));
        assert_eq!(out.status.code(), Some(2));
        table += &shown(args, &out);
    }
    snapshot!(sandbox, table);
    assert!(sandbox.run(&["store", "--help"]).status.success());
}

#[test]
fn code_for_a_shell_is_not_printed_to_a_terminal() {
    let server = Loopback::start();
    let sandbox = sandbox(&server);
    let mut all = String::new();
    for args in
        [&["store", NAME, "--shell", "zsh"][..], &["rotate", NAME, "--shell", "bash"], &["import", "--shell", "zsh"]]
    {
        let mut raxx = terminal(&sandbox, RAXX, args);
        assert_eq!(raxx.end(), 2, "{}", raxx.screen());
        assert!(raxx.screen().contains(&format!("raxx {}", args[0])), "{}", raxx.screen());
        all += &format!("{}\n", raxx.screen());
    }
    snapshot!(sandbox, all);
}

#[test]
fn a_process_with_secrets_leaves_no_core_dump() {
    let server = Loopback::start();
    server.react(OLD, support::loopback::Fault::HangBeforeHeaders);
    let mut sandbox = sandbox(&server);
    sandbox.env(NAME, OLD);
    let mut check = std::process::Command::new(RAXX);
    check.env_clear().envs(sandbox.environment().iter().cloned()).arg("check").stdout(std::process::Stdio::null());
    let mut check = check.spawn().unwrap();
    while server.attempts(OLD) == 0 {
        thread::yield_now();
    }
    let limits = fs::read_to_string(format!("/proc/{}/limits", check.id()));
    check.kill().unwrap();
    check.wait().unwrap();
    // macOS has no such file.
    if let Ok(limits) = limits {
        let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
        assert_eq!(core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"], "{core}");
    }
}

/// Another process of the same user can read neither the environment nor the memory of a raxx with secrets.
#[test]
#[cfg(target_os = "linux")]
fn other_processes_of_the_user_cannot_read_raxxs_memory() {
    let server = Loopback::start();
    server.react(OLD, support::loopback::Fault::HangBeforeHeaders);
    let mut sandbox = sandbox(&server);
    sandbox.env(NAME, OLD);
    // Root can read everything, so as root the test uses another user's raxx.
    let somebody: &[&str] = match rustix::process::geteuid().is_root() {
        true => &["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"],
        false => &["env"],
    };
    let raxx = sandbox.root().join("raxx");
    fs::copy(RAXX, &raxx).unwrap();
    if somebody.len() > 1 {
        fs::set_permissions(sandbox.root(), fs::Permissions::from_mode(0o755)).unwrap();
        assert!(sandbox.command("chown").arg("-R").arg("65534").arg(sandbox.home()).output().unwrap().status.success());
    }
    let as_somebody = |program: &Path| {
        let mut command = std::process::Command::new(somebody[0]);
        command.args(&somebody[1..]).arg(program).env_clear().envs(sandbox.environment().iter().cloned());
        command.current_dir(sandbox.home()).stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
        command
    };
    let mut check = as_somebody(&raxx).arg("check").spawn().unwrap();
    let mut sleep = as_somebody(Path::new("/bin/sleep")).arg("60").spawn().unwrap();
    let until = Instant::now() + Duration::from_secs(30);
    while server.attempts(OLD) == 0 {
        assert!(Instant::now() < until, "the provider got no request");
        thread::yield_now();
    }
    let reads = |pid: u32, what: &str| {
        let status = as_somebody(Path::new("/bin/cat")).arg(format!("/proc/{pid}/{what}")).status();
        status.unwrap().success()
    };
    let read = ["environ", "maps"].map(|what| (reads(check.id(), what), reads(sleep.id(), what)));
    for child in [&mut check, &mut sleep] {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert_eq!(read, [(false, true); 2], "(raxx, any other process): environ, maps");
}

#[test]
fn other_programs_get_no_credentials() {
    let server = Loopback::start();
    server.accept(NEW);
    let mut sandbox = sandbox(&server);
    let bot = "xoxb-made-up-bot-token";
    for (name, value) in [(NAME, OLD), ("HOMELESS", OLD), ("SLACK_BOT_TOKEN", bot), ("INFISICAL_TOKEN", OLD)] {
        sandbox.env(name, value);
    }
    sandbox.env("__RAXX_NAMES", NAME).env("__RAXX_GENERATION", "x").env("KEPT", "kept");
    let seen = sandbox.root().join("seen");
    fs::create_dir(&seen).unwrap();
    let script = format!("env > {}/$(basename \"$0\"); exit 1", seen.display());
    for program in ["xdg-open", "open", "tmux", "crontab", "systemctl", "launchctl"] {
        program_first(&mut sandbox, program, &script);
    }
    sandbox.env("PAGER", format!("env > {}/pager; cat", seen.display()));
    let mut rotate = terminal(&sandbox, RAXX, &["rotate", NAME, "--open"]);
    rotate.wait_for("(hidden):");
    rotate.line(NEW);
    rotate.end();
    sandbox.run(&["schedule", "status"]);
    let browser = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    for program in ["pager", browser, "tmux", "crontab"] {
        let found = in_time(|| fs::read_to_string(seen.join(program)).ok().filter(|env| env.contains("KEPT=kept")));
        let env = found.unwrap_or_else(|| panic!("{program} was not started"));
        for name in [NAME, "HOMELESS", "SLACK_BOT_TOKEN", "INFISICAL_TOKEN", "__RAXX_"] {
            assert!(!env.contains(&format!("\n{name}")) && !env.starts_with(name), "{program} has {name}");
        }
    }
}
