//! `raxx rotate`: the new value is verified, stored, and given to the shell; files that still set the old one are listed.

use std::collections::hash_map::RandomState;
use std::fs;
use std::hash::{BuildHasher as _, Hasher as _};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::snapshot::snapshot;
use crate::support::loopback::{Answer, Loopback};
use crate::support::{RAXX, Sandbox, text};
use crate::token::{
    NAME, NEW, OLD, assert_stored, piped, program_first, said_by_raxx, sandbox, shown, store_unchecked, stored_code,
    terminal, with_input,
};

#[test]
fn rotating_a_piped_value_reports_only_the_result() {
    let server = Loopback::start();
    server.accept(OLD);
    server.accept(NEW);
    let sandbox = sandbox(&server);
    store_unchecked(&sandbox, OLD);
    fs::write(sandbox.home().join(".zshenv"), format!("# mine\nexport {NAME}={OLD}\n")).unwrap();
    let args = ["rotate", NAME, "--stdin", "--shell", "zsh"];
    let out = with_input(&sandbox, &args, NEW);
    let all = text(&out.stderr);
    assert!(out.status.success(), "{all}");
    for part in [
        format!("[PASS] {NAME}    (redacted ghp_…2new) — octo-op\n"),
        format!("raxx: {}:2 ", sandbox.home().join(".zshenv").display()),
        "https://github.com/settings/personal-access-tokens (classic ones: https://github.com/settings/tokens)".into(),
    ] {
        assert!(all.contains(&part), "no {part:?} in\n{all}");
    }
    assert_eq!(all.lines().count(), 4, "a piped value needs no rotation page: {all}");
    snapshot!(sandbox, shown(&args, &out));
    assert_eq!(text(&out.stdout), format!("export {NAME}='{NEW}'\nexport __RAXX_NAMES='{NAME}'\n"));
    assert_stored(&sandbox, NEW);
}

#[test]
fn every_file_that_sets_the_name_is_listed_once() {
    let server = Loopback::start();
    server.accept(NEW);
    server.accept(OLD);
    let sandbox = sandbox(&server);
    store_unchecked(&sandbox, OLD);
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
    // direnv looks in each parent directory, and uses the first file.
    assert_eq!(named(&project.join("sub"), NEW), [1, 1, 1]);
    assert_eq!(named(&sandbox.home(), OLD), [0, 1, 1]);
}

#[test]
fn rotate_waits_for_a_token_that_is_not_active_yet() {
    let server = Loopback::start();
    let sandbox = sandbox(&server);
    store_unchecked(&sandbox, OLD);
    thread::scope(|scope| {
        scope.spawn(|| {
            while server.attempts(NEW) < 2 {
                thread::sleep(Duration::from_millis(20));
            }
            server.accept(NEW);
        });
        let (shown, code) = piped(&sandbox, &["rotate", NAME, "--stdin"], NEW);
        assert_eq!(code, 0, "{shown}");
        // The number of attempts depends on when the token becomes valid.
        let mut lines: Vec<&str> = shown.lines().collect();
        lines.dedup();
        assert!(lines.len() > 4 && lines.len() <= shown.lines().count(), "{shown}");
        snapshot!(sandbox, lines.join("\n"));
    });
    assert_stored(&sandbox, NEW);
}

#[test]
fn rotate_warns_if_the_new_token_belongs_to_another_account() {
    let server = Loopback::start();
    server.accept(OLD);
    server.accept(NEW);
    let answer = Answer::json(200, "{\"login\":\"another-op\",\"id\":2,\"type\":\"User\"}");
    server.react(NEW, answer);
    let sandbox = sandbox(&server);
    store_unchecked(&sandbox, OLD);
    let (other, code) = piped(&sandbox, &["rotate", NAME, "--stdin"], NEW);
    assert!(code == 0 && other.contains("a…p") && other.contains("o…p"), "{other}");
    // Two account names with the same redacted form.
    server.react(NEW, Answer::json(200, "{\"login\":\"other-op\",\"id\":3,\"type\":\"User\"}"));
    store_unchecked(&sandbox, OLD);
    let (alike, code) = piped(&sandbox, &["rotate", NAME, "--stdin"], NEW);
    assert!(code == 0 && !alike.contains("o…p"), "{alike}");
    snapshot!(sandbox, other + &alike);
}

/// The next step for each line of a file that sets the name, and for the tmux server.
#[test]
fn each_place_that_sets_the_name_has_a_next_step() {
    let server = Loopback::start();
    server.accept(OLD);
    server.accept(NEW);
    let mut sandbox = sandbox(&server);
    store_unchecked(&sandbox, OLD);
    let lines = format!("{NAME}={OLD}\nexport {NAME}={NEW}\n{NAME}=another\nexport {NAME}=$(op read x)\n");
    fs::write(sandbox.home().join(".zshenv"), lines).unwrap();
    program_first(&mut sandbox, "tmux", &format!("echo {NAME}={OLD}"));
    let (shown, code) = piped(&sandbox, &["rotate", NAME, "--stdin"], NEW);
    assert!(code == 0 && shown.contains("raxx unset --tmux\n"), "{shown}");
    for line in 1..=4 {
        assert!(shown.contains(&format!("raxx: {}:{line} ", sandbox.home().join(".zshenv").display())), "{shown}");
    }
    snapshot!(sandbox, shown);
}

#[test]
fn a_configured_provider_and_rotation_page_are_shown() {
    let server = Loopback::start();
    server.accept(NEW);
    let mut sandbox = Sandbox::new();
    sandbox.config(&format!(
        "[store]\nbackend = \"file\"\nidentity = \"~/identity.txt\"\n[vault.infisical]\nenabled = false\n\
         [[credential]]\nname = \"MINE\"\nprovider = \"mine\"\nrotate_via = \"https://wiki.example/rotate#mine\"\n\
         store = {{ service = \"raxx-mine\", account = \"test\" }}\n\
         [provider.mine]\nbase_url = \"{}\"\npath = \"/user\"\nauth = \"bearer\"\n\
         [[provider.mine.rule]]\nstatus = 200\njson = {{ \"/login\" = {{ present = true }} }}\nkind = \"valid\"\n",
        server.url()
    ));
    let mut rotate = terminal(&sandbox, RAXX, &["rotate", "MINE"]);
    rotate.wait_for("(hidden):");
    rotate.line(NEW);
    assert_eq!(rotate.end(), 0, "{}", rotate.screen());
    assert!(rotate.screen().contains("https://wiki.example/rotate#mine"), "{}", rotate.screen());
    snapshot!(sandbox, rotate.screen());
}

#[test]
fn a_webhooks_old_url_is_never_sent() {
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
    let (all, code) = piped(&sandbox, &["rotate", "HOOK", "--stdin"], &address(new));
    assert_eq!(code, 0, "{all}");
    let asked: Vec<String> = server.requests()[before..].iter().map(|request| request.path.clone()).collect();
    assert_eq!(asked, [new], "only the new webhook is verified");
    assert!(all.contains("https://api.slack.com/apps") && !all.contains("MadeUp"), "{all}");
    snapshot!(sandbox, "a_webhook_in_a_pipe", all);
    let mut rotate = terminal(&sandbox, RAXX, &["rotate", "HOOK"]);
    rotate.wait_for("(hidden):");
    assert!(rotate.screen().contains("https://api.slack.com/apps"), "{}", rotate.screen());
    rotate.line(&address(old));
    assert_eq!(rotate.end(), 0, "{}", rotate.screen());
    snapshot!(sandbox, "a_webhook_on_a_terminal", rotate.screen());
}

#[test]
fn rotate_refuses_the_old_value_and_a_rejected_one() {
    let server = Loopback::start();
    server.accept(OLD);
    let sandbox = sandbox(&server);
    store_unchecked(&sandbox, OLD);
    let (same, code) = piped(&sandbox, &["rotate", NAME, "--stdin"], OLD);
    assert_eq!(code, 2);
    snapshot!(sandbox, same);
    assert_stored(&sandbox, OLD);
}

#[test]
fn rotate_sets_the_new_value_in_the_current_shell() {
    let server = Loopback::start();
    server.accept(OLD);
    server.accept(NEW);
    for shell in [vec!["zsh", "-f"], vec!["bash", "--norc", "--noprofile"]] {
        let mut sandbox = sandbox(&server);
        store_unchecked(&sandbox, OLD);
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
fn a_fifo_among_the_files_does_not_block() {
    let server = Loopback::start();
    server.accept(OLD);
    server.accept(NEW);
    let sandbox = sandbox(&server);
    store_unchecked(&sandbox, OLD);
    for pipe in [".env", ".envrc"] {
        assert!(sandbox.command("mkfifo").arg(pipe).output().unwrap().status.success());
    }
    let out = with_input(&sandbox, &["rotate", NAME, "--stdin", "--shell", "bash"], NEW);
    assert!(out.status.success());
    assert!(text(&out.stdout).starts_with("export "));
    assert_eq!(sandbox.run(&["import"]).status.code(), Some(1));
}

#[test]
fn a_machine_without_a_browser_gets_a_warning() {
    let server = Loopback::start();
    server.accept(NEW);
    let mut sandbox = sandbox(&server);
    let bin = sandbox.root().join("bin");
    fs::create_dir(&bin).unwrap();
    for program in ["sh", "cat"] {
        std::os::unix::fs::symlink(format!("/bin/{program}"), bin.join(program)).unwrap();
    }
    sandbox.env("PATH", &bin).env("PAGER", "cat");
    let mut rotate = terminal(&sandbox, RAXX, &["rotate", NAME, "--open"]);
    rotate.wait_for("(hidden):");
    rotate.line(NEW);
    assert_eq!(rotate.end(), 0, "{}", rotate.screen());
    let said = said_by_raxx(&rotate);
    assert!(said.contains("warning: "), "{said}");
    // Each system has its own program to open a browser.
    snapshot!(sandbox, said.replace("xdg-open", "open"));
}

/// Kills `raxx rotate` at fifty random moments. Returns how many replaced the value and how many kept the old one.
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
    store_unchecked(&sandbox, &made_up(0));
    let mut usual: Vec<Duration> = Vec::new();
    for turn in [1, 0, 1, 0, 1] {
        let begun = Instant::now();
        assert!(begin(&made_up(turn)).wait().unwrap().success());
        usual.push(begun.elapsed());
    }
    usual.sort();
    let mut most = usual[2].as_micros() as u64 * 6 / 5;
    store_unchecked(&sandbox, &made_up(0));

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
        let held = stored_code(&sandbox);
        if held == format!("export {NAME}='{new}'\n") {
            replaced += 1;
            old = new;
            // About half of the kills come too late, even if the load of the machine changes.
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
fn killed_at_any_moment_rotate_leaves_the_old_or_the_new_value() {
    let server = Loopback::start();
    let server = &server;
    let [replaced, kept] = thread::scope(|scope| {
        let lanes: Vec<_> = (0..4).map(|lane| scope.spawn(move || kill(lane, server))).collect();
        let counts = lanes.into_iter().map(|lane| lane.join().unwrap());
        counts.fold([0; 2], |all, of_one| std::array::from_fn(|at| all[at] + of_one[at]))
    });
    // Otherwise the moments did not cover the whole run.
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
    let page = include_str!("../../docs/ops/runbooks/rotation/github-pat.md");
    let title = page.lines().next().unwrap().trim_start_matches("# ");
    assert!(screen.contains(title), "{screen}");
    let said = said_by_raxx(&rotate);
    let at = |text: &str| said.find(text).unwrap_or_else(|| panic!("no {text:?} in\n{said}"));
    let places = [
        "https://github.com/settings/personal-access-tokens\n",
        "Secrets: write",
        "(hidden):",
        "[PASS]",
        "(classic ones: https://github.com/settings/tokens)",
    ]
    .map(at);
    assert!(places.is_sorted(), "{said}");
    snapshot!(sandbox, said);
    assert_stored(&sandbox, NEW);
}
