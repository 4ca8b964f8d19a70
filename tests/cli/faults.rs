//! Network failures, proxies and outages, for each provider: raxx never blames the token, never retries, and never sends the
//! credential anywhere but to its provider.

use crate::snapshot::{snapshot, transcript};
use crate::support;

use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use serde_json::Value;

use support::loopback::{self, Answer, ClosedPort, Fault, Loopback, Reaction, Tls};
use support::{RAXX, Sandbox, text};

/// A row: its name, its label when the provider does not answer, its value, and the only path that may receive the value.
struct Row {
    name: &'static str,
    label: &'static str,
    value: &'static str,
    path: &'static str,
}

const ROWS: [Row; 4] = [
    Row {
        name: "CF_WORKER_DEPLOY",
        label: "CF",
        value: "cfut_MadeUpForTheTests0123456789abcdefghijklmnopq9f2a",
        path: "/client/v4/user/tokens/verify",
    },
    Row {
        name: "HEROKU_API_KEY",
        label: "Heroku",
        value: "HRKU-AAMadeUpForTheTests0123456789abcdefghijklmnopqrstuvwxyzA1234",
        path: "/account",
    },
    Row {
        name: "GITHUB_API_SECRETS_TOKEN",
        label: "GitHub",
        value: "github_pat_MadeUpForTheTests0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYcdef",
        path: "/user",
    },
    Row {
        name: "infisical auth (universal-auth)",
        label: "Infisical",
        value: "MadeUpClientSecretForTheTests0123456789",
        path: "/api/v1/auth/universal-auth/login",
    },
];

/// Short enough to wait for, long enough for a busy machine to answer in time.
const TIMEOUT: &str = "1500ms";

/// A machine with all four credentials, whose providers are at `url`.
fn machine(url: &str) -> Sandbox {
    let mut sandbox = Sandbox::new();
    let mut config = format!("timeout = \"{TIMEOUT}\"\n");
    for (row, provider) in ROWS.iter().zip(["cloudflare", "heroku", "github"]) {
        config += &format!(
            "[[credential]]\nname = \"{}\"\nprovider = \"{provider}\"\nrotate_via = \"docs/page.md\"\n",
            row.name
        );
        sandbox.env(row.name, row.value);
    }
    config += &loopback::config(url);
    config += "rotate_via = \"docs/page.md\"\n";
    sandbox.env("INFISICAL_CLIENT_ID", "01234567-89ab-cdef-0123-456789abcdef");
    sandbox.env("INFISICAL_CLIENT_SECRET", ROWS[3].value).env("INFISICAL_PROJECT_ID", "p");
    sandbox.config(&config);
    sandbox
}

/// Asserts that all four are a FAIL of this kind, in text and in JSON, and that each suggests another check. Returns the report.
fn all_fail(sandbox: &Sandbox, kind: &str) -> String {
    let out = sandbox.run(&["check"]);
    let said = text(&out.stdout);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 2 * ROWS.len(), "{said}");
    for (row, lines) in ROWS.iter().zip(lines.chunks(2)) {
        let shown = match row.label {
            "Infisical" => String::new(),
            _ => format!("(redacted {}…{}) — ", &row.value[..4], &row.value[row.value.len() - 4..]),
        };
        let typed = if row.label == "Infisical" { "infisical" } else { row.name };
        assert!(lines[0].starts_with(&format!("[FAIL] {}    {shown}", row.name)), "{said}");
        assert_eq!(lines[1], format!("       type: raxx check {typed}"));
    }
    assert_eq!(text(&out.stderr), "");
    assert_eq!(out.status.code(), Some(1));

    let out = sandbox.run(&["check", "--json"]);
    assert_eq!(out.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&out.stdout).expect("JSON");
    let rows = report["credentials"].as_array().expect("rows");
    assert_eq!(rows.len(), ROWS.len());
    for row in rows {
        assert_eq!((row["verdict"].as_str(), row["kind"].as_str()), (Some("FAIL"), Some(kind)), "{row}");
    }
    let stamp = sandbox.home().join(".raxx-session-bootstrap-last-validated");
    assert!(!stamp.exists(), "a run with a FAIL is not stamped");
    said
}

/// Asserts that each value went only to its own path, once per run.
fn sent_to_provider_only(server: &Loopback, runs: usize) {
    for row in &ROWS {
        assert_eq!(server.attempts(row.value), runs, "{}: tried once per run", row.label);
        for request in server.requests().iter().filter(|request| request.contains(row.value)) {
            assert_eq!(request.path, row.path);
        }
    }
}

/// Runs a check where every answer is this reaction; its report goes into the snapshot `name`.
fn fault(name: &str, reaction: impl Into<Reaction>) {
    let server = Loopback::start();
    server.always(reaction);
    let sandbox = machine(&server.url());
    let said = all_fail(&sandbox, "unreachable");
    sent_to_provider_only(&server, 2);
    snapshot!(sandbox, name, said);
}

#[test]
fn no_fault_reports_a_pass() {
    let server = Loopback::start();
    ROWS.iter().for_each(|row| server.accept(row.value));
    let sandbox = machine(&server.url());
    let out = sandbox.run(&["check"]);
    assert_eq!((out.status.code(), text(&out.stdout).matches("[PASS]").count()), (Some(0), 4), "{}", text(&out.stdout));
    sent_to_provider_only(&server, 1);
    assert!(sandbox.home().join(".raxx-session-bootstrap-last-validated").exists());
}

#[test]
fn refused() {
    let port = ClosedPort::new();
    let sandbox = machine(&port.url());
    snapshot!(sandbox, all_fail(&sandbox, "unreachable"));
}

#[test]
fn a_name_that_does_not_resolve() {
    let mut sandbox = machine("https://raxx-test.invalid");
    // glibc sends no DNS query for this name; other systems answer locally that it does not exist.
    sandbox.env("RES_OPTIONS", "attempts:0");
    let said = all_fail(&sandbox, "unreachable");
    assert_eq!(said.matches("raxx-test.invalid").count(), ROWS.len(), "{said}");
    snapshot!(sandbox, said);
}

#[test]
fn a_certificate_for_another_name() {
    let tls = Tls::for_name("other.example.test");
    let server = Loopback::start_tls(&tls);
    let mut sandbox = machine(&server.url());
    trust(&mut sandbox, &tls);
    snapshot!(sandbox, all_fail(&sandbox, "unreachable"));
    sent_to_provider_only(&server, 0);
}

#[test]
fn a_certificate_of_an_unknown_issuer() {
    let server = Loopback::start_tls(&Tls::for_name("localhost"));
    let mut sandbox = machine(&server.url());
    trust(&mut sandbox, &Tls::for_name("localhost"));
    let file = sandbox.root().join("authority.pem").display().to_string();
    let said = all_fail(&sandbox, "unreachable");
    assert_eq!(said.matches(&file).count(), ROWS.len(), "{said}");
    sandbox.unset("SSL_CERT_FILE");
    let unset = all_fail(&sandbox, "unreachable");
    assert_eq!(unset.matches("SSL_CERT_FILE").count(), ROWS.len(), "{unset}");
    snapshot!(sandbox, format!("# SSL_CERT_FILE names another authority\n{said}\n# SSL_CERT_FILE is unset\n{unset}"));
    sent_to_provider_only(&server, 0);
}

#[test]
fn an_expired_certificate() {
    let tls = Tls::expired("localhost");
    let server = Loopback::start_tls(&tls);
    let mut sandbox = machine(&server.url());
    trust(&mut sandbox, &tls);
    snapshot!(sandbox, all_fail(&sandbox, "unreachable"));
    sent_to_provider_only(&server, 0);
}

#[test]
fn a_certificate_that_is_not_yet_valid_suggests_a_slow_clock() {
    let tls = Tls::of_the_future("localhost");
    let server = Loopback::start_tls(&tls);
    let mut sandbox = machine(&server.url());
    trust(&mut sandbox, &tls);
    snapshot!(sandbox, all_fail(&sandbox, "unreachable"));
    sent_to_provider_only(&server, 0);
}

#[test]
fn a_variable_without_certificates_is_named() {
    let tls = Tls::for_name("localhost");
    let server = Loopback::start_tls(&tls);
    ROWS.iter().for_each(|row| server.accept(row.value));
    let mut sandbox = machine(&server.url());
    trust(&mut sandbox, &tls);
    let root = sandbox.root().to_path_buf();
    let good = root.join("authority.pem");
    std::fs::write(root.join("text"), "not a certificate\n").expect("a file");
    let mut reports = Vec::new();
    for (variable, path) in [
        ("SSL_CERT_FILE", root.join("gone")),
        ("SSL_CERT_FILE", root.join("text")),
        ("SSL_CERT_FILE", root.join("home")),
        ("SSL_CERT_DIR", root.join("gone")),
        ("SSL_CERT_DIR", root.join("home")),
        ("SSL_CERT_DIR", root.join("text")),
        ("SSL_CERT_FILE", "authority.pem".into()),
    ] {
        sandbox.unset("SSL_CERT_FILE").unset("SSL_CERT_DIR").env(variable, &path);
        let said = all_fail(&sandbox, "unreachable");
        let named = format!("{variable} is set to {}", path.display());
        assert_eq!(said.matches(&named).count(), ROWS.len(), "{said}");
        reports.push(said);
    }
    sandbox.unset("SSL_CERT_DIR");
    snapshot!(sandbox, reports.join("\n"));
    sent_to_provider_only(&server, 0);
    // One of the two is enough, and an empty one counts as unset.
    for (file, directory) in
        [(good.as_path(), "/nonexistent"), (&good, ""), (Path::new("/nonexistent"), "certificates")]
    {
        if directory == "certificates" {
            std::fs::create_dir(root.join(directory)).expect("a directory");
            std::fs::copy(&good, root.join(directory).join("authority.pem")).expect("a copy");
        }
        let directory = if directory.is_empty() { directory.into() } else { root.join(directory).into_os_string() };
        sandbox.env("SSL_CERT_FILE", file).env("SSL_CERT_DIR", directory);
        let out = sandbox.run(&["check"]);
        assert_eq!(out.status.code(), Some(0), "{file:?}: {}", text(&out.stdout));
    }
}

#[test]
fn an_empty_variable_for_certificates_counts_as_unset() {
    let server = Loopback::start();
    ROWS.iter().for_each(|row| server.accept(row.value));
    let mut sandbox = machine(&server.url());
    for name in ["SSL_CERT_FILE", "SSL_CERT_DIR"] {
        let unset = text(&sandbox.run(&["check"]).stdout);
        sandbox.env(name, "");
        assert_eq!(text(&sandbox.run(&["check"]).stdout), unset, "{name} is empty");
    }
}

/// Shows that the certificate tests above fail for their own reason.
#[test]
fn a_good_certificate_passes() {
    let tls = Tls::for_name("localhost");
    let server = Loopback::start_tls(&tls);
    ROWS.iter().for_each(|row| server.accept(row.value));
    let mut sandbox = machine(&server.url());
    trust(&mut sandbox, &tls);
    let out = sandbox.run(&["check"]);
    assert_eq!(out.status.code(), Some(0), "{}", text(&out.stdout));
    sent_to_provider_only(&server, 1);
}

fn trust(sandbox: &mut Sandbox, tls: &Tls) {
    let file = sandbox.root().join("authority.pem");
    tls.write_authority(&file);
    sandbox.env("SSL_CERT_FILE", file);
}

#[test]
fn a_server_without_tls() {
    let server = Loopback::start();
    let sandbox = machine(&server.url().replace("http://127.0.0.1", "https://localhost"));
    snapshot!(sandbox, all_fail(&sandbox, "unreachable"));
    sent_to_provider_only(&server, 0);
}

#[test]
fn hangs_before_headers() {
    fault("hangs_before_headers", Fault::HangBeforeHeaders);
}

#[test]
fn hangs_after_headers() {
    fault("hangs_after_headers", Fault::HangAfterHeaders);
}

#[test]
fn drips_headers() {
    fault("drips_headers", Fault::DripHeaders);
}

#[test]
fn drips_its_body() {
    fault("drips_its_body", Fault::DripBody);
}

#[test]
fn resets() {
    fault("resets", Fault::Reset);
}

#[test]
fn resets_in_the_body() {
    fault("resets_in_the_body", Fault::ResetInBody);
}

#[test]
fn ends_early() {
    fault("ends_early", Fault::Short);
}

#[test]
fn never_ends() {
    let server = Loopback::start();
    server.always(Fault::Endless);
    let sandbox = machine(&server.url());
    snapshot!(sandbox, all_fail(&sandbox, "unreachable"));
    sent_to_provider_only(&server, 2);
}

#[test]
fn headers_never_end() {
    fault("headers_never_end", Fault::EndlessHeaders);
}

#[test]
fn is_not_http() {
    fault("is_not_http", Fault::Noise);
}

/// A provider's limit applies to what raxx reads: 64 KiB of good JSON, and not a byte more.
#[test]
fn an_oversized_answer() {
    let padded = |length: usize| {
        let body = format!("{{\"login\":\"octo-op\",\"padding\":\"{}\"}}", "a".repeat(length));
        Answer::json(200, &body)
    };
    let server = Loopback::start();
    let sandbox = machine(&server.url());
    let report = |length: usize| {
        server.always(padded(length));
        text(&sandbox.run(&["check", "GITHUB_API_SECRETS_TOKEN"]).stdout)
    };
    let good = report(60 * 1024);
    assert!(good.starts_with("[PASS]") && good.ends_with("octo-op\n"), "{good}");
    let long = report(70 * 1024);
    assert!(long.starts_with("[FAIL]") && !long.contains("rotate"), "{long}");
    snapshot!(sandbox, long);
}

/// A gateway in front of a provider is recognized by its headers, however long or slow its page is.
#[test]
fn a_gateway_page_is_blocked_however_it_ends() {
    let pages: [Reaction; 5] = [
        Answer::html(200, "<html>welcome</html>").into(),
        Answer::html(200, &"welcome ".repeat(10_000)).into(),
        Answer::html(200, &"welcome ".repeat(1_000_000)).into(),
        Fault::DripPage.into(),
        Fault::ResetInPage.into(),
    ];
    let mut reports = std::collections::BTreeSet::new();
    for page in pages {
        let server = Loopback::start();
        server.always(page);
        reports.insert(all_fail(&machine(&server.url()), "blocked"));
        sent_to_provider_only(&server, 2);
    }
    assert_eq!(reports.len(), 1, "{reports:#?}");
    snapshot!(Sandbox::new(), reports.pop_first().expect("a report"));
}

/// A partial answer is not the provider's verdict, good or bad.
#[test]
fn a_partial_answer_decides_nothing() {
    let padding = "a".repeat(70 * 1024);
    for (status, body) in [
        (200, "{\"login\":\"octo-op\",\"id\":1"),
        (401, "{\"message\":\"Bad credentials\",\"status\":\"401\""),
        (401, "{\"message\":\"Bad credentials\"}"),
    ] {
        for body in [format!("{body},\"padding\":\"{padding}\"}}"), format!("{body}{}", " ".repeat(70 * 1024))] {
            let server = Loopback::start();
            server.always(Answer::json(status, &body));
            let said = text(&machine(&server.url()).run(&["check", "--json", "GITHUB_API_SECRETS_TOKEN"]).stdout);
            let kind = said.contains("\"kind\": \"unreachable\"") || said.contains("\"kind\": \"blocked\"");
            assert!(kind && said.contains("64 KiB"), "{said}");
        }
    }
}

#[test]
fn redirects_are_not_followed() {
    let mut reports = Vec::new();
    for status in [301, 302, 303, 307, 308] {
        let trap = Loopback::start();
        let server = Loopback::start();
        server.always(Answer { status, ..Answer::redirect(&trap.url()) });
        reports.push(all_fail(&machine(&server.url()), "unreachable"));
        assert_eq!(trap.requests().len(), 0, "{status}: the redirect was followed");
        sent_to_provider_only(&server, 2);
    }
    snapshot!(Sandbox::new(), reports.join("\n"));
}

#[test]
fn redirects_on_the_same_host_are_not_followed() {
    let server = Loopback::start();
    server.always(Answer::redirect("/somewhere/else"));
    let said = all_fail(&machine(&server.url()), "unreachable");
    assert!(said.contains("HTTP 302"), "{said}");
    sent_to_provider_only(&server, 2);
}

/// A proxy gets the name of the host to connect to, but nothing from inside the tunnel.
#[test]
fn a_proxy_that_refuses_is_named_and_never_sees_a_credential() {
    let html = |status| Answer::html(status, "<html>not you</html>");
    let mut reports = Vec::new();
    for answer in [html(407).with("Proxy-Authenticate", "Basic realm=\"proxy\""), html(403)] {
        let proxy = Loopback::start();
        proxy.always(answer);
        let mut sandbox = machine("https://raxx.example.test");
        let host = proxy.url().replace("http://", "");
        sandbox.env("HTTPS_PROXY", format!("http://made-up-user:made-up-word@{host}"));
        sandbox
            .env("CF_ACCESS_CLIENT_ID", "madeup.access")
            .env("CF_ACCESS_CLIENT_SECRET", "cfast_MadeUpForTheTests0123456789");
        let said = all_fail(&sandbox, "blocked");
        assert_eq!(said.matches(&format!("{host} (HTTPS_PROXY)")).count(), ROWS.len(), "{said}");
        assert!(!said.contains("made-up"), "{said}");
        let requests = proxy.requests();
        assert_eq!(requests.len(), 8, "{requests:#?}");
        for request in &requests {
            assert_eq!((request.method.as_str(), request.path.as_str()), ("CONNECT", "raxx.example.test:443"));
            assert_eq!(request.header("authorization"), None);
            assert!(!request.contains("cfast_MadeUp"), "{request:?}");
        }
        ROWS.iter().for_each(|row| assert_eq!(proxy.attempts(row.value), 0));
        reports.push(format!("{said}\n# in a new terminal\n{}", one_line_in_a_new_terminal(&sandbox, "bash")));
    }
    snapshot!(Sandbox::new(), reports.join("\n"));
}

#[test]
fn an_unreachable_proxy_is_named() {
    let port = ClosedPort::new();
    let host = port.url().replace("http://", "");
    let mut sandbox = machine("https://raxx.example.test");
    sandbox.env("HTTPS_PROXY", &host);
    let said = all_fail(&sandbox, "unreachable");
    assert_eq!(said.matches(&format!("{host} (HTTPS_PROXY)")).count(), ROWS.len(), "{said}");
    let line = one_line_in_a_new_terminal(&sandbox, "zsh");
    snapshot!(sandbox, format!("{said}\n# in a new terminal\n{line}"));
}

/// No request was sent, so the report does not say "no response".
#[test]
fn a_proxy_variable_that_raxx_cannot_use_is_named() {
    let server = Loopback::start();
    let mut sandbox = machine(&server.url());
    let mut reports = Vec::new();
    for (name, value) in [
        ("HTTPS_PROXY", "::::"),
        ("all_proxy", "::::"),
        ("https_proxy", "http://made-up-user:made-up-word@"),
        ("HTTPS_PROXY", "socks5://127.0.0.1:1080"),
        ("https_proxy", "socks5h://made-up-user:made-up-word@proxy.test:1080"),
        ("ALL_PROXY", "SOCKS4://127.0.0.1"),
    ] {
        sandbox.env(name, value);
        let said = all_fail(&sandbox, "unreachable");
        let line = one_line_in_a_new_terminal(&sandbox, "bash");
        assert!(said.matches(name).count() == ROWS.len() && line.contains(name), "{said}{line}");
        assert!(!said.contains("made-up"), "{said}");
        reports.push(format!("# {name}={value}\n{said}\n# in a new terminal\n{line}"));
        sandbox.unset(name);
    }
    snapshot!(sandbox, reports.join("\n"));
    assert_eq!(server.requests().len(), 0);
}

#[test]
fn a_proxy_that_is_silent_or_unknown_is_named_with_its_variable() {
    let proxy = Loopback::start();
    proxy.always(Fault::HangBeforeHeaders);
    let host = proxy.url().replace("http://", "");
    let mut sandbox = machine("https://raxx.example.test");
    sandbox.env("https_proxy", &host);
    let silent = all_fail(&sandbox, "unreachable");
    assert_eq!(silent.matches(&format!("{host} (https_proxy)")).count(), ROWS.len(), "{silent}");

    let mut sandbox = machine("https://raxx.example.test");
    sandbox.env("ALL_PROXY", "http://raxx-test.invalid:3128").env("RES_OPTIONS", "attempts:0");
    let unknown = all_fail(&sandbox, "unreachable");
    assert_eq!(unknown.matches("raxx-test.invalid:3128 (ALL_PROXY)").count(), ROWS.len(), "{unknown}");
    snapshot!(sandbox, format!("# it says nothing\n{silent}\n# its name does not resolve\n{unknown}"));
}

/// `NO_PROXY` in the forms that other programs accept, for a provider on a nonstandard port.
#[test]
fn hosts_in_no_proxy_are_contacted_directly() {
    let tls = Tls::for_name("localhost");
    let server = Loopback::start_tls(&tls);
    ROWS.iter().for_each(|row| server.accept(row.value));
    let port = ClosedPort::new();
    let mut sandbox = machine(&server.url());
    trust(&mut sandbox, &tls);
    sandbox.env("HTTPS_PROXY", port.url());
    let own = server.url().replace("https://", "");
    for list in ["*", "example.test, *", "localhost", &own] {
        sandbox.env("NO_PROXY", list);
        let out = sandbox.run(&["check"]);
        assert_eq!(out.status.code(), Some(0), "{list}: {}", text(&out.stdout));
    }
    // A proxy that was not used is not named.
    server.always(Fault::HangBeforeHeaders);
    let said = text(&sandbox.run(&["check"]).stdout);
    assert_eq!(said.matches("[FAIL] ").count(), ROWS.len(), "{said}");
    assert!(!said.contains("proxy") && !said.contains("PROXY"), "{said}");
}

/// The text that the hook prints in this shell.
fn in_a_new_terminal(sandbox: &Sandbox, shell: &str) -> String {
    let code = text(&sandbox.run(&["hook", shell]).stdout);
    let out = sandbox.command(shell).args(["-c", &code]).output().expect("a shell");
    text(&out.stderr)
}

/// Asserts that four failures with one cause are one line with one command. Returns the output.
fn one_line_in_a_new_terminal(sandbox: &Sandbox, shell: &str) -> String {
    let said = in_a_new_terminal(sandbox, shell);
    assert!(said.starts_with("[FAIL] 4 credentials ") && said.ends_with("\n       type: raxx check\n"), "{said}");
    assert_eq!(said.lines().count(), 2, "{said}");
    said
}

/// A provider that hangs does not delay the others.
#[test]
fn one_hanging_provider_does_not_delay_the_others() {
    let server = Loopback::start();
    ROWS.iter().for_each(|row| server.accept(row.value));
    server.react(ROWS[0].value, Fault::HangBeforeHeaders);
    let said = text(&machine(&server.url()).run(&["check"]).stdout);
    let verdicts: Vec<&str> = said.lines().filter(|line| line.starts_with('[')).map(|line| &line[..6]).collect();
    assert_eq!(verdicts, ["[FAIL]", "[PASS]", "[PASS]", "[PASS]"], "{said}");
}

#[test]
fn ctrl_c_stops_at_once_and_shows_the_verdicts_so_far() {
    let server = Loopback::start();
    ROWS.iter().for_each(|row| server.accept(row.value));
    server.react(ROWS[0].value, Fault::HangBeforeHeaders);
    let mut sandbox = machine(&server.url());
    let config = std::fs::read_to_string(sandbox.root().join("config.toml")).expect("the configuration");
    // Far longer than the test would wait.
    sandbox.config(&config.replace(TIMEOUT, "60s"));
    let mut command = std::process::Command::new(RAXX);
    command.arg("check").env_clear().envs(sandbox.environment().iter().cloned());
    let child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("raxx starts");
    let child = Running(Some(child));
    // The state has a verdict for each finished check.
    let done = || {
        std::fs::read_dir(sandbox.state().join("verdicts"))
            .map_or(0, |d| d.flatten().filter(|e| e.path().extension().is_some_and(|e| e == "json")).count())
    };
    while done() < 3 {
        std::thread::sleep(Duration::from_millis(10));
    }
    let pid = rustix::process::Pid::from_child(child.0.as_ref().expect("running"));
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("a signal");
    let out = child.end();
    let said = text(&out.stdout);
    assert_eq!(out.status.code(), Some(130));
    assert_eq!((said.lines().count(), said.matches("[PASS]").count()), (3, 3), "{said}");
    snapshot!(sandbox, transcript("raxx check (and Ctrl-C)", &out));
    assert!(!sandbox.home().join(".raxx-session-bootstrap-last-validated").exists());
}

/// A child process that is killed if the test fails.
struct Running(Option<Child>);

impl Running {
    fn end(mut self) -> std::process::Output {
        self.0.take().expect("running").wait_with_output().expect("its output")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// In a new terminal, an outage unsets nothing and is reported in one line.
#[test]
fn an_outage_leaves_a_new_terminals_values_set() {
    let port = ClosedPort::new();
    let mut lines = std::collections::BTreeSet::new();
    for shell in ["zsh", "bash"] {
        let mut sandbox = machine(&port.url());
        // As if raxx had exported them.
        sandbox.env("__RAXX_NAMES", ROWS[..3].iter().map(|row| row.name).collect::<Vec<_>>().join(" "));
        let code = text(&sandbox.run(&["hook", shell]).stdout);
        assert!(!code.contains("unset"), "{code}");
        // A missing response is reported once an hour.
        std::fs::remove_file(sandbox.state().join("said.json")).expect("the report is recorded");
        lines.insert(one_line_in_a_new_terminal(&sandbox, shell));
    }
    assert_eq!(lines.len(), 1, "{lines:#?}");
    snapshot!(Sandbox::new(), lines.pop_first().expect("a line"));
}
