//! `raxx rotate`: the new value is verified, stored, and given to the shell; files that still set the old one are named.

use std::collections::hash_map::RandomState;
use std::fs;
use std::hash::{BuildHasher as _, Hasher as _};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::loopback::{Answer, Loopback};
use crate::support::{RAXX, text};
use crate::token::{NAME, NEW, OLD, given, held, holds, said, sandbox, terminal, with_input};

#[test]
fn rotate_of_a_piped_value_says_what_became_of_it_and_no_more() {
    let server = Loopback::start();
    server.accept(OLD);
    server.accept(NEW);
    let sandbox = sandbox(&server);
    given(&sandbox, OLD);
    fs::write(sandbox.home().join(".zshenv"), format!("# mine\nexport {NAME}={OLD}\n")).unwrap();
    let out = with_input(&sandbox, &["rotate", NAME, "--stdin", "--shell", "zsh"], NEW);
    let all = text(&out.stderr);
    assert!(out.status.success(), "{all}");
    for line in [
        format!("[PASS] {NAME}    (redacted ghp_…2new) — octo-op"),
        format!("raxx: {NAME} is stored in the store file"),
        format!("raxx: {}:2 still sets {NAME} to the old value: take it out there", sandbox.home().join(".zshenv").display()),
        "raxx: at last, revoke the old one: delete the old token at https://github.com/settings/personal-access-tokens (classic ones: https://github.com/settings/tokens)".into(),
    ] {
        assert!(all.lines().any(|l| l == line), "no line {line:?} in\n{all}");
    }
    assert_eq!(all.lines().count(), 4, "no page for a value that is there already: {all}");
    assert!(!all.contains(OLD) && !all.contains(NEW));
    assert_eq!(text(&out.stdout), format!("export {NAME}='{NEW}'\nexport __RAXX_NAMES='{NAME}'\n"));
    holds(&sandbox, NEW);
}

#[test]
fn every_file_that_sets_the_name_here_is_named_once() {
    let server = Loopback::start();
    server.accept(NEW);
    server.accept(OLD);
    let sandbox = sandbox(&server);
    given(&sandbox, OLD);
    let project = sandbox.home().join("project");
    fs::create_dir_all(project.join("sub")).unwrap();
    let file = |path: &Path| fs::write(path, format!("export \"{NAME}={OLD}\"\n")).unwrap();
    fs::create_dir_all(sandbox.home().join(".config/environment.d")).unwrap();
    let session = sandbox.home().join(".config/environment.d/10-tokens.conf");
    let (above, home, shell) = (project.join(".envrc"), sandbox.home().join(".envrc"), session);
    [&above, &home, &shell].into_iter().for_each(|path| file(path));
    let named = |directory: &Path, new: &str| {
        let mut rotate = sandbox.raxx();
        let out = rotate.current_dir(directory).args(["rotate", NAME, "--stdin"]).write_stdin(new).output().unwrap();
        assert!(out.status.success(), "{}", text(&out.stderr));
        let said = text(&out.stderr);
        [&above, &home, &shell].map(|path| said.matches(&format!("raxx: {}:1 ", path.display())).count())
    };
    // direnv looks upwards, and takes the first.
    assert_eq!(named(&project.join("sub"), NEW), [1, 1, 1]);
    assert_eq!(named(&sandbox.home(), OLD), [0, 1, 1]);
}

#[test]
fn rotate_waits_for_a_token_that_is_not_known_yet() {
    let server = Loopback::start();
    let sandbox = sandbox(&server);
    given(&sandbox, OLD);
    thread::scope(|scope| {
        scope.spawn(|| {
            while server.attempts(NEW) < 2 {
                thread::sleep(Duration::from_millis(20));
            }
            server.accept(NEW);
        });
        let out = with_input(&sandbox, &["rotate", NAME, "--stdin"], NEW);
        assert!(out.status.success(), "{}", text(&out.stderr));
        assert!(text(&out.stderr).contains("raxx: the provider does not know it yet; asked again in a moment\n"));
    });
    holds(&sandbox, NEW);
}

#[test]
fn rotate_warns_when_the_new_one_is_somebody_elses() {
    let server = Loopback::start();
    server.accept(OLD);
    server.accept(NEW);
    let answer = Answer::json(200, "{\"login\":\"another-op\",\"id\":2,\"type\":\"User\"}");
    server.react(NEW, answer);
    let sandbox = sandbox(&server);
    given(&sandbox, OLD);
    let out = with_input(&sandbox, &["rotate", NAME, "--stdin"], NEW);
    assert!(out.status.success());
    let all = text(&out.stderr);
    assert!(all.contains("raxx: warning: the new one belongs to a…p, the old one to o…p\n"), "{all}");
}

#[test]
fn a_webhooks_old_address_is_sent_to_nobody() {
    let (old, new) = ("/services/T0/B0/MadeUpOld00000000", "/services/T0/B0/MadeUpNew00000000");
    let server = Loopback::start();
    server.accept(old);
    server.accept(new);
    let mut sandbox = sandbox(&server);
    let config = fs::read_to_string(sandbox.root().join("config.toml")).unwrap();
    sandbox.config(&format!("{config}[alert.slack]\nwebhook = \"HOOK\"\nbase_url = \"{}/slack/api\"\n", server.url()));
    let address = |path: &str| format!("{}{path}", server.url());
    assert!(with_input(&sandbox, &["store", "HOOK", "--stdin"], &address(old)).status.success());
    let before = server.requests().len();
    let out = with_input(&sandbox, &["rotate", "HOOK", "--stdin"], &address(new));
    let all = text(&out.stderr);
    assert!(out.status.success(), "{all}");
    let asked: Vec<String> = server.requests()[before..].iter().map(|request| request.path.clone()).collect();
    assert_eq!(asked, [new], "only the new one is asked about, where it belongs");
    let line = "raxx: at last, take the old one away: https://api.slack.com/apps (your app, Incoming Webhooks)";
    assert!(all.lines().any(|l| l == line), "no line {line:?} in\n{all}");
    assert!(!all.contains("MadeUp"), "{all}");
}

#[test]
fn rotate_takes_neither_the_old_value_nor_a_dead_one() {
    let server = Loopback::start();
    server.accept(OLD);
    let sandbox = sandbox(&server);
    given(&sandbox, OLD);
    let same = said(&with_input(&sandbox, &["rotate", NAME, "--stdin"], OLD));
    assert_eq!(same, (format!("raxx: {NAME}: that is the value that is to be replaced; nothing is changed"), 2));
    holds(&sandbox, OLD);
}

#[test]
fn rotate_puts_the_new_value_into_the_shell_that_typed_it() {
    let server = Loopback::start();
    server.accept(OLD);
    server.accept(NEW);
    for shell in [vec!["zsh", "-f"], vec!["bash", "--norc", "--noprofile"]] {
        let mut sandbox = sandbox(&server);
        given(&sandbox, OLD);
        sandbox.env(NAME, OLD);
        let name = shell[0];
        let script = format!(
            "eval \"$(raxx init {name})\"; printf %s {NEW} | raxx rotate {NAME} --stdin >/dev/null 2>&1; echo in a pipe it cannot; \
             raxx rotate {NAME} --stdin --no-check 2>/dev/null <<<{OLD}x; echo \"$? ${NAME}\"; raxx rotate NONE 2>/dev/null; echo \"$?\""
        );
        let out = sandbox.command(name).args(&shell[1..]).args(["-c", &script]).output().unwrap();
        assert_eq!(text(&out.stderr), "", "{name}");
        assert_eq!(text(&out.stdout), format!("in a pipe it cannot\n0 {OLD}x\n2\n"), "{name}");
    }
}

#[test]
fn a_pipe_among_the_files_holds_nobody_up() {
    let server = Loopback::start();
    server.accept(OLD);
    server.accept(NEW);
    let sandbox = sandbox(&server);
    given(&sandbox, OLD);
    for pipe in [".env", ".envrc"] {
        assert!(sandbox.command("mkfifo").arg(pipe).output().unwrap().status.success());
    }
    let out = with_input(&sandbox, &["rotate", NAME, "--stdin", "--shell", "bash"], NEW);
    assert!(out.status.success());
    assert!(text(&out.stdout).starts_with("export "));
    assert!(text(&sandbox.run(&["import"]).stderr).contains("none of the configured names is set"));
}

/// Kills `raxx rotate` at fifty random moments. Gives how many replaced the value and how many kept the old one.
fn kill(lane: usize, server: &Loopback) -> [usize; 2] {
    let sandbox = sandbox(server);
    let made_up = |turn: usize| format!("ghp_MadeUpForLane{lane}Turn{turn:02}0123456789abcdef");
    let begin = |value: &str| {
        let input = sandbox.root().join("input");
        fs::write(&input, value).unwrap();
        let mut rotate = std::process::Command::new(RAXX);
        rotate.env_clear().envs(sandbox.environment().iter().cloned()).args(["rotate", NAME, "--stdin"]);
        let null = std::process::Stdio::null;
        rotate.stdin(fs::File::open(input).unwrap()).stdout(null()).stderr(null()).spawn().unwrap()
    };
    for turn in 0..=50 {
        server.accept(&made_up(turn));
    }
    given(&sandbox, &made_up(0));
    let mut usual: Vec<Duration> = Vec::new();
    for turn in [1, 0, 1, 0, 1] {
        let begun = Instant::now();
        assert!(begin(&made_up(turn)).wait().unwrap().success());
        usual.push(begun.elapsed());
    }
    usual.sort();
    let mut most = usual[2].as_micros() as u64 * 6 / 5;
    given(&sandbox, &made_up(0));

    let mut random = RandomState::new().build_hasher();
    let (mut old, mut replaced, mut kept) = (made_up(0), 0, 0);
    for turn in 1..=50 {
        let new = made_up(turn);
        random.write_usize(turn);
        let moment = Duration::from_micros(random.finish() % most);
        let begun = Instant::now();
        let mut rotate = begin(&new);
        thread::sleep(moment.saturating_sub(begun.elapsed()));
        rotate.kill().unwrap();
        rotate.wait().unwrap();
        let held = held(&sandbox);
        if held == format!("export {NAME}='{new}'\n") {
            replaced += 1;
            old = new;
            // So that about half of them come too late, also when the machine becomes busier or less so.
            most = most * 97 / 100;
        } else {
            assert_eq!(held, format!("export {NAME}='{old}'\n"), "killed after {moment:?}");
            kept += 1;
            most = most * 103 / 100;
        }
    }
    [replaced, kept]
}

#[test]
fn killed_at_any_moment_rotate_leaves_the_old_or_the_new_value_whole() {
    let server = Loopback::start();
    let server = &server;
    let [replaced, kept] = thread::scope(|scope| {
        let lanes: Vec<_> = (0..4).map(|lane| scope.spawn(move || kill(lane, server))).collect();
        let counts = lanes.into_iter().map(|lane| lane.join().unwrap());
        counts.fold([0; 2], |all, of_one| std::array::from_fn(|at| all[at] + of_one[at]))
    });
    // Otherwise the moments were not spread over the whole of it.
    assert!(replaced >= 10 && kept >= 10, "{replaced} replaced, {kept} kept");
}

#[test]
fn rotate_leads_from_the_page_to_the_new_value() {
    let server = Loopback::start();
    server.accept(NEW);
    let mut sandbox = sandbox(&server);
    sandbox.env("PAGER", "cat");
    let mut rotate = terminal(&sandbox, RAXX, &["rotate", NAME]);
    rotate.wait_for("(hidden):");
    rotate.line(NEW);
    assert_eq!(rotate.end(), 0, "{}", rotate.screen());
    let screen = rotate.screen();
    let at = |text: &str| screen.find(text).unwrap_or_else(|| panic!("no {text:?} in\n{screen}"));
    let places = [
        "personal access token",
        "raxx: make the new one here: https://github.com/settings/personal-access-tokens",
        "raxx: what it must be allowed to do: Secrets: write",
        "[PASS]",
        "is stored in the store file",
        "revoke the old one",
    ]
    .map(at);
    assert!(places.is_sorted(), "{screen}");
    holds(&sandbox, NEW);
}
