//! The messages that no other test shows: every help page, every configuration error, and the rows and errors for values
//! that cannot be checked or exported.

use std::process::Stdio;
use std::time::Duration;

use crate::snapshot::{ran, snapshot, transcript};
use crate::support::loopback::{Answer, Fault, Loopback};
use crate::support::{RAXX, Sandbox, text};

/// The subcommands as listed by the binary.
fn commands(sandbox: &Sandbox) -> Vec<String> {
    let help = crate::support::text(&sandbox.run(&["--help"]).stdout);
    let listed = help.lines().take_while(|line| *line != "Options:").filter_map(|line| line.strip_prefix("  "));
    listed.filter_map(|line| line.split_whitespace().next()).chain(["help"]).map(String::from).collect()
}

#[test]
fn every_page_of_help() {
    let mut sandbox = Sandbox::new();
    sandbox.env("COLUMNS", "80");
    snapshot!(sandbox, "help", ran(&sandbox, &["--help"]));
    let commands = commands(&sandbox);
    assert!(commands.len() > 15, "{commands:?}");
    for command in commands {
        snapshot!(sandbox, format!("help_{command}"), ran(&sandbox, &[&command, "--help"]));
    }
    for action in ["install", "uninstall", "status"] {
        snapshot!(sandbox, format!("help_schedule_{action}"), ran(&sandbox, &["schedule", action, "--help"]));
    }
}

/// Whether a text repeats part of a made-up secret in the broken configurations.
fn repeats_a_secret(said: &str) -> bool {
    ["MadeUp", "hunter2", "Tr0ub4dor", "me:word"].iter().any(|secret| said.contains(secret))
}

#[test]
fn every_configuration_error_is_one_line_with_file_and_line() {
    let mut sandbox = Sandbox::new();
    let mut all = Vec::new();
    for (configuration, line) in [
        ("timeout = [10]", 1),
        ("timeout = 10 s", 1),
        ("timeout = \"61s\"", 1),
        ("timeout = \"10s\"\ntimeout = \"10s\"", 2),
        ("timeout", 1),
        ("[timeout", 1),
        ("timeouts = \"10s\"", 1),
        ("warn_before = \"400d\"", 1),
        ("warn_before = \"tomorrow\"", 1),
        ("warn_before = 14", 1),
        ("credential = \"A\"", 1),
        ("[credential]\nname = \"A\"\nprovider = \"github\"", 1),
        ("[[credential]]\nprovider = \"github\"", 1),
        ("[[credential]]\nname = \"A\"", 1),
        ("[[credential]]\nname = [\"A\"]\nprovider = \"github\"", 2),
        ("[[credential]]\nname = \"\"\nprovider = \"github\"", 2),
        ("[[credential]]\nname = \"A_ghp_MadeUp0123456789abcdef\"\nprovider = \"github\"", 2),
        ("[[credential]]\nname = \"LD_PRELOAD\"\nprovider = \"github\"", 2),
        ("[[credential]]\nname = \"__RAXX_NAMES\"\nprovider = \"github\"", 2),
        (
            "[[credential]]\nname = \"hunter2\"\nprovider = \"github\"\n[[credential]]\nname = \"hunter2\"\nprovider = \"github\"",
            5,
        ),
        ("[[credential]]\nname = \"A\"\nprovider = \"frobnicate\"", 3),
        ("[[credential]]\nname = \"A\"\nprovider = \"Tr0ub4dor\"", 3),
        ("[[credential]]\nname = \"A\"\nprovider = \"ghp_MadeUp0123456789abcdef\"", 3),
        ("[[credential]]\nname = \"A\"\nprovider = \"cloudflare\"\naccount_id = \"a/b\"", 4),
        ("[[credential]]\nname = \"A\"\nprovider = \"github\"\nrotate_via = \"ghp_MadeUp0123456789abcdef\"", 4),
        ("[[credential]]\nname = \"A\"\nprovider = \"github\"\nrotate_via = \"https://me:word@wiki.example.test\"", 4),
        ("[[credential]]\nname = \"A\"\nprovider = \"github\"\nscope = \"ghp_MadeUp0123456789abcdef\"", 4),
        ("[[credential]]\nname = \"A\"\nprovider = \"github\"\nwarn_before = \"-1h\"", 4),
        ("[[credential]]\nname = \"A\"\nprovider = \"github\"\nstore = \"item\"", 4),
        ("[[credential]]\nname = \"A\"\nprovider = \"github\"\nstore = { service = \"s\" }", 4),
        ("[[credential]]\nname = \"A\"\nprovider = \"github\"\nstore = { service = \"\", account = \"a\" }", 4),
        (
            "[[credential]]\nname = \"A\"\nprovider = \"github\"\nstore = { service = \"s\", account = \"a\", label = \"l\" }",
            4,
        ),
        (
            "[[credential]]\nname = \"A\"\nprovider = \"github\"\nstore = { service = \"s\", account = \"ghp_MadeUp0123456789abcdef\" }",
            4,
        ),
        ("[hook]\nenabled = 1", 2),
        ("[hook]\nrecheck_after = \"200h\"", 2),
        ("[hook]\nrecheck = \"1h\"", 2),
        ("hook = true", 1),
        ("[store]\nbackend = \"pass\"", 2),
        ("[store]\nbackend = 1", 2),
        ("[store]\npath = \"~\"", 2),
        ("[store]\nidentity = \"/home/ghp_MadeUp0123456789abcdef\"", 2),
        ("[vault]\nhashicorp = {}", 2),
        ("[vault.infisical]\nbase_url = \"http://vault.example.test\"", 2),
        ("[vault.infisical]\nbase_url = \"data:a\"", 2),
        ("[vault.infisical]\nbase_url = \"https://vault.example.test/?a=b\"", 2),
        ("[vault.infisical]\nrotate_via = \"ghp_MadeUp0123456789abcdef\"", 2),
        ("[vault.infisical]\nclient_id = \"a\"", 2),
        ("[alert]\nrepeat = \"800h\"", 2),
        ("[alert]\nretry_for = \"6m\"", 2),
        ("[alert.slack]\nchannel = \"ghp_MadeUp0123456789abcdef\"", 2),
        ("[alert.slack]\nwebhook = \"ghp_MadeUp0123456789abcdef\"", 2),
        ("[alert.slack]\nenabled = \"yes\"", 2),
        ("[alert.command]\nrun = \"mail me\"", 2),
        ("[alert.command]\nrun = [\"mail\", \"a\\u0000b\"]", 2),
        ("[alert.desktop]\nenable = true", 2),
        ("[alert.prometheus]\nfile = \"raxx.prom\"", 2),
        ("[alert.email]\nto = \"me\"", 1),
        ("[provider.x]\npath = \"/\"", 1),
        ("[provider.x]\nbase_url = \"https://x.test\"", 1),
        ("[provider.x]\nbase_url = \"https://x.test\"\npath = \"/\"", 1),
        ("[provider.github]\npath = \"user\"", 2),
        ("[provider.github]\nbase_url = 1", 2),
        ("[provider.github]\nlable = \"GH\"", 2),
        ("[provider.github]\nauth = \"basic\"", 2),
        ("[provider.github]\nauth = { header = \"a b\" }", 1),
        ("[provider.github]\nauth = { header = \"X-Token\", prefix = \"a\\nb\" }", 1),
        ("[provider.github]\nheaders = { Host = \"x.test\" }", 1),
        ("[provider.github]\nheaders = { X-A = \"a\\nb\" }", 1),
        ("[provider.github]\nexpires = \"expires_at\"", 1),
        ("[provider.github]\nexpiry_list = \"tokens\"", 2),
        ("[provider.github]\nlist_expiry = true", 2),
        ("[provider.github]\ndoubt = \"1h\"", 2),
        ("[provider.github]\ndoubt = \"soon\"", 2),
        ("[[provider.github.probe]]\npath = \"/\"", 1),
        ("[[provider.github.probe]]\nname = \"a\"\npath = \"a\"", 3),
        ("[[provider.github.probe]]\nname = \"a\"\npath = \"/\"\nmethod = \"PUT\"", 4),
        ("[[provider.github.rule]]\nstatus = 200", 1),
        ("[[provider.github.rule]]\nstatus = \"6xx\"\nkind = \"blocked\"", 1),
        ("[[provider.github.rule]]\nstatus = \"all\"\nkind = \"blocked\"", 1),
        ("[[provider.github.rule]]\nstatus = true\nkind = \"blocked\"", 2),
        ("[[provider.github.rule]]\nstatus = []\nkind = \"blocked\"", 1),
        ("[[provider.github.rule]]\nstatus = 200\nkind = \"good\"", 3),
        ("[[provider.github.rule]]\nstatus = 200\nkind = \"missing\"", 1),
        ("[[provider.github.rule]]\nkind = \"refused\"", 1),
        ("[[provider.github.rule]]\nstatus = 200\njson = { \"login\" = true }\nkind = \"valid\"", 1),
        ("[[provider.github.rule]]\nstatus = 200\njson = { \"/login\" = { exists = true } }\nkind = \"valid\"", 3),
        ("[[provider.github.rule]]\nstatus = 200\nkind = \"blocked\"\nprobe = \"login\"", 1),
        ("[[provider.github.rule]]\nstatus = 200\nkind = \"blocked\"\nthen = \"login\"", 1),
    ] {
        sandbox.config(configuration);
        let out = sandbox.run(&["check"]);
        let said = text(&out.stderr);
        let lines = said.lines().filter(|line| !line.starts_with("      type: ")).count();
        assert_eq!(
            (text(&out.stdout), out.status.code(), lines),
            (String::new(), Some(2), 1),
            "{configuration}: {said}"
        );
        assert!(
            said.contains(&format!("config.toml:{line}: ")),
            "{configuration} is not reported in line {line}: {said}"
        );
        assert!(!repeats_a_secret(&said), "{said}");
        let said = said.replace("raxx: ", "=> ").replace(&format!("{}/", sandbox.root().display()), "");
        all.push(format!("{configuration}\n{said}"));
    }
    snapshot!(sandbox, all.join("\n"));
}

const NAME: &str = "GITHUB_API_SECRETS_TOKEN";
const TOKEN: &str = "ghp_MadeUpForTheMessages0123456789abcdef";
const OTHER: &str = "ghp_MadeUpForTheMessages9876543210fedcba";

/// A GitHub token and more configuration. No provider is contacted unless the test starts one.
fn one(server: &Loopback, more: &str) -> Sandbox {
    let mut sandbox = Sandbox::new();
    sandbox.config(&format!(
        "timeout = \"2s\"\n{more}[[credential]]\nname = \"{NAME}\"\nprovider = \"github\"\nrotate_via = \"page.md\"\n\
         store = {{ service = \"s\", account = \"a\" }}\n{}enabled = false\n",
        server.config()
    ));
    sandbox
}

/// A store file that an identity file unlocks.
const STORE: &str = "[store]\nbackend = \"file\"\nidentity = \"~/identity.txt\"\n";

/// Stores a value without checking it.
fn store(sandbox: &Sandbox, value: &str) {
    sandbox.raxx().args(["store", NAME, "--stdin", "--no-check"]).write_stdin(value).assert().success();
}

/// The verdict, the kind and the next command of the first row.
fn row(sandbox: &Sandbox) -> (String, String, Option<String>) {
    let out = sandbox.run(&["check", "--json"]);
    let report: serde_json::Value = serde_json::from_slice(&out.stdout).expect("JSON");
    let field = |name: &str| report["credentials"][0][name].as_str().map(String::from);
    (field("verdict").expect("a verdict"), field("kind").expect("a kind"), field("type"))
}

#[test]
fn each_row_of_a_missing_or_unreadable_value() {
    if !cfg!(target_os = "linux") {
        return; // only Linux has the backend "secret-service"
    }
    let server = Loopback::start();
    let mut all = Vec::new();
    let mut report = |what: &str, sandbox: &Sandbox, kind: &str, next: &str| {
        let next =
            if next == "read" { format!("read -rs {NAME} && export {NAME}") } else { format!("raxx {next} {NAME}") };
        assert_eq!(row(sandbox), ("FAIL".into(), kind.into(), Some(next)), "{what}");
        all.push(format!("# {what}\n{}", ran(sandbox, &["check"])));
    };
    report("no store file yet", &one(&server, STORE), "missing", "store");
    let service = "[store]\nbackend = \"secret-service\"\n";
    report("a bus that is not there", &one(&server, service), "locked", "check");
    let mut without_bus = one(&server, service);
    without_bus.unset("DBUS_SESSION_BUS_ADDRESS");
    report("no bus", &without_bus, "missing", "store");
    let mut nowhere = one(&server, "");
    let text_of = std::fs::read_to_string(nowhere.root().join("config.toml")).expect("the configuration");
    nowhere.config(&text_of.replace("store = { service = \"s\", account = \"a\" }\n", ""));
    report("no place in the store", &nowhere, "missing", "read");

    let stored = one(&server, STORE);
    store(&stored, "two words");
    std::fs::write(stored.home().join(".local/share/raxx/store.age"), "not an age file").expect("the store file");
    report("a store file that is something else", &stored, "locked", "check");
    let stored = one(&server, STORE);
    store(&stored, TOKEN);
    std::fs::remove_file(stored.home().join("identity.txt")).expect("the identity file");
    report("a store file without its identity file", &stored, "locked", "check");

    let mut empty = one(&server, STORE);
    empty.env(NAME, "\n");
    report("a value that is a newline alone", &empty, "malformed", "store");
    snapshot!(nowhere, all.join("\n"));
}

#[test]
fn each_row_that_needs_more_configuration() {
    let server = Loopback::start();
    let mut sandbox = Sandbox::new();
    sandbox.env("ACCOUNT", "cfat_MadeUpForTheMessages0123456789abcdefghij").env("PATHED", TOKEN);
    sandbox.config(&format!(
        "[[credential]]\nname = \"ACCOUNT\"\nprovider = \"cloudflare\"\n\
         [[credential]]\nname = \"PATHED\"\nprovider = \"pathed\"\n\
         [provider.pathed]\nbase_url = \"{}\"\npath = \"/accounts/{{account_id}}\"\n\
         [[provider.pathed.rule]]\nstatus = 200\nkind = \"valid\"\n{}enabled = false\n",
        server.url(),
        server.config()
    ));
    let out = sandbox.run(&["check"]);
    assert_eq!((text(&out.stdout).matches("[SKIP] ").count(), out.status.code()), (2, Some(0)));
    assert!(server.requests().is_empty());
    snapshot!(sandbox, transcript("raxx check", &out));
}

#[test]
fn a_bad_value_in_the_environment_and_another_one_in_the_store() {
    let server = Loopback::start();
    let mut all = Vec::new();
    let mut sandbox = one(&server, STORE);
    store(&sandbox, OTHER);
    sandbox.env(NAME, TOKEN);
    server.react(OTHER, Fault::HangBeforeHeaders);
    assert_eq!(row(&sandbox), ("FAIL".into(), "rejected".into(), Some(format!("raxx check {NAME}"))));
    all.push(format!("# the stored value could not be checked in time\n{}", ran(&sandbox, &["check"])));
    server.react(OTHER, Answer::json(200, r#"{"login":"octo-op","id":1}"#));
    assert_eq!(row(&sandbox), ("FAIL".into(), "rejected".into(), Some(format!("raxx load {NAME}"))));
    all.push(format!("# the stored value passes\n{}", ran(&sandbox, &["check"])));
    let loaded = sandbox.run(&["load", "--shell", "bash"]);
    assert!(text(&loaded.stdout).contains(&format!("export {NAME}='{OTHER}'")));
    all.push(format!("# and it is loaded\n{}", text(&loaded.stderr)));
    snapshot!(sandbox, all.join("\n"));
}

/// The text that `raxx hook` prints in a new terminal, without the code around it.
fn printed_in_a_new_terminal(sandbox: &Sandbox) -> String {
    let code = text(&sandbox.run(&["hook", "bash"]).stdout);
    let out = sandbox.command("bash").args(["-c", &code]).output().expect("bash starts");
    text(&out.stderr)
}

#[test]
fn failures_with_one_cause_are_one_line_in_a_new_terminal() {
    if !cfg!(target_os = "linux") {
        return; // only Linux has the backend "secret-service"
    }
    let server = Loopback::start();
    let credential = |name: &str| {
        format!(
            "[[credential]]\nname = \"{name}\"\nprovider = \"github\"\nstore = {{ service = \"{name}\", account = \"a\" }}\n"
        )
    };
    let both = credential("FIRST") + &credential("SECOND");
    let mut all = Vec::new();
    for (what, store) in [
        ("nothing is stored", STORE),
        ("the bus is not there", "[store]\nbackend = \"secret-service\"\n"),
        ("there is no bus", "[store]\nbackend = \"secret-service\"\n"),
        ("the store file is broken", STORE),
    ] {
        let mut sandbox = Sandbox::new();
        sandbox.config(&format!("{store}{both}{}enabled = false\n", server.config()));
        if what == "there is no bus" {
            sandbox.unset("DBUS_SESSION_BUS_ADDRESS");
        }
        if what == "the store file is broken" {
            let file = sandbox.home().join(".local/share/raxx/store.age");
            std::fs::create_dir_all(file.parent().expect("a directory")).expect("its directory");
            std::fs::write(file, "not an age file").expect("the store file");
        }
        let said = printed_in_a_new_terminal(&sandbox);
        assert_eq!(said.matches("[FAIL] 2 credentials ").count(), 1, "{what}: {said}");
        assert!(
            said.contains("FIRST") && said.contains("SECOND") && said.contains("\n       type: raxx check"),
            "{said}"
        );
        all.push(format!("# {what}\n{said}"));
    }
    snapshot!(Sandbox::new(), all.join("\n"));
}

#[test]
fn a_recently_rejected_value_is_not_exported() {
    let server = Loopback::start();
    let mut sandbox = one(&server, STORE);
    let config = std::fs::read_to_string(sandbox.root().join("config.toml")).expect("the configuration");
    // A rejection by GitHub is normally confirmed first.
    sandbox.config(&config.replace("provider = \"github\"", "provider = \"heroku\""));
    store(&sandbox, TOKEN);
    assert_eq!(sandbox.run(&["check"]).status.code(), Some(1));
    let out = sandbox.run(&["export", "bash", NAME]);
    assert_eq!((text(&out.stdout), out.status.code()), (String::new(), Some(1)));
    snapshot!(sandbox, transcript(&format!("raxx export bash {NAME}"), &out));
}

#[test]
fn an_interrupted_load_exports_nothing() {
    let server = Loopback::start();
    let mut sandbox = one(&server, "");
    let file = sandbox.root().join("config.toml");
    let config = std::fs::read_to_string(&file).expect("the configuration");
    sandbox.config(&config.replace("timeout = \"2s\"", "timeout = \"60s\"")).env(NAME, TOKEN);
    server.react(TOKEN, Fault::HangBeforeHeaders);
    let mut load = std::process::Command::new(RAXX);
    load.env_clear().envs(sandbox.environment().iter().cloned()).args(["load", "--shell", "zsh"]);
    let load = load.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("raxx starts");
    while server.requests().is_empty() {
        std::thread::sleep(Duration::from_millis(5));
    }
    let pid = rustix::process::Pid::from_child(&load);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("a signal");
    let out = load.wait_with_output().expect("its output");
    assert_eq!((text(&out.stdout), out.status.code()), (String::new(), Some(130)));
    snapshot!(sandbox, transcript("raxx load --shell zsh (and Ctrl-C)", &out));
}

#[test]
fn a_login_in_progress_in_another_run_is_not_repeated() {
    let server = Loopback::start();
    server.always(Fault::HangBeforeHeaders);
    let mut sandbox = Sandbox::new();
    sandbox.env("INFISICAL_CLIENT_ID", "01234567-89ab-cdef-0123-456789abcdef");
    sandbox.env("INFISICAL_CLIENT_SECRET", "MadeUpClientSecret0123456789").env("INFISICAL_PROJECT_ID", "p");
    sandbox.config(&format!("timeout = \"60s\"\n{}", server.config()));
    let mut first = std::process::Command::new(RAXX);
    first.env_clear().envs(sandbox.environment().iter().cloned()).args(["check", "infisical"]);
    let mut first =
        first.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("raxx starts");
    while server.requests().is_empty() {
        std::thread::sleep(Duration::from_millis(5));
    }
    sandbox.config(&format!("timeout = \"1s\"\n{}", server.config()));
    let out = sandbox.run(&["check", "infisical"]);
    let _ = first.kill();
    let _ = first.wait();
    assert_eq!((server.requests().len(), out.status.code()), (1, Some(1)));
    snapshot!(sandbox, transcript("raxx check infisical", &out));
}

#[test]
fn stores_that_cannot_be_unlocked_or_locked() {
    if !cfg!(target_os = "linux") {
        return; // only Linux has the backend "secret-service"
    }
    let server = Loopback::start();
    let mut all = Vec::new();
    for (what, store_table, stored) in [
        ("no store file yet", STORE, false),
        ("a store file that an identity file opens", STORE, true),
        ("no secret store on this machine", "[store]\nbackend = \"secret-service\"\n", false),
    ] {
        let sandbox = one(&server, store_table);
        if stored {
            store(&sandbox, TOKEN);
        }
        let out =
            sandbox.raxx().args(["unlock", "--stdin"]).write_stdin("MadeUp phrase\n").output().expect("raxx starts");
        assert!(!text(&out.stderr).contains("MadeUp") && out.status.code() == Some(2), "{}", text(&out.stderr));
        all.push(format!("# {what}\n{}", transcript("raxx unlock --stdin", &out)));
    }
    // Whether a store file can be locked depends on the kernel keyring.
    let lock = one(&server, "[store]\nbackend = \"secret-service\"\n").run(&["lock"]);
    assert_eq!(lock.status.code(), Some(2));
    all.push(transcript("raxx lock", &lock));
    snapshot!(Sandbox::new(), all.join("\n"));
}

#[test]
fn each_form_of_a_placeholder() {
    let values = [
        "op://Private/GitHub/token",
        "vault:secret/data/heroku#token",
        "ref+awsssm://path/to/key",
        "secretref+awsssm://path/to/key",
        "secretref:github-token",
        "keyring:service:name",
        "keychain:service:name",
        "arn:aws:secretsmanager:eu-west-1:123456789012:secret:name-AbCdEf",
        "@Microsoft.KeyVault(SecretUri=https://x.vault.azure.net/secrets/y)",
        "/run/secrets/github",
        "/var/run/secrets/github",
        "process.env.GITHUB_TOKEN",
        "import.meta.env.GITHUB_TOKEN",
        "os.environ[\"GITHUB_TOKEN\"]",
        "os.getenv(\"GITHUB_TOKEN\")",
        "System.getenv(\"GITHUB_TOKEN\")",
        "getenv(\"GITHUB_TOKEN\")",
        "env(GITHUB_TOKEN)",
        "ENV['GITHUB_TOKEN']",
        "ENV.fetch('GITHUB_TOKEN')",
        "$env:GITHUB_TOKEN",
        "$ENV{GITHUB_TOKEN}",
        "env:GITHUB_TOKEN",
        "projects/123/secrets/github/versions/latest",
        "file:///run/secrets/github",
        "1password://Private/GitHub",
        "doppler://project/config/NAME",
        "https://name.vault.azure.net/secrets/github",
        "!vault |",
        "${GITHUB_TOKEN}",
        "$(op read op://a/b/c)",
        "ENC[AES256_GCM,data:x,iv:y,tag:z,type:str]",
        "changeme",
        "ghp_…cdef",
    ];
    let server = Loopback::start();
    let mut sandbox = Sandbox::new();
    let mut config = format!("{}enabled = false\n", server.config());
    for (i, value) in values.iter().enumerate() {
        sandbox.env(format!("V{i}"), value);
        config += &format!("[[credential]]\nname = \"V{i}\"\nprovider = \"github\"\n");
    }
    sandbox.config(&config);
    let out = sandbox.run(&["check"]);
    let said = text(&out.stdout);
    let rows: Vec<&str> = said.split("[FAIL] ").skip(1).collect();
    assert_eq!((rows.len(), out.status.code()), (values.len(), Some(1)), "{said}");
    assert!(server.requests().is_empty(), "{:#?}", server.requests());
    let all: Vec<String> = values.iter().zip(rows).map(|(value, row)| format!("# {value}\n[FAIL] {row}")).collect();
    snapshot!(sandbox, all.join("\n"));
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_standard_output() {
    let sandbox = Sandbox::new();
    let mut all = Vec::new();
    for args in [&["names"][..], &["init", "zsh"], &["check", "--json"], &["--help"]] {
        let full = std::fs::File::options().write(true).open("/dev/full").expect("a full device");
        let mut command = std::process::Command::new(RAXX);
        command.env_clear().envs(sandbox.environment().iter().cloned()).args(args).stdout(full);
        let out = command.output().expect("raxx starts");
        assert_eq!(out.status.code(), Some(2), "{args:?}: {}", text(&out.stderr));
        all.push(transcript(&format!("raxx {} >/dev/full", args.join(" ")), &out));
    }
    snapshot!(sandbox, all.join("\n"));
}
