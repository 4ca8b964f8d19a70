//! Fifos, devices, and links and homes of other users, in place of raxx's files.

use crate::snapshot::{ran, snapshot, transcript};
use crate::support;

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::{Duration, Instant};

use support::loopback::Loopback;
use support::{RAXX, Sandbox, text};

const NAME: &str = "GITHUB_API_SECRETS_TOKEN";
const TOKEN: &str = "ghp_MadeUpForThePlacesTests0123456789cdef";

/// Two users who are neither root nor the user who runs the tests.
const USER: u32 = 61_712;
const ANOTHER: u32 = 61_713;

/// One good token in the environment, and a store file with its identity.
fn machine(server: &Loopback) -> Sandbox {
    let mut sandbox = Sandbox::new();
    sandbox.config(&format!(
        "timeout = \"5s\"\n{}\n\
         [store]\nbackend = \"file\"\nidentity = \"~/.config/raxx/identity.txt\"\n\
         [[credential]]\nname = \"{NAME}\"\nprovider = \"github\"\nrotate_via = \"page.md\"\n\
         store = {{ service = \"s\", account = \"a\" }}\n",
        server.config()
    ));
    server.accept(TOKEN);
    sandbox.env(NAME, TOKEN);
    sandbox
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0)
}

/// Changes the owner of a directory and everything in it.
fn give(path: &Path, uid: u32) {
    if path.is_dir() && !path.is_symlink() {
        fs::read_dir(path).unwrap().for_each(|entry| give(&entry.unwrap().path(), uid));
    }
    std::os::unix::fs::lchown(path, Some(uid), Some(uid)).unwrap();
}

/// Runs raxx as this user, who can read the whole sandbox.
fn run_as(sandbox: &Sandbox, uid: u32, args: &[&str]) -> Output {
    let raxx = sandbox.root().join("raxx");
    if !raxx.exists() {
        fs::copy(RAXX, &raxx).unwrap();
        fs::set_permissions(sandbox.root(), fs::Permissions::from_mode(0o755)).unwrap();
    }
    let user = [format!("--reuid={uid}"), format!("--regid={uid}"), "--clear-groups".into()];
    sandbox.command("setpriv").args(user).arg(raxx).args(args).current_dir("/").output().unwrap()
}

#[test]
fn no_command_blocks_on_a_fifo_or_device_in_place_of_a_file() {
    let server = Loopback::start();
    let sandbox = machine(&server);
    sandbox.raxx().args(["store", NAME, "--stdin"]).write_stdin(TOKEN).assert().success();
    sandbox.raxx().arg("check").assert().success();
    let home = sandbox.home();
    let mut places: Vec<PathBuf> = [
        "last.json",
        "history.jsonl",
        "history.lock",
        "key",
        "schedule.json",
        "schedule.lock",
        "alerts.json",
        "alerts.lock",
        "alerts.sending",
        "store.lock",
    ]
    .map(|name| sandbox.state().join(name))
    .into();
    places.extend(fs::read_dir(sandbox.state().join("verdicts")).unwrap().map(|entry| entry.unwrap().path()));
    places.extend([
        home.join(".local/share/raxx/store.age"),
        home.join(".local/share/raxx/.store.age.lock"),
        home.join(".config/raxx/identity.txt"),
        home.join(".raxx-session-bootstrap-last-validated"),
        home.join(".config/systemd/user/app.raxx.session-bootstrap.timer"),
        home.join(".zshrc"),
        sandbox.root().join("config.toml"),
    ]);
    for place in places {
        let kept = fs::read(&place).ok();
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        for kind in ["fifo", "endless", "huge"] {
            let _ = fs::remove_file(&place);
            match kind {
                "fifo" => drop(sandbox.command("mkfifo").arg(&place).output().unwrap()),
                "endless" => symlink("/dev/zero", &place).unwrap(),
                _ => fs::File::create(&place).unwrap().set_len(20 << 30).unwrap(),
            }
            let always = [&["export", "zsh", "--missing"][..], &["hook", "zsh"], &["check"], &["list"], &["prompt"]];
            let rarely = [&["init", "bash"][..], &["schedule", "status"], &["import"]];
            for args in always.iter().chain(rarely.iter().filter(|_| kind == "fifo")) {
                let begun = Instant::now();
                let mut command = sandbox.command("sh");
                // Limits the memory, so that an endless read fails early.
                command.args(["-c", "ulimit -v 4000000; exec raxx \"$@\"", "sh"]).args(*args);
                if args[0] == "export" {
                    command.env_remove(NAME);
                }
                let out = command.output().unwrap();
                let what = format!("{} as {kind}: {args:?}: {}", place.display(), String::from_utf8_lossy(&out.stderr));
                assert!(begun.elapsed() < Duration::from_secs(20) && out.status.code().is_some(), "{what}");
                assert!(!what.contains("panicked"), "{what}");
            }
            let _ = fs::remove_dir_all(&place).or_else(|_| fs::remove_file(&place));
        }
        if let Some(kept) = kept {
            fs::write(&place, kept).unwrap();
            fs::set_permissions(&place, fs::Permissions::from_mode(0o600)).unwrap();
        }
    }
}

#[test]
fn another_users_link_in_a_shared_directory_is_not_written_through() {
    if !is_root() {
        return;
    }
    let server = Loopback::start();
    let mut sandbox = machine(&server);
    let shared = sandbox.root().join("shared");
    fs::create_dir(&shared).unwrap();
    fs::set_permissions(&shared, fs::Permissions::from_mode(0o1777)).unwrap();
    let precious = sandbox.home().join(".zshrc");
    fs::write(&precious, "precious").unwrap();
    give(&sandbox.home(), USER);
    let link = shared.join("raxx.prom");
    symlink(&precious, &link).unwrap();
    std::os::unix::fs::lchown(&link, Some(ANOTHER), Some(ANOTHER)).unwrap();
    let link_name = link.to_str().unwrap();
    let metrics = run_as(&sandbox, USER, &["check", "--prometheus", link_name]);
    assert_eq!(metrics.status.code(), Some(2), "{}", text(&metrics.stderr));
    sandbox.env("RAXX_BOOTSTRAP_STATE_FILE", &link);
    let stamp = run_as(&sandbox, USER, &["check"]);
    assert!(stamp.status.success(), "{}", text(&stamp.stderr));
    for out in [&metrics, &stamp] {
        let said = text(&out.stderr);
        assert!(said.contains(link_name) && said.lines().count() == 1, "{said}");
    }
    let metrics = transcript(&format!("raxx check --prometheus {link_name}"), &metrics);
    snapshot!(sandbox, format!("{metrics}\n{}", transcript("raxx check", &stamp)));
    assert_eq!(fs::read_to_string(&precious).unwrap(), "precious");
    // A user's own links still work.
    let own = shared.join("own");
    symlink(sandbox.home().join("stamp"), &own).unwrap();
    std::os::unix::fs::lchown(&own, Some(USER), Some(USER)).unwrap();
    sandbox.env("RAXX_BOOTSTRAP_STATE_FILE", &own);
    assert_eq!(text(&run_as(&sandbox, USER, &["check"]).stderr), "");
    assert!(own.is_symlink() && sandbox.home().join("stamp").is_file());
}

#[test]
fn a_state_directory_that_others_can_write_to_is_locked_down_and_not_used() {
    let server = Loopback::start();
    let sandbox = machine(&server);
    let state = sandbox.state();
    fs::create_dir_all(&state).unwrap();
    let precious = sandbox.home().join(".zshrc");
    fs::write(&precious, "precious").unwrap();
    if is_root() {
        for name in ["last.json", "history.jsonl", "history.lock", "key"] {
            symlink(&precious, state.join(name)).unwrap();
            std::os::unix::fs::lchown(state.join(name), Some(ANOTHER), None).unwrap();
        }
    }
    let open = || fs::set_permissions(&state, fs::Permissions::from_mode(0o777)).unwrap();
    open();
    let hook = sandbox.run(&["hook", "zsh"]);
    assert_eq!((text(&hook.stdout), text(&hook.stderr)), (String::new(), String::new()), "a new terminal is silent");
    assert!(!state.join("verdicts").exists(), "the directory was used");
    let mut reports = Vec::new();
    for args in [&["check"][..], &["list"]] {
        open();
        let said = text(&sandbox.run(args).stderr);
        // Only root can create the links, which cause more lines.
        let line = said.lines().next().unwrap();
        assert!(line.ends_with(&format!("chmod 700 {}", state.display())), "{said}");
        assert_eq!(fs::metadata(&state).unwrap().mode() & 0o777, 0o700);
        reports.push(format!("$ raxx {}\n{line}\n", args.join(" ")));
    }
    snapshot!(sandbox, reports.join("\n"));
    assert_eq!(fs::read_to_string(&precious).unwrap(), "precious");
}

#[test]
fn nothing_is_written_in_another_users_home_and_one_line_says_so() {
    if !is_root() {
        return;
    }
    let server = Loopback::start();
    let mut sandbox = machine(&server);
    give(&sandbox.home(), USER);
    let before = below(&sandbox.home());
    let home = sandbox.home();
    let whose = format!("uid {USER}");
    let says_so = |said: &str| said.matches(&whose).count() == 1 && said.contains(&home.display().to_string());
    let mut reports = Vec::new();
    for args in [&["check"][..], &["check", NAME]] {
        let said = ran(&sandbox, args);
        assert!(says_so(&said), "{said}");
        reports.push(said);
    }
    for args in [&["hook", "zsh"][..], &["export", "zsh", "--missing"], &["init", "zsh"], &["prompt"]] {
        let out = sandbox.run(args);
        assert!(out.status.success() && out.stderr.is_empty(), "{args:?}: {}", text(&out.stderr));
        assert!(!text(&out.stdout).contains(&whose), "{args:?}");
    }
    for args in [
        &["store", NAME, "--stdin"][..],
        &["rotate", NAME, "--stdin"],
        &["forget", NAME, "--yes"],
        &["import"],
        &["schedule", "install"],
    ] {
        let out = sandbox.raxx().args(args).write_stdin(TOKEN).output().unwrap();
        let said = text(&out.stderr);
        assert!(says_so(&said) && said.lines().count() == 1 && out.status.code() == Some(2), "{args:?}: {said}");
        reports.push(transcript(&format!("raxx {}", args.join(" ")), &out));
    }
    let metrics = home.join("raxx.prom");
    let out = sandbox.run(&["check", "--prometheus", metrics.to_str().unwrap()]);
    assert_eq!(out.status.code(), Some(2), "{}", text(&out.stderr));
    reports.push(transcript(&format!("raxx check --prometheus {}", metrics.display()), &out));
    snapshot!(sandbox, reports.join("\n"));
    assert_eq!(below(&home), before);
    // Files that an earlier run left behind as root are not written to either.
    let left = sandbox.state();
    fs::create_dir_all(&left).unwrap();
    fs::set_permissions(&left, fs::Permissions::from_mode(0o700)).unwrap();
    chown(&left, Some(0), None).unwrap();
    sandbox.run(&["check"]);
    assert_eq!(fs::read_dir(&left).unwrap().count(), 0);
    // The user's own run is not affected.
    fs::remove_dir(&left).unwrap();
    give(&home, USER);
    sandbox.env("RAXX_BOOTSTRAP_STATE_FILE", "/dev/null");
    let out = run_as(&sandbox, USER, &["check"]);
    assert_eq!(text(&out.stderr), "");
    assert!(sandbox.state().join("last.json").is_file());
}

/// Every path below a directory.
fn below(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(below(&path));
        }
        found.push(path);
    }
    found.sort();
    found
}

#[test]
fn only_absolute_paths_in_the_environment_count() {
    let server = Loopback::start();
    let mut sandbox = machine(&server);
    let hostile = sandbox.root().join("hostile");
    fs::create_dir_all(hostile.join("sub")).unwrap();
    for dir in [&hostile, &hostile.join("sub")] {
        fs::write(dir.join(".zshrc"), "export GITHUB_API_SECRETS_TOKEN=ghp_OfSomebodyElse0123456789012345678901\n")
            .unwrap();
    }
    sandbox.unset(NAME);
    for zdotdir in ["", ".", "sub"] {
        sandbox.env("ZDOTDIR", zdotdir);
        let out = sandbox.raxx().arg("import").current_dir(&hostile).output().unwrap();
        assert!(!text(&out.stderr).contains("zshrc"), "{zdotdir:?}: {}", text(&out.stderr));
    }
    sandbox.env(NAME, TOKEN);
    for stamp in ["", "stamp", "./stamp", "../stamp"] {
        sandbox.env("RAXX_BOOTSTRAP_STATE_FILE", stamp).env("XDG_STATE_HOME", stamp);
        let out = sandbox.raxx().arg("check").current_dir(&hostile).output().unwrap();
        assert!(out.status.success(), "{stamp:?}: {}", text(&out.stderr));
    }
    sandbox.env("HOME", ".");
    sandbox.raxx().arg("check").current_dir(&hostile).output().unwrap();
    let mut there: Vec<_> = fs::read_dir(&hostile).unwrap().map(|e| e.unwrap().file_name()).collect();
    there.sort();
    assert_eq!(there, [".zshrc", "sub"], "something was written to the current directory");
    assert!(!sandbox.root().join("stamp").exists());
}

#[test]
fn leftovers_of_killed_runs_are_removed_and_other_files_stay() {
    let server = Loopback::start();
    let sandbox = machine(&server);
    sandbox.raxx().arg("check").assert().success();
    let verdicts = sandbox.state().join("verdicts");
    let metrics = sandbox.root().join("metrics/raxx.prom");
    fs::create_dir(metrics.parent().unwrap()).unwrap();
    fs::create_dir_all(sandbox.home().join(".local/share/raxx")).unwrap();
    let new = |dir: &Path, name: &str| dir.join(format!(".raxx.{name}.tmp"));
    let (home, state) = (sandbox.home(), sandbox.state());
    let dirs = [&verdicts, &state, &home, &home.join(".local/share/raxx"), &metrics.parent().unwrap().to_path_buf()];
    let mut old: Vec<PathBuf> = dirs.iter().map(|dir| new(dir, "0000000000000000")).collect();
    old.extend([verdicts.join("abcd.lock"), verdicts.join(".tmpAbCdEf"), state.join(".tmpGhIjKl")]);
    let mut kept: Vec<PathBuf> = dirs.iter().map(|dir| new(dir, "1111111111111111")).collect();
    kept.extend([home.join(".tmpOtherProgram"), verdicts.join("young.lock")]);
    let long_ago = std::time::SystemTime::now() - Duration::from_secs(7200);
    for path in old.iter().chain(&kept) {
        fs::write(path, "").unwrap();
    }
    for path in old.iter().chain([&home.join(".tmpOtherProgram")]) {
        fs::File::options().append(true).open(path).unwrap().set_modified(long_ago).unwrap();
    }
    sandbox.run(&["check", "--prometheus", metrics.to_str().unwrap()]);
    for path in old {
        assert!(!path.exists(), "{} was not removed", path.display());
    }
    for path in kept {
        assert!(path.exists(), "{} was removed", path.display());
    }
}

#[test]
fn a_history_that_cannot_be_saved_is_reported() {
    let server = Loopback::start();
    let sandbox = machine(&server);
    fs::create_dir_all(sandbox.state().join("history.lock")).unwrap();
    fs::set_permissions(sandbox.state(), fs::Permissions::from_mode(0o700)).unwrap();
    let out = sandbox.run(&["check"]);
    assert!(out.status.success());
    let said = text(&out.stderr);
    let file = format!("{}/history.lock", sandbox.state().display());
    assert!(said.starts_with("raxx: warning: ") && said.contains(&file) && said.lines().count() == 1, "{said}");
    snapshot!(sandbox, transcript("raxx check", &out));
    let hook = sandbox.run(&["hook", "zsh"]);
    assert_eq!((text(&hook.stdout), text(&hook.stderr)), (String::new(), String::new()));
}

#[test]
fn list_and_prompt_show_the_configuration_in_use() {
    let server = Loopback::start();
    let mut sandbox = machine(&server);
    let first = sandbox.root().join("config.toml");
    let second = sandbox.root().join("second.toml");
    fs::copy(&first, &second).unwrap();
    server.revoke(TOKEN);
    assert_eq!(sandbox.run(&["check"]).status.code(), Some(1));
    assert!(text(&sandbox.run(&["list"]).stdout).contains("FAIL rejected"));
    sandbox.env("RAXX_CONFIG", &second);
    let list = ran(&sandbox, &["list"]);
    assert!(list.contains(NAME) && !list.contains("FAIL"), "{list}");
    assert_eq!(text(&sandbox.run(&["prompt"]).stdout), "");
    let history = ran(&sandbox, &["list", "--history", NAME]);
    assert!(!history.contains("FAIL"), "{history}");
    snapshot!(sandbox, format!("{list}\n{history}"));
    server.accept(TOKEN);
    assert!(sandbox.run(&["check"]).status.success());
    assert!(text(&sandbox.run(&["list"]).stdout).contains("PASS"));
    sandbox.env("RAXX_CONFIG", &first);
    assert_eq!(text(&sandbox.run(&["prompt"]).stdout), format!("✗ {NAME}\n"));
}

#[test]
fn an_identity_owned_by_root_works_unless_others_can_write_to_it() {
    if !is_root() {
        return;
    }
    let server = Loopback::start();
    let mut sandbox = machine(&server);
    sandbox.raxx().args(["store", NAME, "--stdin"]).write_stdin(TOKEN).assert().success();
    sandbox.unset(NAME);
    let identity = sandbox.home().join(".config/raxx/identity.txt");
    give(&sandbox.home(), USER);
    chown(&identity, Some(0), Some(USER)).unwrap();
    for (mode, opens) in [(0o444, true), (0o440, true), (0o644, true), (0o664, false), (0o666, false), (0o755, false)] {
        fs::set_permissions(&identity, fs::Permissions::from_mode(mode)).unwrap();
        let out = run_as(&sandbox, USER, &["export", "sh"]);
        assert_eq!(text(&out.stdout).contains(TOKEN), opens, "{mode:o}: {}", text(&out.stderr));
    }
    fs::set_permissions(&identity, fs::Permissions::from_mode(0o400)).unwrap();
    chown(&identity, Some(ANOTHER), Some(USER)).unwrap();
    assert!(
        !text(&run_as(&sandbox, USER, &["export", "sh"]).stdout).contains(TOKEN),
        "another user's identity was used"
    );
}

#[test]
fn metrics_of_two_users_and_two_configurations_do_not_collide() {
    let server = Loopback::start();
    let mut sandbox = machine(&server);
    let series = |out: Output, file: &Path| {
        assert!(out.status.success(), "{}", text(&out.stderr));
        let raw = fs::read_to_string(file).unwrap();
        let lines = raw.lines().filter(|line| !line.starts_with('#'));
        lines.map(|line| line.rsplit_once(' ').unwrap().0.to_string()).collect::<Vec<_>>()
    };
    let at = |name: &str| sandbox.root().join(name);
    let (first, second, third) = (at("first.prom"), at("second.prom"), at("home/third.prom"));
    let check = |sandbox: &Sandbox, file: &Path| sandbox.run(&["check", "--prometheus", file.to_str().unwrap()]);
    let mut all = series(check(&sandbox, &first), &first);
    let other = at("other.toml");
    fs::copy(at("config.toml"), &other).unwrap();
    if is_root() {
        give(&sandbox.home(), USER);
        all.extend(series(run_as(&sandbox, USER, &["check", "--prometheus", third.to_str().unwrap()]), &third));
        give(&sandbox.home(), 0);
    }
    sandbox.env("RAXX_CONFIG", other);
    all.extend(series(check(&sandbox, &second), &second));
    let count = all.len();
    all.sort();
    all.dedup();
    assert!(count > 3 && all.len() == count, "{all:#?}");
}
