//! No secret leaks: every command, in success and in failure, watched from the outside. A value may appear in code that a
//! shell evaluates and in a request to its provider, and nowhere else: not on another stream, not in the arguments of any
//! process, not in a file.

use crate::support;

use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use support::loopback::{Answer, Fault, Loopback};
use support::{Sandbox, text};

/// The shortest part of a value that counts as a leak: the report shows four characters of each end.
const LEAK_LENGTH: usize = 9;

/// The variables that contain a secret in each sandbox, and the prefix of each value.
const VARIABLES: [(&str, &str); 7] = [
    ("CLOUDFLARE_ACCESS_MGMT_TOKEN", "cfut_"),
    ("CF_WORKER_DEPLOY", ""),
    ("HEROKU_API_KEY", "HRKU-AA"),
    ("GITHUB_API_SECRETS_TOKEN", "github_pat_"),
    ("INFISICAL_CLIENT_SECRET", ""),
    ("CF_ACCESS_CLIENT_SECRET", "cfast_"),
    ("INFISICAL_CLIENT_ID", ""),
];

/// A value that occurs nowhere else on this machine.
fn fresh(prefix: &str) -> String {
    let mut value = prefix.to_string();
    while value.len() < 50 {
        value += &format!("{:016x}", RandomState::new().build_hasher().finish());
    }
    value.truncate(50);
    value
}

/// The part of `value` that leaked into `seen`.
fn leaked<'v>(value: &'v str, seen: &[u8]) -> Option<&'v str> {
    (0..=value.len() - LEAK_LENGTH).map(|at| &value[at..at + LEAK_LENGTH]).find(|part| {
        // A known prefix is not secret.
        !VARIABLES.iter().any(|(_, prefix)| prefix.contains(part))
            && seen.windows(LEAK_LENGTH).any(|w| w == part.as_bytes())
    })
}

/// A machine with a fresh value in every variable, and the values.
fn machine(server: &Loopback) -> (Sandbox, Vec<String>) {
    let mut sandbox = Sandbox::new();
    let mut values = Vec::new();
    for (name, prefix) in VARIABLES {
        let value = fresh(prefix);
        sandbox.env(name, &value);
        values.push(value);
    }
    sandbox.env("INFISICAL_PROJECT_ID", "p").env("CF_ACCESS_CLIENT_ID", "madeup.access");
    // Debug output must not contain a value.
    sandbox.env("RUST_BACKTRACE", "full").env("RUST_LOG", "trace");
    // The value that is typed or piped in, and kept in a store file.
    values.push(fresh("HRKU-AA"));
    let store = "[store]\nbackend = \"file\"\nidentity = \"~/identity.txt\"\n";
    sandbox.config(&format!("timeout = \"2s\"\n{}{store}", server.config()));
    (sandbox, values)
}

/// Every command with every output format, and whether its stdout is code that may contain a value.
fn commands() -> Vec<(Vec<&'static str>, bool)> {
    let mut all: Vec<(Vec<&str>, bool)> = [
        "",
        "--help",
        "--version",
        "no-such-command",
        "check",
        "check --quiet",
        "check --json",
        "check HEROKU_API_KEY",
        "check NO_SUCH_NAME",
        "check --no-such-option",
        "load",
        "load --shell fish",
        "export",
        "export fish",
        "init zsh",
        "init bash",
        "init",
        "completions zsh",
        "completions bash",
        "completions fish",
        "names",
        "list",
        "list --json",
        "list --history HEROKU_API_KEY",
        "list --history infisical --json",
        "prompt",
        "check --strict",
        "check --prometheus raxx.prom",
        "unset",
        "setup --dry-run",
        "setup --status",
        "import",
        "store HEROKU_API_KEY --stdin",
        "store HEROKU_API_KEY --stdin --no-check",
        "store HEROKU_API_KEY --repair",
        "store CF_WORKER_DEPLOY",
        "check HEROKU_API_KEY",
        "rotate HEROKU_API_KEY --stdin --no-check",
        "rotate infisical",
        "forget HEROKU_API_KEY --yes",
        "rotate HEROKU_API_KEY --stdin --no-check",
        "import --no-check",
        "unlock --stdin",
        "lock",
        "check --alert",
        "check --alert --test",
        "schedule install --print --via cron",
        "schedule install --print --via systemd",
        "schedule install --print --via launchd",
        "schedule status",
    ]
    .iter()
    .map(|line| (line.split_whitespace().collect(), false))
    .collect();
    for line in [
        "load --shell zsh",
        "load --shell bash",
        "load --shell zsh HEROKU_API_KEY",
        "export zsh",
        "export bash",
        "export sh",
        "export bash HEROKU_API_KEY",
        "export zsh --missing",
        "export bash --missing",
        "hook zsh",
        "hook bash",
        "forget HEROKU_API_KEY --yes",
        "rotate HEROKU_API_KEY --stdin --no-check --shell zsh",
        "rotate HEROKU_API_KEY --stdin --shell bash",
        "export zsh",
    ] {
        all.push((line.split_whitespace().collect(), true));
    }
    all
}

/// Runs every command and searches its output, then every file of the machine.
fn nothing_leaks(sandbox: &Sandbox, values: &[String]) {
    let mut leaks = Vec::new();
    for (args, code) in commands() {
        let typed = values.last().expect("the typed value").as_str();
        let out = sandbox.raxx().args(&args).write_stdin(typed).output().expect("raxx starts");
        for value in values {
            if let Some(part) = leaked(value, &out.stderr) {
                leaks.push(format!("raxx {} shows {part} on stderr: {}", args.join(" "), text(&out.stderr)));
            }
            if let (false, Some(part)) = (code, leaked(value, &out.stdout)) {
                leaks.push(format!("raxx {} shows {part} on stdout: {}", args.join(" "), text(&out.stdout)));
            }
        }
    }
    for (file, bytes) in files(sandbox.root()) {
        for value in values {
            if let Some(part) = leaked(value, &bytes).or_else(|| leaked(value, file.as_bytes())) {
                leaks.push(format!("{file} contains {part}: {}", String::from_utf8_lossy(&bytes)));
            }
        }
    }
    // Only the first: the same leak appears in many places.
    assert!(leaks.is_empty(), "{} leaks, the first:\n{}", leaks.len(), leaks[0]);
    assert!(sandbox.state().join("key").exists(), "raxx saved state, and it was searched");
}

/// The path and the contents of every file in this directory.
fn files(under: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(under).expect("a directory").flatten() {
        let path = entry.path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push((path.display().to_string(), std::fs::read(&path).expect("a file"))),
        }
    }
    found
}

/// A new command must be added to this test.
#[test]
fn every_command_is_watched() {
    let help = text(&Sandbox::new().run(&["--help"]).stdout);
    let listed = help.lines().take_while(|line| *line != "Options:").filter_map(|line| line.strip_prefix("  "));
    let listed: Vec<&str> = listed.filter_map(|line| line.split_whitespace().next()).collect();
    assert!(listed.contains(&"check"), "{help}");
    for command in listed {
        let watched = commands().iter().any(|(args, _)| args.first() == Some(&command));
        assert!(watched, "raxx {command} is missing from the lists in this file");
    }
}

#[test]
fn nothing_leaks_when_all_values_pass() {
    let server = Loopback::start();
    let (sandbox, values) = machine(&server);
    values.iter().for_each(|value| server.accept(value));
    nothing_leaks(&sandbox, &values);
    // The search can only fail if the values were sent and are in the code.
    assert!(server.attempts(&values[0]) > 0 && server.attempts(&values[4]) > 0 && server.attempts(&values[5]) > 0);
    let code = sandbox.run(&["export", "bash"]).stdout;
    values[..4].iter().for_each(|value| assert!(leaked(value, &code).is_some()));
}

#[test]
fn nothing_leaks_when_all_values_are_rejected() {
    let server = Loopback::start();
    let (sandbox, values) = machine(&server);
    nothing_leaks(&sandbox, &values);
    let said = text(&sandbox.run(&["check"]).stdout);
    assert!(said.contains("HTTP 401 (invalid or revoked)"), "{said}");
    // After the rejection, the code does not contain them either.
    let code = sandbox.run(&["load", "--shell", "bash"]).stdout;
    values.iter().for_each(|value| assert_eq!(leaked(value, &code), None));
}

#[test]
fn nothing_leaks_when_no_provider_answers() {
    let server = Loopback::start();
    server.always(Fault::Reset);
    let (sandbox, values) = machine(&server);
    nothing_leaks(&sandbox, &values);
}

#[test]
fn nothing_leaks_when_the_values_are_mangled() {
    let server = Loopback::start();
    let (mut sandbox, values) = machine(&server);
    for ((name, _), value) in VARIABLES.iter().zip(&values) {
        sandbox.env(name, format!("{value}\n{value}"));
    }
    nothing_leaks(&sandbox, &values);
    // All but the last one, which is typed without changes.
    let mangled = &values[..VARIABLES.len()];
    mangled.iter().for_each(|value| assert_eq!(server.attempts(value), 0, "a malformed value is not sent"));
    let code = sandbox.run(&["export", "bash"]).stdout;
    mangled.iter().for_each(|value| assert_eq!(leaked(value, &code), None, "a malformed value is not exported"));
}

/// A provider can repeat what it received: in its message, in a header, in a redirect URL, as a name.
#[test]
fn nothing_leaks_when_a_provider_repeats_the_value() {
    type Repeating = fn(&str) -> Answer;
    let repeating: [(&str, Repeating); 6] = [
        ("in Cloudflare's words", |value| {
            let error = format!("{{\"code\":9109,\"message\":\"Cannot use the access token {value} from location\"}}");
            Answer::json(403, &format!("{{\"success\":false,\"errors\":[{error}],\"messages\":[],\"result\":null}}"))
        }),
        ("in Heroku's words", |value| {
            Answer::json(403, &format!("{{\"id\":\"forbidden {value}\",\"message\":\"{value} may not\"}}"))
        }),
        ("in GitHub's or Infisical's words", |value| {
            let words = format!("Bearer {value} is not allowed");
            Answer::json(403, &format!("{{\"statusCode\":403,\"message\":\"{words}\",\"error\":\"PermissionDenied\"}}"))
        }),
        ("as the user's name", |value| {
            let body = format!(
                "{{\"login\":\"{value}\",\"id\":\"{value}\",\"email\":\"{value}\",\"suspended_at\":\"{value}\"}}"
            );
            Answer::json(200, &body).with("github-authentication-token-expiration", value)
        }),
        ("in the address of a redirect", |value| {
            Answer::redirect(&format!("https://{value}.example.test/?token={value}"))
        }),
        ("in a header", |value| {
            Answer::foreign(429, "text/plain", value).with("Retry-After", value).with("X-GitHub-SSO", value)
        }),
    ];
    for (place, answer) in repeating {
        let server = Loopback::start();
        let (sandbox, values) = machine(&server);
        values.iter().for_each(|value| server.react(value, answer(value)));
        eprintln!("{place}");
        nothing_leaks(&sandbox, &values);
    }
}

/// A value as a malicious server, or an encoder in between, sends it back.
fn echoes(value: &str) -> Vec<String> {
    let between = |c: &str| value.chars().map(String::from).collect::<Vec<_>>().join(c);
    let each = |form: fn(u8) -> String| value.bytes().map(form).collect::<String>();
    vec![
        value.to_uppercase(),
        format!("{}{value}", "x ".repeat(90)),
        between("\\u200b"),
        between("\\u001b"),
        between("\\u00ad"),
        between("\\r"),
        format!("{}\\udb40\\udc41{}", &value[..12], &value[12..]),
        format!("{}...", &value[..value.len() - 3]),
        value.chars().rev().collect(),
        each(|b| format!("{b:02x}")),
        each(|b| format!("%{b:02X}")),
        each(|b| format!("&#{b};")),
        STANDARD.encode(value),
        STANDARD.encode(format!("user:{value}")),
        URL_SAFE_NO_PAD.encode(format!("x{value}")),
    ]
}

/// Whether `seen` contains a part of the value in any of these forms.
fn leaked_in_any_form(value: &str, seen: &[u8]) -> bool {
    let seen = String::from_utf8_lossy(seen);
    let escaped: String = value.bytes().map(|b| format!("&#{b};")).collect();
    let mut forms = vec![value.to_lowercase(), value.chars().rev().collect(), escaped.clone()];
    forms.extend(
        [|b| format!("{b:02x}"), |b| format!("%{b:02x}")].map(|f: fn(u8) -> String| value.bytes().map(f).collect()),
    );
    forms.extend(["", "x", "xx"].map(|before| {
        let whole = STANDARD.encode(format!("{before}{value}"));
        whole[4..whole.len() - 4].to_string()
    }));
    let seen = [seen.to_lowercase(), seen.to_lowercase().replace(|c: char| !c.is_ascii_graphic(), "")];
    forms.iter().any(|form| {
        let length = if form == &escaped || form.contains('%') { 4 * LEAK_LENGTH } else { LEAK_LENGTH };
        let form = form.to_lowercase();
        (0..=form.len() - length).any(|at| seen.iter().any(|seen| seen.contains(&form[at..at + length])))
    })
}

#[test]
fn no_encoded_echo_of_a_value_leaks() {
    const NAMES: [&str; 3] = ["HEROKU_API_KEY", "GITHUB_API_SECRETS_TOKEN", "SLACK_BOT_TOKEN"];
    let values = NAMES.map(|_| fresh(""));
    for i in 0..echoes(&values[0]).len() {
        let server = Loopback::start();
        let mut sandbox = Sandbox::new();
        let received = sandbox.root().join("received");
        let url = server.url();
        sandbox.config(&format!(
            "timeout = \"2s\"\n{}enabled = false\n\
             [[credential]]\nname = \"HEROKU_API_KEY\"\nprovider = \"heroku\"\n\
             [[credential]]\nname = \"GITHUB_API_SECRETS_TOKEN\"\nprovider = \"github\"\n\
             [alert]\nretry_for = \"0s\"\n[alert.slack]\nchannel = \"#ops\"\nbase_url = \"{url}/slack/api\"\n\
             [alert.command]\nrun = [\"sh\", \"-c\", \"cat > {}\"]\n",
            server.config(),
            received.display()
        ));
        for (name, value) in NAMES.iter().zip(&values) {
            sandbox.env(name, value);
        }
        let [heroku, github, slack] = [0, 1, 2].map(|name| echoes(&values[name]).swap_remove(i));
        let shown = format!("{{\"id\":\"forbidden {heroku}\",\"message\":\"{heroku} may not\"}}");
        server.react(&values[0], Answer::json(403, &shown));
        server.react(&values[1], Answer::json(200, &format!("{{\"login\":\"{github}\",\"id\":1}}")));
        let refusal = format!("{{\"ok\":false,\"error\":\"missing_scope\",\"needed\":\"{slack}\"}}");
        server.react(&values[2], Answer::json(200, &refusal));
        let mut seen = Vec::new();
        for args in [
            &["check", "--alert"][..],
            &["check", "--alert", "--test"],
            &["check", "--json"],
            &["check", "--prometheus", "raxx.prom"],
            &["hook", "bash"],
            &["list", "--json"],
            &["list", "--json", "--history", "HEROKU_API_KEY"],
            &["prompt"],
        ] {
            let ran = sandbox.run(args);
            seen.push((args.join(" "), [ran.stdout, ran.stderr].concat()));
        }
        assert!(seen[0].1.windows(10).any(|part| part == b"(redacted)"), "{:?}", String::from_utf8_lossy(&seen[0].1));
        assert!(received.exists(), "the alert command got the report");
        seen.extend(files(sandbox.root()));
        for request in server.requests().into_iter().filter(|request| request.path.starts_with("/slack/")) {
            let body = request.body;
            seen.push((request.path, body));
        }
        for (place, bytes) in &seen {
            for value in &values {
                assert!(!leaked_in_any_form(value, bytes), "echo {i}: {place}: {}", String::from_utf8_lossy(bytes));
            }
        }
    }
}

#[cfg(target_os = "linux")]
mod watched {
    use std::collections::BTreeSet;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use super::support::RAXX;
    use super::support::loopback::Loopback;
    use super::{commands, leaked, machine};

    /// Reads the arguments of every process in a loop until it is stopped.
    struct Watch {
        stop: Arc<AtomicBool>,
        seen: Arc<Mutex<BTreeSet<Vec<u8>>>>,
        thread: Option<std::thread::JoinHandle<()>>,
    }

    impl Watch {
        fn start() -> Watch {
            let mut watch = Watch { stop: Arc::default(), seen: Arc::default(), thread: None };
            let (stop, seen) = (watch.stop.clone(), watch.seen.clone());
            watch.thread = Some(std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    for process in std::fs::read_dir("/proc").expect("procfs").flatten() {
                        // Not every entry is a process, and a process may be gone by now.
                        if let Ok(arguments) = std::fs::read(process.path().join("cmdline")) {
                            seen.lock().expect("no panic").insert(arguments);
                        }
                    }
                }
            }));
            watch
        }

        fn end(mut self) -> BTreeSet<Vec<u8>> {
            self.stop.store(true, Ordering::Relaxed);
            self.thread.take().expect("running").join().expect("no panic");
            std::mem::take(&mut self.seen.lock().expect("no panic"))
        }
    }

    #[test]
    fn no_process_has_a_value_in_its_arguments() {
        let server = Loopback::start();
        // Long enough for the process to be seen.
        server.latency(Duration::from_millis(150));
        let (mut sandbox, values) = machine(&server);
        values.iter().for_each(|value| server.accept(value));
        // The shell functions in a real shell whose rc file defines them.
        for shell in ["zsh", "bash"] {
            let rc = sandbox.home().join(format!(".{shell}rc"));
            std::fs::write(rc, format!("eval \"$(raxx init {shell})\"\n")).expect("the rc file");
        }
        sandbox.env("PS1", "$ ");
        let watch = Watch::start();
        for (args, _) in commands() {
            sandbox.run(&args);
        }
        let mut said = Vec::new();
        for shell in ["zsh", "bash"] {
            let script = "raxx load; raxx export \"$0\" >/dev/null; raxx unset; test -z \"$HEROKU_API_KEY\"";
            let out = sandbox.command(shell).args(["-i", "-c", script, shell]).output().expect("a shell");
            said.extend([out.stdout, out.stderr].concat());
            assert_eq!(out.status.code(), Some(0), "{shell}: {}", String::from_utf8_lossy(&said));
        }
        let seen = watch.end();
        for command in ["check", "load", "hook"] {
            let is_running = |arguments: &&Vec<u8>| {
                let mut arguments = arguments.split(|b| *b == 0);
                let program = arguments.next().is_some_and(|a| a == RAXX.as_bytes() || a == b"raxx");
                program && arguments.next() == Some(command.as_bytes())
            };
            assert!(seen.iter().any(|arguments| is_running(&arguments)), "raxx {command} was seen while it ran");
        }
        for value in &values {
            for arguments in &seen {
                assert_eq!(leaked(value, arguments), None, "{}", String::from_utf8_lossy(arguments));
            }
            assert_eq!(leaked(value, &said), None, "{}", String::from_utf8_lossy(&said));
        }
    }
}
