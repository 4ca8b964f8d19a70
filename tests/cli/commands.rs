//! The commands from the outside: streams, exit codes, and one clear line for every user error.

use crate::snapshot::{snapshot, transcript};
use crate::support;

use std::fs;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::process::{Output, Stdio};

use serde_json::Value;

use support::loopback::{Fault, Loopback};
use support::{RAXX, Sandbox, text};

const GITHUB: &str = "ghp_MadeUpForTheCommandTests012345678cdef";
const HEROKU: &str = "HRKU-MadeUpForTheCommandTests0123456781234";

/// A GitHub token that works and a Heroku key that does not.
fn two(server: &Loopback) -> Sandbox {
    let mut sandbox = Sandbox::new();
    sandbox.config(&format!(
        "{}enabled = false\n\
         [[credential]]\nname = \"HEROKU_API_KEY\"\nprovider = \"heroku\"\nrotate_via = \"heroku.md\"\n\
         [[credential]]\nname = \"GITHUB_API_SECRETS_TOKEN\"\nprovider = \"github\"\nrotate_via = \"github.md\"\n",
        server.config(), // the config ends inside Infisical's table
    ));
    server.accept(GITHUB);
    sandbox.env("HEROKU_API_KEY", HEROKU).env("GITHUB_API_SECRETS_TOKEN", GITHUB);
    sandbox
}

const FAIL: &str = "[FAIL] HEROKU_API_KEY    (redacted HRKU…1234) — HTTP 401 (invalid or revoked)\n       rotate via: heroku.md\n       type: raxx rotate HEROKU_API_KEY\n";
const PASS: &str = "[PASS] GITHUB_API_SECRETS_TOKEN    (redacted ghp_…cdef) — octo-op\n";

fn code(out: &Output) -> i32 {
    out.status.code().expect("an exit code")
}

/// Asserts one line on stderr, followed by the next command if there is one, nothing on stdout, and exit 2. Returns the
/// transcript.
fn refused(sandbox: &Sandbox, args: &[&str]) -> String {
    let out = sandbox.run(args);
    assert_eq!((text(&out.stdout), code(&out)), (String::new(), 2), "{}", text(&out.stderr));
    let said = text(&out.stderr);
    let commands = said.lines().filter(|line| line.starts_with("      type: ")).count();
    assert!(said.starts_with("raxx: ") && commands <= 1 && said.lines().count() == 1 + commands, "{said}");
    assert!(commands == 0 || said.lines().last().is_some_and(|line| line.starts_with("      type: ")), "{said}");
    transcript(&format!("raxx {}", args.join(" ")), &out)
}

/// The command at the end of a transcript.
fn next_command(transcript: &str) -> Option<&str> {
    transcript.lines().rev().find_map(|line| line.strip_prefix("stderr:       type: "))
}

#[test]
fn the_report_is_on_stdout_in_the_configured_order() {
    let server = Loopback::start();
    let sandbox = two(&server);
    let out = sandbox.run(&["check"]);
    assert_eq!(text(&out.stdout), format!("{FAIL}{PASS}"));
    assert_eq!(text(&out.stderr), "");
    assert_eq!(code(&out), 1);
}

#[test]
fn quiet_shows_only_failures() {
    let server = Loopback::start();
    let sandbox = two(&server);
    assert_eq!(text(&sandbox.run(&["check", "--quiet"]).stdout), FAIL);
    let good = sandbox.run(&["check", "-q", "GITHUB_API_SECRETS_TOKEN"]);
    assert_eq!((text(&good.stdout), text(&good.stderr), code(&good)), (String::new(), String::new(), 0));
}

#[test]
fn json_has_every_field_and_no_value() {
    let server = Loopback::start();
    let sandbox = two(&server);
    let out = sandbox.run(&["check", "--json"]);
    assert_eq!(code(&out), 1);
    let report: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!((&report["version"], &report["verdict"]), (&1.into(), &"FAIL".into()));
    let row = &report["credentials"][0];
    let fields: Vec<&str> = row.as_object().unwrap().keys().map(String::as_str).collect();
    let mut documented = [
        "name",
        "provider",
        "verdict",
        "kind",
        "words",
        "hint",
        "source",
        "redacted",
        "http_status",
        "expires",
        "warning",
        "rotate_via",
        "manage_url",
        "latency_ms",
        "type",
    ];
    documented.sort();
    let mut sorted = fields.clone();
    sorted.sort();
    assert_eq!(sorted, documented);
    assert_eq!(row["kind"], "rejected");
    assert_eq!(row["source"], "env");
    assert_eq!(row["http_status"], 401);
    assert!(row["latency_ms"].is_u64());
    assert!(!text(&out.stdout).contains(HEROKU));
    let docs = fs::read_to_string("docs/configuration.md").unwrap();
    for field in documented {
        assert!(docs.contains(&format!("`{field}`")), "docs/configuration.md does not mention {field}");
    }
}

#[test]
fn color_is_for_terminals_or_on_request() {
    let server = Loopback::start();
    let mut sandbox = two(&server);
    let colorful = |sandbox: &Sandbox| text(&sandbox.run(&["check"]).stdout).contains("\x1b[");
    assert!(!colorful(&sandbox), "a pipe");
    sandbox.env("CLICOLOR_FORCE", "1");
    assert!(colorful(&sandbox), "asked for");
    sandbox.env("NO_COLOR", "1");
    assert!(!colorful(&sandbox), "NO_COLOR");
}

#[test]
fn ctrl_c_stops_at_once_and_shows_the_verdicts_so_far() {
    let server = Loopback::start();
    let sandbox = two(&server);
    server.react(HEROKU, Fault::HangBeforeHeaders);
    let mut check = std::process::Command::new(RAXX);
    check.env_clear().envs(sandbox.environment().iter().cloned()).arg("check");
    let check = check.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Both were sent, and one has been answered.
    let verdicts = sandbox.state().join("verdicts");
    let is_verdict = |entry: &std::fs::DirEntry| entry.path().extension().is_some_and(|end| end == "json");
    let known = || std::fs::read_dir(&verdicts).is_ok_and(|found| found.flatten().any(|entry| is_verdict(&entry)));
    while server.requests().len() < 2 || !known() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert!(std::process::Command::new("kill").args(["-INT", &check.id().to_string()]).status().unwrap().success());
    let out = check.wait_with_output().unwrap();
    assert_eq!((text(&out.stdout), code(&out)), (PASS.into(), 130));
    snapshot!(sandbox, transcript("raxx check (and Ctrl-C)", &out));
}

#[test]
fn an_unknown_name_gets_the_closest_suggestion() {
    let sandbox = Sandbox::new();
    let check = refused(&sandbox, &["check", "HEROKU"]);
    assert_eq!(next_command(&check), Some("raxx check HEROKU_API_KEY"));
    let nearly = refused(&sandbox, &["check", "GITHUB_API_SECRET_TOKEN"]);
    assert_eq!(next_command(&nearly), Some("raxx check GITHUB_API_SECRETS_TOKEN"));
    let export = refused(&sandbox, &["export", "bash", "cf_worker"]);
    assert_eq!(next_command(&export), Some("raxx export bash CF_WORKER_DEPLOY"));
    let out = sandbox.run(&["check", "\x1b[31mX"]);
    let far = transcript("raxx check (a name with an escape sequence)", &out);
    assert!(!far.contains('\x1b') && far.contains("CLOUDFLARE_ACCESS_MGMT_TOKEN, CF_WORKER_DEPLOY"), "{far}");
    let value = refused(&sandbox, &["check", "MadeUp0123456789abcdef"]).replace("MadeUp0123456789abcdef", "[VALUE]");
    assert_eq!(value.matches("[VALUE]").count(), 1, "{value}");
    snapshot!(sandbox, [check, nearly, export, far, value].join("\n"));
}

#[test]
fn a_broken_configuration_is_one_line_with_file_and_line() {
    let mut sandbox = Sandbox::new();
    let place = |line: usize| format!("raxx: {}:{line}: ", sandbox.root().join("config.toml").display());
    let (second, third) = (place(2), place(3));
    sandbox.config("timeout = \"10s\"\nprovidr = \"x\"\n");
    let said = refused(&sandbox, &["check"]);
    assert!(said.contains(&second), "{said}");
    sandbox.config("[[credential]]\nname = \"A\"\nprovidr = \"github\"\n");
    let mut transcripts = vec![said];
    for command in [&["check"][..], &["export", "bash"], &["names"], &["load", "--shell", "zsh"]] {
        let said = refused(&sandbox, command);
        assert!(said.contains(&third) && said.contains("`providr`"), "{said}");
        transcripts.push(said);
    }
    // A new terminal starts anyway, unsets the variables that the file names, and shows the error above the prompt.
    let names = |sandbox: &Sandbox| {
        let init = sandbox.run(&["init", "zsh"]);
        assert!(init.status.success(), "{}", text(&init.stderr));
        let integration = text(&init.stdout);
        integration.split("__raxx_names='").nth(1).and_then(|rest| rest.split('\'').next()).unwrap().to_string()
    };
    assert_eq!(names(&sandbox), "A");
    let hook = sandbox.run(&["hook", "zsh"]);
    assert!(hook.status.success());
    let said = text(&hook.stdout);
    assert!(said.starts_with(&format!("builtin printf '%s\\n' '{third}")), "{said}");
    assert_eq!(said.lines().count(), 1);
    transcripts.push(transcript("raxx hook zsh", &hook));
    snapshot!(sandbox, transcripts.join("\n"));

    // If the file cannot be parsed, or a name would be code, the runbook's variables are unset.
    let built_in = "CLOUDFLARE_ACCESS_MGMT_TOKEN CF_WORKER_DEPLOY HEROKU_API_KEY GITHUB_API_SECRETS_TOKEN";
    for unusable in ["[[credential]\n", "[[credential]]\nname = \"A'; id\"\n", "[[credential]]\nname = \"PATH\"\n", ""]
    {
        sandbox.config(unusable);
        assert_eq!(names(&sandbox), built_in, "{unusable}");
    }
}

#[test]
fn a_configuration_named_explicitly_must_exist() {
    let mut sandbox = Sandbox::new();
    let absent = sandbox.home().join("absent.toml");
    sandbox.env("RAXX_CONFIG", &absent);
    let gone = refused(&sandbox, &["names"]);
    fs::create_dir(&absent).unwrap();
    let directory = refused(&sandbox, &["names"]);
    fs::remove_dir(&absent).unwrap();
    fs::write(&absent, b"# caf\xe9\n").unwrap();
    let latin = refused(&sandbox, &["names"]);
    let all = [gone, directory, latin];
    for said in &all {
        assert!(said.contains(&format!("raxx: {}: ", absent.display())), "{said}");
    }
    let mut relative = Sandbox::new();
    relative.env("RAXX_CONFIG", "config.toml");
    let relative = refused(&relative, &["names"]);
    assert!(relative.contains("raxx: RAXX_CONFIG: "), "{relative}");
    snapshot!(sandbox, format!("{}\n{relative}", all.join("\n")));
}

#[test]
fn the_configuration_is_never_read_from_the_current_directory() {
    let sandbox = Sandbox::new();
    let here = sandbox.root().join("hostile");
    fs::create_dir_all(here.join("raxx")).unwrap();
    let hostile = "[[credential]]\nname = \"STOLEN\"\nprovider = \"github\"\n";
    for name in ["config.toml", "raxx.toml", ".raxx.toml", "raxx/config.toml"] {
        fs::write(here.join(name), hostile).unwrap();
    }
    let names = |sandbox: &Sandbox| text(&sandbox.raxx().arg("names").current_dir(&here).output().unwrap().stdout);
    assert!(!names(&sandbox).contains("STOLEN"));
    let mut relative = Sandbox::new();
    relative.env("XDG_CONFIG_HOME", ".");
    assert!(!names(&relative).contains("STOLEN"), "a relative XDG_CONFIG_HOME is ignored");
}

#[test]
fn the_users_file_is_found_at_the_xdg_path() {
    let sandbox = Sandbox::new();
    fs::create_dir_all(sandbox.home().join(".config/raxx")).unwrap();
    let file = sandbox.home().join(".config/raxx/config.toml");
    fs::write(file, "[[credential]]\nname = \"MINE\"\nprovider = \"github\"\n").unwrap();
    assert_eq!(text(&sandbox.run(&["names"]).stdout), "MINE\n");
}

#[test]
fn commands_that_need_the_shell_function_say_what_to_type() {
    let sandbox = Sandbox::new();
    let unset = refused(&sandbox, &["unset"]);
    let names = "CLOUDFLARE_ACCESS_MGMT_TOKEN CF_WORKER_DEPLOY HEROKU_API_KEY GITHUB_API_SECRETS_TOKEN";
    assert_eq!(next_command(&unset), Some(format!("unset {names}").as_str()));
    let load = refused(&sandbox, &["load"]);
    assert_eq!(next_command(&load), Some("eval \"$(raxx init zsh)\" && raxx load"));
    let mut bash = Sandbox::new();
    bash.env("SHELL", "/bin/bash");
    let bash = refused(&bash, &["load"]);
    assert_eq!(next_command(&bash), Some("eval \"$(raxx init bash)\" && raxx load"));
    snapshot!(sandbox, [unset, load, bash].join("\n"));
}

#[test]
fn load_prints_code_to_stdout_and_the_report_to_stderr() {
    let server = Loopback::start();
    let sandbox = two(&server);
    let out = sandbox.run(&["load", "--shell", "bash"]);
    assert_eq!(text(&out.stderr), format!("{FAIL}{PASS}"));
    let code_lines = format!("export GITHUB_API_SECRETS_TOKEN='{GITHUB}'\n");
    assert_eq!(
        text(&out.stdout),
        code_lines,
        "the rejected value is not exported, and the user's own good one is unchanged"
    );
    assert_eq!(code(&out), 1);
}

#[test]
fn export_prints_found_values_and_reports_missing_ones() {
    let server = Loopback::start();
    let mut sandbox = two(&server);
    sandbox.unset("HEROKU_API_KEY");
    let out = sandbox.run(&["export", "sh"]);
    assert_eq!(text(&out.stdout), format!("export GITHUB_API_SECRETS_TOKEN='{GITHUB}'\n"));
    let said = text(&out.stderr);
    assert!(said.starts_with("raxx: HEROKU_API_KEY ") && said.lines().count() == 1, "{said}");
    assert_eq!(code(&out), 0);
    sandbox.env("HEROKU_API_KEY", "two\nlines");
    let mangled = transcript(
        "raxx export sh HEROKU_API_KEY (with a newline in it)",
        &sandbox.run(&["export", "sh", "HEROKU_API_KEY"]),
    );
    sandbox.unset("HEROKU_API_KEY");
    snapshot!(sandbox, format!("# HEROKU_API_KEY is unset\n{said}\n{mangled}"));
    assert_eq!(code(&sandbox.run(&["export", "sh", "HEROKU_API_KEY"])), 1, "a named credential must exist");
    let missing = sandbox.run(&["export", "sh", "--missing"]);
    assert_eq!((text(&missing.stdout), text(&missing.stderr)), (String::new(), String::new()));
    assert!(server.requests().is_empty(), "export never touches the network");
}

#[test]
fn a_value_that_cannot_be_a_token_is_never_sent_and_never_exported() {
    let server = Loopback::start();
    let mut sandbox = two(&server);
    let mut reports = Vec::new();
    for value in [
        "ghp_two\nlines_of_it_0123456789".as_bytes(),
        b"ghp_escape\x1b[31m_0123456789",
        b"ghp_latin\xe4\xf6\xfc_0123456789",
    ] {
        sandbox.env("GITHUB_API_SECRETS_TOKEN", std::ffi::OsStr::from_bytes(value));
        let out = sandbox.run(&["check", "GITHUB_API_SECRETS_TOKEN"]);
        let said = text(&out.stdout);
        assert!(said.starts_with("[FAIL] GITHUB_API_SECRETS_TOKEN    (redacted) — "), "{said}");
        assert!(!said.contains("0123456789") && !said.contains('\x1b'), "{said}");
        assert_eq!(code(&out), 1);
        reports.push(format!("# {}\n{said}", value.escape_ascii()));
        assert_eq!(text(&sandbox.run(&["export", "bash", "GITHUB_API_SECRETS_TOKEN"]).stdout), "");
        assert_eq!(text(&sandbox.run(&["load", "GITHUB_API_SECRETS_TOKEN", "--shell", "zsh"]).stdout), "");
    }
    assert!(server.requests().is_empty());
    snapshot!(sandbox, reports.join("\n"));
}

#[test]
fn a_closed_pipe_is_not_an_error() {
    let sandbox = Sandbox::new();
    let mut completions = std::process::Command::new(RAXX);
    completions.env_clear().envs(sandbox.environment().iter().cloned()).args(["init", "zsh"]);
    let mut child = completions.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(said, "");
    assert!(child.wait().unwrap().success());
}

#[test]
fn an_unknown_word_is_a_usage_error() {
    let sandbox = Sandbox::new();
    for wrong in [vec!["chekc"], vec!["init", "tcsh"], vec!["check", "--loud"], vec![]] {
        let out = sandbox.run(&wrong);
        assert_eq!(code(&out), 2, "{wrong:?}");
        assert_eq!(text(&out.stdout), "");
    }
    assert_eq!(next_command(&refused(&sandbox, &["chekc"])), Some("raxx check"));
}

#[test]
fn paste_artifacts_are_reported_before_suggesting_rotation() {
    let server = Loopback::start();
    let mut sandbox = two(&server);
    let mut reports = Vec::new();
    for value in
        [format!(" {GITHUB}"), format!("\"{GITHUB}\""), format!("Bearer {GITHUB}"), format!("\u{200b}{GITHUB}")]
    {
        sandbox.env("GITHUB_API_SECRETS_TOKEN", &value);
        let said = text(&sandbox.run(&["check", "GITHUB_API_SECRETS_TOKEN"]).stdout);
        assert!(said.contains("— HTTP 401 (invalid or expired); ") && !said.contains("rotate"), "{said}");
        let json = text(&sandbox.run(&["check", "--json", "GITHUB_API_SECRETS_TOKEN"]).stdout);
        assert!(json.contains("\"kind\": \"malformed\""), "{json}");
        reports.push(format!("# {}\n{said}", value.replace(GITHUB, "TOKEN").escape_default()));
    }
    snapshot!(sandbox, reports.join("\n"));
}

#[test]
fn an_interrupted_run_is_not_a_pass_in_json() {
    let server = Loopback::start();
    let sandbox = two(&server);
    server.always(Fault::HangBeforeHeaders);
    let mut check = std::process::Command::new(RAXX);
    check.env_clear().envs(sandbox.environment().iter().cloned()).args(["check", "--json"]);
    let check = check.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    while server.requests().len() < 2 {
        std::thread::yield_now();
    }
    assert!(std::process::Command::new("kill").args(["-INT", &check.id().to_string()]).status().unwrap().success());
    let out = check.wait_with_output().unwrap();
    let report: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!((&report["verdict"], &report["unfinished"], code(&out)), (&Value::Null, &2.into(), 130));
}

#[test]
fn plain_http_bypasses_the_proxy() {
    let server = Loopback::start();
    let proxy = Loopback::start();
    let mut sandbox = two(&server);
    for name in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "HTTPS_PROXY"] {
        sandbox.env(name, proxy.url());
    }
    let out = sandbox.run(&["check", "GITHUB_API_SECRETS_TOKEN"]);
    assert_eq!(text(&out.stdout), PASS);
    assert!(proxy.requests().is_empty(), "the proxy saw a plaintext request");
}

#[test]
fn two_hundred_credentials_stay_within_the_open_file_limit() {
    let server = Loopback::start();
    let mut sandbox = Sandbox::new();
    let mut config = format!("{}enabled = false\n", server.config());
    for i in 0..200 {
        config += &format!("[[credential]]\nname = \"T{i}\"\nprovider = \"github\"\n");
        let token = format!("ghp_MadeUpOneOfMany{i:020}");
        server.accept(&token);
        sandbox.env(format!("T{i}"), token);
    }
    sandbox.config(&config);
    let out = sandbox.command("sh").args(["-c", "ulimit -S -n 256; exec raxx check -q"]).output().unwrap();
    assert_eq!((text(&out.stdout), code(&out)), (String::new(), 0));
}

#[test]
fn configured_text_cannot_control_the_terminal() {
    let server = Loopback::start();
    let mut sandbox = two(&server);
    sandbox.config(&format!(
        "{}enabled = false\n[[credential]]\nname = \"HEROKU_API_KEY\"\nprovider = \"heroku\"\nrotate_via = \"a\\u001b[31mb\\nc\"\n",
        server.config()
    ));
    let said = text(&sandbox.run(&["check"]).stdout);
    assert!(said.contains("\n       rotate via: a[31mb c\n"), "{said}");
    sandbox.config("timeout = \"\\u001b[31msoon\"\n");
    let said = refused(&sandbox, &["check"]);
    assert!(said.contains("config.toml:1: timeout ") && !said.contains('\x1b'), "{said}");
}

#[test]
fn ambiguous_arguments_are_refused() {
    let mut sandbox = Sandbox::new();
    let credential = "[[credential]]\nname = \"A\"\nprovider = \"x\"\n";
    let provider = format!("{credential}[provider.x]\nbase_url = \"https://x.test\"\npath = \"/\"\n");
    let rule = |rule: &str| format!("{provider}[[provider.x.rule]]\n{rule}\n");
    let store = "store = { service = \"a\\u0000b\", account = \"c\" }\n";
    let mut all = Vec::new();
    for (configuration, line) in [
        ("[provider.infisical]\npath = \"/x\"\n".to_string(), 1),
        ("[provider.github]\nbase_url = \"https://me:hunter2@x.test:99999\"\n".into(), 2),
        (rule("kind = \"rejected\"\nstatus = 401"), 7),
        (rule("kind = \"rejected\"\njson = { \"/x\" = { present = false } }"), 7),
        (rule("kind = \"rejected\"\nbody = \"\""), 7),
        (rule("kind = \"valid\""), 7),
        (credential.replace("\"x\"", "\"github\"").replace("provider", &format!("{store}provider")), 3),
    ] {
        sandbox.config(&configuration);
        let said = refused(&sandbox, &["check"]);
        assert!(said.contains(&format!("config.toml:{line}: ")) && !said.contains("hunter2"), "{said}");
        all.push(format!("{configuration}\n{said}").replace("hunter2", "[PASSWORD]"));
    }
    snapshot!(sandbox, all.join("\n"));
}

#[test]
fn a_token_in_place_of_a_path_is_not_repeated() {
    let token = "ghp_MadeUp0123456789abcdefABCDEFxyzQ";
    for place in [token.to_string(), format!("/{token}"), format!("/tmp/{token}/config.toml"), format!("./{token}")] {
        let mut sandbox = Sandbox::new();
        sandbox.env("RAXX_CONFIG", &place);
        for args in [
            &["check"][..],
            &["hook", "bash"],
            &["names"],
            &["init", "zsh"],
            &["list"],
            &["export", "zsh", "--missing"],
        ] {
            let out = sandbox.run(args);
            let said = text(&out.stdout) + &text(&out.stderr);
            assert!(!said.contains("MadeUp"), "{place} {args:?}: {said}");
        }
        assert!(refused(&sandbox, &["check"]).contains("raxx: RAXX_CONFIG: "));
    }
}

/// A habit from another tool or a typo gets a suggestion, and nothing runs.
#[test]
fn commands_of_other_programs_get_a_suggestion_and_never_run() {
    let sandbox = Sandbox::new();
    let mut all = Vec::new();
    for (typed, next) in [
        ("rm", "raxx forget NAME"),
        ("delete", "raxx forget NAME"),
        ("remove HEROKU_API_KEY", "raxx forget HEROKU_API_KEY"),
        ("ls", "raxx list"),
        ("status", "raxx list"),
        ("login", "raxx store NAME"),
        ("set HEROKU_API_KEY", "raxx store HEROKU_API_KEY"),
        ("add", "raxx store NAME"),
        ("get HEROKU_API_KEY", "raxx export zsh HEROKU_API_KEY"),
        ("version", "raxx --version"),
        ("test", "raxx check"),
        ("renew HEROKU_API_KEY", "raxx rotate HEROKU_API_KEY"),
        ("logout", "raxx unset"),
        ("cron", "raxx schedule status"),
        ("activate", "raxx init zsh"),
        ("chekc", "raxx check"),
        ("lits", "raxx list"),
        ("forgte HEROKU_API_KEY", "raxx forget HEROKU_API_KEY"),
        ("frobnicate", "raxx --help"),
        ("schedule remove", "raxx schedule uninstall"),
        ("schedule add", "raxx schedule install"),
        ("schedule ls", "raxx schedule status"),
        ("schedule instal", "raxx schedule install"),
        ("schedule frobnicate", "raxx schedule --help"),
        ("schedule install --via crn", "raxx schedule install --via cron"),
        ("schedule install --via", "raxx schedule install --via launchd"),
        ("schedule install --at 25:00", "raxx schedule install --at 08:00"),
        ("schedule install --at", "raxx schedule install --help"),
        ("schedule install --utc --local", "raxx schedule install --help"),
        ("check --quite", "raxx check --quiet"),
        ("check --frobnicate", "raxx check --help"),
        ("--verison", "raxx --version"),
        ("--color sometimes check", "raxx check --color auto"),
        ("init fish", "raxx init zsh"),
        ("init tcsh", "raxx init zsh"),
        ("init", "raxx init zsh"),
        ("export", "raxx export zsh"),
        ("export zhs", "raxx export zsh"),
        ("completions", "raxx completions zsh"),
        ("store", "raxx store NAME"),
        ("list --history", "raxx list --help"),
        ("set HEROKU_API_KEY=abc", "raxx store HEROKU_API_KEY"),
        ("set HEROKU_API_KEY abc", "raxx store HEROKU_API_KEY"),
        ("store HEROKU_API_KEY abc", "raxx store HEROKU_API_KEY"),
        ("unlock abc", "raxx unlock"),
        ("check --alert=abc", "raxx check --help"),
        ("prompt now", "raxx prompt --help"),
        ("hook zsh bash", "raxx hook --help"),
        ("check --if-due noon", "raxx check --help"),
        ("lock now", "raxx lock --help"),
        ("check --alert --json", "raxx check --help"),
        ("check --test", "raxx check --help"),
        ("list HEROKU_API_KEY --history HEROKU_API_KEY", "raxx list --help"),
        ("help frobnicate", "raxx --help"),
    ] {
        let words: Vec<&str> = typed.split(' ').collect();
        let said = refused(&sandbox, &words);
        assert_eq!(next_command(&said), Some(next), "{typed}");
        all.push(said);
    }
    let mut latin = sandbox.raxx();
    latin.arg("check").arg(std::ffi::OsStr::from_bytes(b"caf\xe9"));
    let latin = latin.output().unwrap();
    assert_eq!(code(&latin), 2);
    all.push(transcript("raxx check (bytes that are not UTF-8)", &latin));
    snapshot!(sandbox, all.join("\n"));
    // Nothing ran.
    assert!(!sandbox.state().exists());
}

#[test]
fn a_value_typed_as_an_argument_is_not_repeated() {
    let sandbox = Sandbox::new();
    for token in ["ghp_MadeUp0123456789abcdefABCDEFxyzQ", "MadeUp-Tr0ub4dor", "sk-MadeUp_0123456789abcdef"] {
        for line in [
            "@",
            "--@",
            "-@",
            "check @",
            "check --@",
            "check --token @",
            "check --token=@",
            "check --color @",
            "check --color=@",
            "store @",
            "store A @",
            "store A=@",
            "store A --stdin=@",
            "store A -t@",
            "rotate A @",
            "rotate --value=@",
            "forget A @",
            "export @",
            "export zsh @",
            "load @",
            "load --shell @",
            "list @",
            "list --history @",
            "import @",
            "init @",
            "hook @",
            "completions @",
            "unlock @",
            "unlock --stdin=@",
            "lock @",
            "prompt @",
            "names @",
            "unset @",
            "unset --tmux=@",
            "help @",
            "schedule @",
            "schedule install @",
            "schedule install --at @",
            "schedule install --at=@",
            "schedule install --via @",
            "schedule status @",
            "check --if-due @",
            "check --alert @",
            "--color @",
            "--color=@",
        ] {
            let line = line.replace('@', token);
            let words: Vec<&str> = line.split(' ').collect();
            let out = sandbox.run(&words);
            let said = text(&out.stdout) + &text(&out.stderr);
            assert!(!said.contains("MadeUp") && !said.to_lowercase().contains("tr0ub"), "{line}: {said}");
            assert_eq!(code(&out), 2, "{line}: {said}");
        }
    }
}

#[test]
fn color_follows_the_option_before_the_environment() {
    let server = Loopback::start();
    let mut sandbox = two(&server);
    let colorful = |sandbox: &Sandbox, args: &[&str]| text(&sandbox.run(args).stdout).contains("\x1b[");
    assert!(colorful(&sandbox, &["check", "--color", "always"]));
    assert!(colorful(&sandbox, &["--color=always", "list"]) || !text(&sandbox.run(&["list"]).stdout).contains("PASS"));
    assert!(colorful(&sandbox, &["--color", "always", "--help"]));
    sandbox.env("CLICOLOR_FORCE", "1");
    assert!(!colorful(&sandbox, &["--color", "never", "check"]));
    assert!(!colorful(&sandbox, &["--color=never", "--help"]));
    sandbox.env("NO_COLOR", "1");
    assert!(colorful(&sandbox, &["check", "--color=always"]), "the option overrides the environment");
    assert!(!text(&sandbox.run(&["check", "--json", "--color=always"]).stdout).contains('\x1b'));
}

#[test]
fn a_locale_without_utf8_gets_ascii_and_json_stays_as_it_is() {
    let server = Loopback::start();
    let mut sandbox = two(&server);
    let json = text(&sandbox.run(&["check", "--json"]).stdout);
    for (name, value) in
        [("LC_ALL", "C"), ("LC_ALL", "POSIX"), ("LC_CTYPE", "C"), ("LANG", "en_US.ISO-8859-1"), ("LANG", "")]
    {
        sandbox.unset("LC_ALL").unset("LC_CTYPE").env("LANG", "C.UTF-8").env(name, value);
        for args in [
            &["check"][..],
            &["check", "-q"],
            &["list"],
            &["--help"],
            &["schedule", "status"],
            &["prompt"],
            &["load", "--shell", "zsh"],
            &["hook", "bash"],
            &["chekc"],
        ] {
            let out = sandbox.run(args);
            let said = text(&out.stdout) + &text(&out.stderr);
            assert!(said.is_ascii(), "{name}={value} {args:?}: {said}");
        }
        assert!(text(&sandbox.run(&["check"]).stdout).contains("(redacted HRKU...1234) - HTTP 401"));
        assert!(text(&sandbox.run(&["check", "--json"]).stdout).contains("HRKU…1234") && json.contains("HRKU…1234"));
    }
    // The first one that is set counts, as in the C library.
    sandbox.env("LC_ALL", "en_US.UTF-8").env("LC_CTYPE", "C").env("LANG", "C");
    assert!(text(&sandbox.run(&["check"]).stdout).contains("HRKU…1234"));
}
