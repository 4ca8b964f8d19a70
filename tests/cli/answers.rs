//! Every known answer of each provider, and the verdict that raxx derives from it: the tables in tests/answers/.
//!
//! A case is an answer (`status`, `headers`, `body`) at `path` to `token`, and the expected outcome: its `kind`, the date it
//! `expires`, whether the PASS `warns`. `then` is a second answer at another path. The verdict, the exit code, the redacted
//! form, the rotation page and the next command follow from these; the text of each report is in a snapshot. The clock of
//! every answer is `Mon, 23 Nov 2026 07:00:00 GMT`, so that days can be counted.

use crate::snapshot::snapshot;
use crate::support;

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use support::loopback::{Answer, Loopback};
use support::{Sandbox, text};

const DATE: &str = "Mon, 23 Nov 2026 07:00:00 GMT";
const VAULT: &str = "infisical auth (universal-auth)";
const LOGIN: &str = "/api/v1/auth/universal-auth/login";

/// A second credential besides Infisical's row, because a list of credentials must not be empty.
const OTHER: &str = "ghp_MadeUpNeighbourOfTheVault01234567890";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    provider: String,
    name: String,
    token: String,
    page: String,
    path: String,
    #[serde(default)]
    env: BTreeMap<String, String>,
    case: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Front {
    case: Vec<Case>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    token: Option<String>,
    account_id: Option<String>,
    env: Option<BTreeMap<String, String>>,
    path: Option<String>,
    status: Option<u16>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    body: Option<String>,
    repeat: Option<Repeat>,
    hex: Option<String>,
    /// The answer comes without the provider's usual headers.
    #[serde(default)]
    foreign: bool,
    then: Option<Second>,
    /// How many requests one run makes, if not one for each answer.
    requests: Option<usize>,
    /// The status of the answer that decides, if it is not the last one.
    decides: Option<u16>,
    kind: String,
    expires: Option<String>,
    /// Whether the PASS comes with a warning.
    #[serde(default)]
    warns: bool,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Repeat {
    text: String,
    times: usize,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Second {
    path: String,
    status: u16,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    body: String,
}

fn table(text: &str) -> Table {
    toml::from_str(text).expect("a table of cases")
}

fn cloudflare() -> Table {
    table(include_str!("../answers/cloudflare.toml"))
}

fn heroku() -> Table {
    table(include_str!("../answers/heroku.toml"))
}

fn github() -> Table {
    table(include_str!("../answers/github.toml"))
}

fn slack() -> Table {
    table(include_str!("../answers/slack.toml"))
}

fn infisical() -> Table {
    table(include_str!("../answers/infisical.toml"))
}

impl Case {
    fn answer(&self) -> Option<Answer> {
        let body = match (&self.body, &self.repeat, &self.hex) {
            (Some(body), None, None) => body.clone().into_bytes(),
            (None, Some(repeat), None) => repeat.text.repeat(repeat.times).into_bytes(),
            (None, None, Some(hex)) => {
                let byte = |i| u8::from_str_radix(&hex[i..i + 2], 16).expect("hexadecimal");
                (0..hex.len()).step_by(2).map(byte).collect()
            }
            (None, None, None) => return None,
            _ => panic!("{}: needs exactly one of body, repeat and hex", self.name),
        };
        let mut answer = match self.foreign {
            true => Answer { status: 0, headers: Vec::new(), body, from_provider: false },
            false => Answer { body, ..Answer::json(0, "") },
        };
        answer.status = self.status.expect("a status");
        Some(dated(answer, &self.headers))
    }
}

fn dated(answer: Answer, headers: &BTreeMap<String, String>) -> Answer {
    headers.iter().fold(answer, |answer, (name, value)| answer.with(name, value)).with("Date", DATE)
}

/// A value as the report shows it.
fn redacted(token: &str) -> String {
    match token.len() {
        0..16 => "(redacted)".into(),
        end => format!("(redacted {}…{})", &token[..4], &token[end - 4..]),
    }
}

fn verdict(kind: &str) -> &'static str {
    match kind {
        "valid" => "PASS",
        "not-configured" => "SKIP",
        "rejected" | "refused" | "missing" | "malformed" | "limited" | "locked" | "unreachable" | "blocked" => "FAIL",
        other => panic!("{other} is not a kind"),
    }
}

/// Runs one case. Returns the differences from what is expected, and the report for the snapshot.
fn differences(table: &Table, case: &Case) -> (Vec<String>, String) {
    let server = Loopback::start();
    let token = case.token.as_ref().unwrap_or(&table.token);
    let path = case.path.as_ref().unwrap_or(&table.path);
    if let Some(answer) = case.answer() {
        server.react_at(path, token, answer);
    }
    if let Some(second) = &case.then {
        let answer =
            dated(Answer { body: second.body.clone().into(), ..Answer::json(second.status, "") }, &second.headers);
        server.react_at(&second.path, token, answer);
    }

    let vault = table.provider == "infisical";
    let mut sandbox = Sandbox::new();
    let mut config = String::new();
    if vault {
        server.accept(OTHER);
        sandbox.env("OTHER", OTHER);
        config += "[[credential]]\nname = \"OTHER\"\nprovider = \"github\"\n";
        config += &server.config();
        config += &format!("rotate_via = \"{}\"\n", table.page);
    } else {
        sandbox.env(&table.name, token);
        config += &format!(
            "[[credential]]\nname = \"{}\"\nprovider = \"{}\"\nrotate_via = \"{}\"\n",
            table.name, table.provider, table.page
        );
        config += &case.account_id.as_ref().map_or(String::new(), |id| format!("account_id = \"{id}\"\n"));
        config += &server.config();
        config += &format!("enabled = false\n[alert.slack]\nbase_url = \"{}/slack/api\"\n", server.url());
    }
    for (name, value) in case.env.as_ref().unwrap_or(&table.env) {
        sandbox.env(name, value);
    }
    sandbox.config(&config);

    let mut wrong = Vec::new();
    let mut expect = |what: &str, got: String, wanted: String| {
        if got != wanted {
            wrong.push(format!("{what}\n     is {got:?}\n   must {wanted:?}"));
        }
    };

    let out = sandbox.run(&["check"]);
    let requests = server.requests();
    let json_out = sandbox.run(&["check", "--json"]);
    let json_report: Value =
        serde_json::from_slice(&json_out.stdout).unwrap_or_else(|e| json!(format!("no JSON: {e}")));
    let row = &json_report["credentials"][usize::from(vault)];
    let words = |field: &str| row[field].as_str();

    let verdict = verdict(&case.kind);
    let shown = if vault { String::new() } else { format!("{} — ", redacted(token)) };
    let soon = if case.warns { " — rotate soon" } else { "" };
    let mut report = format!("[{verdict}] {}    {shown}{}{soon}\n", table.name, words("words").unwrap_or_default());
    if case.kind == "rejected" || case.warns {
        report += &format!("       rotate via: {}\n", table.page);
    }
    if let Some(hint) = words("hint") {
        report += &format!("       {hint}\n");
    }
    let typed = if vault { "infisical" } else { &table.name };
    let next = match case.kind.as_str() {
        "rejected" => Some(format!("raxx rotate {typed}")),
        "refused" => Some(format!("raxx check {typed}, then raxx rotate {typed}")),
        "limited" | "unreachable" | "blocked" => Some(format!("raxx check {typed}")),
        // Without an item in the store there is no command.
        "malformed" if vault => Some(format!("raxx check {typed}")),
        _ => None,
    };
    if let Some(next) = &next {
        report += &format!("       type: {next}\n");
    }
    let neighbor = if vault { format!("[PASS] OTHER    {} — octo-op\n", redacted(OTHER)) } else { String::new() };
    let exit = i32::from(verdict == "FAIL");
    let printed = text(&out.stdout);
    expect("report", printed.clone(), neighbor.clone() + &report);
    expect("control characters", control_characters(&printed), String::new());
    expect("stderr", text(&out.stderr), String::new());
    expect("exit code", format!("{:?}", out.status.code()), format!("{:?}", Some(exit)));

    let mut paths = vec![path.clone()];
    paths.extend(case.then.as_ref().map(|second| second.path.clone()));
    paths.truncate(case.requests.unwrap_or(paths.len()));
    let asked: Vec<String> = requests.iter().filter(|r| r.contains(token)).map(|r| r.path.clone()).collect();
    let asked: Vec<String> = asked.iter().map(|p| p.split('?').next().unwrap_or_default().to_string()).collect();
    expect("requests", asked.join(" "), paths.join(" "));

    let status = case.decides.or(case.then.as_ref().map(|second| second.status)).or(case.status);
    expect("exit code with --json", format!("{:?}", json_out.status.code()), format!("{:?}", Some(exit)));
    for (field, wanted) in [
        ("name", json!(table.name)),
        ("provider", json!(table.provider)),
        ("verdict", json!(verdict)),
        ("kind", json!(case.kind)),
        ("type", json!(next)),
        ("source", json!("env")),
        ("redacted", if vault { Value::Null } else { json!(redacted(token)) }),
        ("http_status", json!(status)),
        ("expires", json!(case.expires)),
        ("rotate_via", json!(table.page)),
    ] {
        expect(field, row[field].to_string(), wanted.to_string());
    }
    expect("words is a string", row["words"].is_string().to_string(), "true".into());
    expect("a warning", row["warning"].is_string().to_string(), case.warns.to_string());
    expect(
        "manage_url is a string",
        row["manage_url"].as_str().is_some_and(|u| u.starts_with("http")).to_string(),
        "true".into(),
    );
    expect("latency_ms is a number", row["latency_ms"].is_u64().to_string(), "true".into());
    expect("version", json_report["version"].to_string(), "1".into());
    let all = if exit == 1 { "FAIL" } else { "PASS" };
    expect("verdict of all", json_report["verdict"].to_string(), json!(all).to_string());
    let warning = words("warning").map_or(String::new(), |warning| format!("(warning: {warning})\n"));
    (wrong, format!("{}{warning}", printed.strip_prefix(&neighbor).unwrap_or(&printed)))
}

/// The characters of a report that a terminal would interpret instead of printing.
fn control_characters(report: &str) -> String {
    let acts =
        |c: &char| c.is_control() && *c != '\n' || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    report.chars().filter(acts).collect()
}

/// Runs all cases of a table; their reports go into the snapshot `name`.
fn check_all(name: &str, table: &Table) {
    assert!(!table.case.is_empty());
    let mut report = String::new();
    let mut reports = Vec::new();
    for case in &table.case {
        let (differences, said) = differences(table, case);
        for difference in differences {
            report += &format!("{}: {}: {difference}\n", table.provider, case.name);
        }
        reports.push(format!("# {}\n{said}", case.name));
    }
    assert!(report.is_empty(), "\n{report}");
    snapshot!(Sandbox::new(), name, reports.join("\n"));
}

#[test]
fn cloudflare_answers() {
    check_all("cloudflare_answers", &cloudflare());
}

#[test]
fn heroku_answers() {
    check_all("heroku_answers", &heroku());
}

#[test]
fn github_answers() {
    check_all("github_answers", &github());
}

#[test]
fn slack_answers() {
    check_all("slack_answers", &slack());
}

#[test]
fn infisical_answers() {
    check_all("infisical_answers", &infisical());
}

/// Runs the cases for proxies and gateways in front of a provider, using one provider's table.
fn check_all_in_front(mut table: Table) {
    let front: Front = toml::from_str(include_str!("../answers/front.toml")).expect("a table of cases");
    table.case = front.case;
    for case in &mut table.case {
        case.foreign = true;
    }
    check_all(&format!("answers_in_front_of_{}", table.provider), &table);
}

#[test]
fn answers_in_front_of_cloudflare() {
    check_all_in_front(cloudflare());
}

#[test]
fn answers_in_front_of_heroku() {
    check_all_in_front(heroku());
}

#[test]
fn answers_in_front_of_github() {
    check_all_in_front(github());
}

#[test]
fn answers_in_front_of_infisical() {
    check_all_in_front(infisical());
}

/// A machine with all four credentials and Infisical's ids, and a server that accepts them all.
fn everything() -> (Loopback, Sandbox) {
    let server = Loopback::start();
    let mut sandbox = Sandbox::new();
    sandbox.config(&server.config());
    for (name, token) in [
        ("CLOUDFLARE_ACCESS_MGMT_TOKEN", "cfut_MadeUpForTheTestsOfTheHeaders012345678901234ab1"),
        ("CF_WORKER_DEPLOY", "cfut_MadeUpForTheTests0123456789abcdefghijklmnopq9f2a"),
        ("HEROKU_API_KEY", "HRKU-AAMadeUpForTheTests0123456789abcdefghijklmnopqrstuvwxyzA1234"),
        ("GITHUB_API_SECRETS_TOKEN", "ghp_MadeUpForTheTests0123456789abcdebeef"),
    ] {
        server.accept(token);
        sandbox.env(name, token);
    }
    for (name, value) in &infisical().env {
        sandbox.env(name, value);
    }
    server.accept(&infisical().token);
    (server, sandbox)
}

#[test]
fn each_request_is_what_the_provider_documents() {
    let (server, sandbox) = everything();
    let out = sandbox.run(&["check"]);
    assert_eq!(out.status.code(), Some(0), "{}", text(&out.stdout));
    let requests = server.requests();
    assert_eq!(requests.len(), 5);
    for (path, wanted) in [
        (
            "/client/v4/user/tokens/verify",
            vec![("authorization", "Bearer cfut_MadeUpForTheTests0123456789abcdefghijklmnopq9f2a")],
        ),
        (
            "/account",
            vec![
                ("authorization", "Bearer HRKU-AAMadeUpForTheTests0123456789abcdefghijklmnopqrstuvwxyzA1234"),
                ("accept", "application/vnd.heroku+json; version=3"),
            ],
        ),
        (
            "/user",
            vec![
                ("authorization", "Bearer ghp_MadeUpForTheTests0123456789abcdebeef"),
                ("accept", "application/vnd.github+json"),
                ("x-github-api-version", "2022-11-28"),
            ],
        ),
    ] {
        let request = requests.iter().rfind(|r| r.path == path && wanted.iter().all(|(n, v)| r.header(n) == Some(v)));
        let request = request.unwrap_or_else(|| panic!("{path} with {wanted:?}: {requests:#?}"));
        assert_eq!((request.method.as_str(), request.body.len()), ("GET", 0), "{path}");
    }
    let login = requests.iter().find(|r| r.path == LOGIN).expect("a login");
    assert_eq!(login.method, "POST");
    assert_eq!(login.header("content-type"), Some("application/json"));
    assert_eq!(login.header("authorization"), None, "the secret is sent only in the body");
    let body: Value = serde_json::from_slice(&login.body).expect("JSON");
    let env = infisical().env;
    assert_eq!(body, json!({"clientId": env["INFISICAL_CLIENT_ID"], "clientSecret": env["INFISICAL_CLIENT_SECRET"]}));
    for request in &requests {
        let agent = request.header("user-agent").unwrap_or_default();
        assert!(agent.starts_with("raxx/"), "{agent}");
        assert_eq!(request.header("cookie"), None);
    }
}

/// The provider requires each header. If one is wrong, the provider refuses the request, and raxx does not blame the token.
#[test]
fn a_wrong_header_is_not_reported_as_a_bad_token() {
    let mut reports = Vec::new();
    for (provider, change, kind) in [
        ("heroku", "headers = { Accept = \"application/json\" }", "unreachable"),
        ("github", "headers = { X-GitHub-Api-Version = \"1999-01-01\" }", "unreachable"),
        ("github", "headers = { User-Agent = \"\" }", "blocked"),
        ("github", "auth = \"none\"", "blocked"),
        ("cloudflare", "auth = \"none\"", "blocked"),
        ("cloudflare", "auth = { header = \"Authorization\", prefix = \"Bearer '\" }", "malformed"),
    ] {
        let server = Loopback::start();
        let token = "MadeUpForTheTests0123456789abcdefghiXy9Z";
        server.accept(token);
        let mut sandbox = Sandbox::new();
        let own = format!("[provider.{provider}]\n");
        let config = server.config().replace(&own, &format!("{own}{change}\n"));
        sandbox.env("A", token).config(&format!("[[credential]]\nname = \"A\"\nprovider = \"{provider}\"\n{config}"));
        let out = sandbox.run(&["check", "A"]);
        assert_eq!(server.requests().len(), 1, "{provider} {change}");
        let said = text(&out.stdout);
        assert!(
            said.starts_with("[FAIL] A    (redacted Made…Xy9Z) — "),
            "{provider} {change}: {said}{}",
            text(&out.stderr)
        );
        assert!(!said.contains("rotate via"), "{said}");
        let report: Value = serde_json::from_slice(&sandbox.run(&["check", "A", "--json"]).stdout).expect("JSON");
        assert_eq!(report["credentials"][0]["kind"], kind, "{provider} {change}");
        reports.push(format!("# {provider}: {change}\n{said}"));
    }
    snapshot!(Sandbox::new(), reports.join("\n"));
}

// ---- the vault's row ----

/// One good credential, and Infisical at this server.
fn vault(server: &Loopback) -> Sandbox {
    server.accept(OTHER);
    let mut sandbox = Sandbox::new();
    sandbox.env("OTHER", OTHER);
    sandbox.config(&format!("[[credential]]\nname = \"OTHER\"\nprovider = \"github\"\n{}", server.config()));
    sandbox
}

fn vault_line(sandbox: &Sandbox) -> String {
    let said = text(&sandbox.run(&["check"]).stdout);
    let line = said.lines().find(|line| line.contains(VAULT));
    line.unwrap_or_else(|| panic!("no Infisical row: {said}")).to_string()
}

fn passes(line: &str) {
    assert!(line.starts_with(&format!("[PASS] {VAULT}    ")), "{line}");
}

const ID: &str = "01234567-89ab-cdef-0123-456789abcdef";
const SECRET: &str = "MadeUpClientSecretForTheTests0123456789";

#[test]
fn without_all_ids_infisical_is_skipped_without_a_request() {
    let server = Loopback::start();
    let all = [("INFISICAL_CLIENT_ID", ID), ("INFISICAL_CLIENT_SECRET", SECRET), ("INFISICAL_PROJECT_ID", "p")];
    for subset in 0..7_u8 {
        let mut sandbox = vault(&server);
        for (i, (name, value)) in all.iter().enumerate() {
            // An empty variable counts as unset.
            let set = subset & (1 << i) != 0;
            sandbox.env(name, if set { value } else { "" });
        }
        let out = sandbox.run(&["check"]);
        let said = text(&out.stdout);
        assert!(
            said.ends_with(&format!("[SKIP] {VAULT}    INFISICAL_CLIENT_ID/SECRET/PROJECT_ID not set\n")),
            "{said}"
        );
        assert_eq!(out.status.code(), Some(0), "a SKIP fails no run");
    }
    // The other spelling, incomplete, and one half of each.
    for halves in [
        [("INFISICAL_UNIVERSAL_AUTH_CLIENT_ID", ID)].as_slice(),
        &[("INFISICAL_UNIVERSAL_AUTH_CLIENT_SECRET", SECRET)],
        &[("INFISICAL_UNIVERSAL_AUTH_CLIENT_ID", ID), ("INFISICAL_CLIENT_SECRET", SECRET)],
    ] {
        let mut sandbox = vault(&server);
        for (name, value) in halves {
            sandbox.env(name, value);
        }
        assert!(vault_line(&sandbox).starts_with("[SKIP]"), "{halves:?}");
    }
    assert_eq!(server.attempts(SECRET), 0);
}

#[test]
fn both_spellings_of_the_ids_log_in() {
    let spellings = [
        vec![("INFISICAL_CLIENT_ID", ID), ("INFISICAL_CLIENT_SECRET", SECRET), ("INFISICAL_PROJECT_ID", "p")],
        vec![("INFISICAL_UNIVERSAL_AUTH_CLIENT_ID", ID), ("INFISICAL_UNIVERSAL_AUTH_CLIENT_SECRET", SECRET)],
    ];
    for spelling in spellings {
        let server = Loopback::start();
        server.accept(SECRET);
        let mut sandbox = vault(&server);
        for (name, value) in &spelling {
            sandbox.env(name, value);
        }
        passes(&vault_line(&sandbox));
        assert_eq!(server.attempts(SECRET), 1, "{spelling:?}");
    }
}

#[test]
fn the_domain_is_read_as_the_infisical_cli_reads_it() {
    let trap = Loopback::start();
    for ending in ["", "/", "/api", "/api/"] {
        let server = Loopback::start();
        server.accept(SECRET);
        let mut sandbox = vault(&trap);
        sandbox.env("INFISICAL_UNIVERSAL_AUTH_CLIENT_ID", ID).env("INFISICAL_UNIVERSAL_AUTH_CLIENT_SECRET", SECRET);
        sandbox.env("INFISICAL_DOMAIN", format!("{}{ending}", server.url()));
        passes(&vault_line(&sandbox));
        let paths: Vec<String> = server.requests().into_iter().map(|r| r.path).collect();
        assert_eq!(paths, [LOGIN], "{ending:?}");
    }
    assert_eq!(trap.attempts(SECRET), 0, "the ids were sent to another address");
}

#[test]
fn the_configured_address_may_have_the_clis_form() {
    for ending in ["/api", "/api/"] {
        let server = Loopback::start();
        server.accept(SECRET);
        let mut sandbox = vault(&server);
        let listed = "[[credential]]\nname = \"OTHER\"\nprovider = \"github\"\n";
        let address = format!("[vault.infisical]\nbase_url = \"{}", server.url());
        sandbox.config(&format!("{listed}{}", server.config().replace(&address, &format!("{address}{ending}"))));
        sandbox.env("INFISICAL_UNIVERSAL_AUTH_CLIENT_ID", ID).env("INFISICAL_UNIVERSAL_AUTH_CLIENT_SECRET", SECRET);
        passes(&vault_line(&sandbox));
        assert!(server.requests().iter().any(|r| r.path == LOGIN), "{ending:?}");
    }
}

#[test]
fn the_ids_are_never_sent_to_an_unsafe_domain() {
    let server = Loopback::start();
    let port = server.url().rsplit(':').next().expect("a port").to_string();
    for domain in [
        "http://vault.example.test".to_string(),
        "vault.example.test".into(),
        format!("http://127.0.0.1.example.test:{port}"),
        format!("http://user:word@127.0.0.1:{port}"),
        "ftp://127.0.0.1".into(),
    ] {
        let mut sandbox = vault(&server);
        sandbox.env("INFISICAL_UNIVERSAL_AUTH_CLIENT_ID", ID).env("INFISICAL_UNIVERSAL_AUTH_CLIENT_SECRET", SECRET);
        sandbox.env("INFISICAL_DOMAIN", &domain);
        let line = vault_line(&sandbox);
        assert!(!line.starts_with("[PASS]") && line.contains("INFISICAL_DOMAIN"), "{domain}: {line}");
        assert!(!line.contains("user:word") && !line.contains(SECRET), "{domain}: {line}");
    }
    assert_eq!(server.attempts(SECRET), 0);
}

#[test]
fn access_headers_are_sent_to_infisical_only() {
    let (access_id, access_secret) =
        ("madeup0123456789.access", "cfast_MadeUpForTheTests0123456789abcdefghijklmn01234567");
    let (server, mut sandbox) = everything();
    server.behind_access(access_id, access_secret, Answer::access_login("vault.example.test"));
    let blocked = vault_line(&sandbox);
    assert!(blocked.starts_with(&format!("[FAIL] {VAULT}    Cloudflare Access ")), "without the headers: {blocked}");
    // Access refuses half a pair, so it is not sent.
    sandbox.env("CF_ACCESS_CLIENT_ID", access_id);
    assert_eq!(vault_line(&sandbox), blocked, "with one of them");
    assert_eq!(server.attempts(access_id), 0);
    sandbox.env("CF_ACCESS_CLIENT_SECRET", access_secret);
    passes(&vault_line(&sandbox));
    for request in server.requests() {
        let to_vault = request.path.starts_with("/api/");
        assert!(to_vault || !(request.contains(access_id) || request.contains(access_secret)), "{request:?}");
    }
    assert_eq!(server.attempts(access_secret), 1);
    // Checking an access token from the environment sends the Access headers too.
    let held = "eyJhbGciOiJIUzI1NiJ9.eyJtYWRlIjoidXAifQ.aGVsZC1hY2Nlc3MtdG9rZW4";
    server.accept(held);
    sandbox.env("INFISICAL_TOKEN", held);
    passes(&vault_line(&sandbox));
    // A mangled pair counts as unset.
    sandbox.env("CF_ACCESS_CLIENT_SECRET", "two\nlines");
    assert_eq!(vault_line(&sandbox), blocked, "with a mangled secret");
}

#[test]
fn an_existing_access_token_is_checked_without_a_login() {
    let held = "eyJhbGciOiJIUzI1NiJ9.eyJtYWRlIjoidXAifQ.aGVsZC1hY2Nlc3MtdG9rZW4";
    for name in ["INFISICAL_TOKEN", "INFISICAL_UNIVERSAL_AUTH_ACCESS_TOKEN"] {
        let server = Loopback::start();
        server.accept(held);
        server.accept(SECRET);
        let mut sandbox = vault(&server);
        sandbox.env(name, held);
        sandbox.env("INFISICAL_UNIVERSAL_AUTH_CLIENT_ID", ID).env("INFISICAL_UNIVERSAL_AUTH_CLIENT_SECRET", SECRET);
        passes(&vault_line(&sandbox));
        assert_eq!((server.attempts(held), server.attempts(SECRET)), (1, 0), "{name}");
    }
}

/// A wrong secret is tried once per run, however many terminals are open: the third attempt locks the identity.
#[test]
fn a_wrong_secret_is_tried_once_per_run() {
    let server = Loopback::start();
    let mut sandbox = vault(&server);
    sandbox.env("INFISICAL_UNIVERSAL_AUTH_CLIENT_ID", ID).env("INFISICAL_UNIVERSAL_AUTH_CLIENT_SECRET", SECRET);
    for run in 1..=3 {
        assert_eq!(vault_line(&sandbox), format!("[FAIL] {VAULT}    HTTP 401 — credentials rejected"));
        assert_eq!(server.attempts(SECRET), run);
    }
    let locked = vault_line(&sandbox);
    assert!(locked.starts_with("[FAIL]") && locked.contains("locked") && !locked.contains("rejected"), "{locked}");
}

#[test]
fn each_infisical_row_without_an_answer() {
    let held = ("INFISICAL_TOKEN", "eyJhbGciOiJIUzI1NiJ9.eyJtYWRlIjoidXAifQ.aGVsZC1hY2Nlc3MtdG9rZW4");
    let ids = [("INFISICAL_UNIVERSAL_AUTH_CLIENT_ID", ID), ("INFISICAL_UNIVERSAL_AUTH_CLIENT_SECRET", SECRET)];
    let with = |name, value| [ids[0], ids[1], (name, value)];
    let cases: [(&str, Vec<(&str, &str)>); 13] = [
        ("no ids", vec![]),
        ("a login that works", ids.into()),
        ("an access token that works", vec![held]),
        ("a service token of the old kind", vec![("INFISICAL_TOKEN", "st.madeup.madeup")]),
        ("an access token with a newline in it", vec![("INFISICAL_TOKEN", "two\nlines")]),
        ("a client id that is a reference", vec![("INFISICAL_UNIVERSAL_AUTH_CLIENT_ID", "op://a/b/c"), ids[1]]),
        ("a client secret that is a placeholder", vec![ids[0], ("INFISICAL_UNIVERSAL_AUTH_CLIENT_SECRET", "changeme")]),
        ("a domain without https", with("INFISICAL_DOMAIN", "http://vault.example.test").into()),
        ("a domain without a scheme", with("INFISICAL_DOMAIN", "vault.example.test").into()),
        ("a domain with a password", with("INFISICAL_DOMAIN", "https://user:word@vault.example.test").into()),
        ("a domain with a query", with("INFISICAL_DOMAIN", "https://vault.example.test/?a=b").into()),
        ("a domain without a host", with("INFISICAL_DOMAIN", "data:a").into()),
        ("a proxy that raxx cannot use", with("HTTPS_PROXY", "socks5://127.0.0.1:1").into()),
    ];
    let mut reports = Vec::new();
    for (what, environment) in cases {
        let server = Loopback::start();
        server.accept(SECRET);
        server.accept(held.1);
        let mut sandbox = Sandbox::new();
        sandbox.config(&server.config());
        for (name, value) in environment {
            sandbox.env(name, value);
        }
        let said = text(&sandbox.run(&["check", "infisical"]).stdout);
        assert!(said.contains(VAULT) && !said.contains(SECRET) && !said.contains("user:word"), "{what}: {said}");
        reports.push(format!("# {what}\n{said}"));
    }
    snapshot!(Sandbox::new(), reports.join("\n"));
}

/// New terminals try a wrong secret only once, however many open at the same moment.
#[test]
fn a_wrong_secret_is_tried_once_by_all_new_terminals() {
    let server = Loopback::start();
    server.latency(std::time::Duration::from_millis(300));
    let mut sandbox = vault(&server);
    sandbox.env("INFISICAL_UNIVERSAL_AUTH_CLIENT_ID", ID).env("INFISICAL_UNIVERSAL_AUTH_CLIENT_SECRET", SECRET);
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                let code = text(&sandbox.run(&["hook", "bash"]).stdout);
                assert!(code.contains("HTTP 401 — credentials rejected"), "{code}");
            });
        }
    });
    assert_eq!(server.attempts(SECRET), 1);
}
