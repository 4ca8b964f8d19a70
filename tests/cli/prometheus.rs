//! `raxx check --prometheus FILE`, parsed by a parser of the format.

use crate::support;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use jiff::{SignedDuration, Timestamp};
use prometheus_parse::{Scrape, Value};

use crate::snapshot::{snapshot, transcript};
use support::loopback::{Answer, Loopback};
use support::{Sandbox, text};

const GOOD: &str = "ghp_MadeUpForTheMetricTests0123456789cdef";
const BAD: &str = "HRKU-AAMadeUpForTheMetricTests0123456789abcdefghijklmno1234";

fn machine(server: &Loopback) -> Sandbox {
    let mut sandbox = Sandbox::new();
    sandbox.config(&format!(
        "timeout = \"5s\"\n{}\
         [[credential]]\nname = \"GOOD\"\nprovider = \"github\"\n\
         [[credential]]\nname = \"BAD\"\nprovider = \"heroku\"\n\
         [[credential]]\nname = \"GONE\"\nprovider = \"heroku\"\n\
         [[credential]]\nname = \"DOWN\"\nprovider = \"odd\\\"na\\\\me\"\n\
         [provider.'odd\"na\\me']\nbase_url = \"http://127.0.0.1:9\"\npath = \"/\"\n\
         [[provider.'odd\"na\\me'.rule]]\nstatus = 200\nkind = \"valid\"\n",
        server.config()
    ));
    server.accept(GOOD);
    sandbox.env("GOOD", GOOD).env("BAD", BAD).env("DOWN", "made-up-token-of-nobody");
    sandbox
}

fn file(sandbox: &Sandbox) -> PathBuf {
    sandbox.root().join("raxx.prom")
}

fn check(sandbox: &Sandbox, more: &[&str]) -> std::process::Output {
    let path = file(sandbox);
    sandbox.raxx().arg("check").args(more).arg("--prometheus").arg(path).output().unwrap()
}

/// The samples of one metric by credential name. Each must be a gauge.
fn samples(scrape: &Scrape, metric: &str) -> BTreeMap<String, f64> {
    let of = scrape.samples.iter().filter(|s| s.metric == metric);
    of.map(|s| match s.value {
        Value::Gauge(value) => (s.labels.get("name").expect("a name").to_string(), value),
        ref other => panic!("{metric}: {other:?}"),
    })
    .collect()
}

fn parsed(sandbox: &Sandbox) -> Scrape {
    let text = fs::read_to_string(file(sandbox)).unwrap();
    assert!(text.ends_with('\n'));
    Scrape::parse(text.lines().map(|line| Ok(line.to_string()))).expect("the text format")
}

#[test]
fn a_real_parser_reads_the_verdicts() {
    let server = Loopback::start();
    let sandbox = machine(&server);
    let end = Timestamp::from_second((Timestamp::now() + SignedDuration::from_hours(240)).as_second()).unwrap();
    let header = end.strftime("%Y-%m-%d %H:%M:%S UTC").to_string();
    let user = Answer::json(200, r#"{"login":"octo-op","id":1}"#);
    server.react(GOOD, user.with("github-authentication-token-expiration", &header));
    let begun = Timestamp::now().as_second() as f64;
    let out = check(&sandbox, &[]);
    let done = Timestamp::now().as_second() as f64;
    assert_eq!(out.status.code(), Some(1), "{}", text(&out.stderr));
    assert!(text(&out.stdout).starts_with("[PASS] GOOD"), "the report is printed anyway");

    let scrape = parsed(&sandbox);
    let named = |list: &[(&str, f64)]| list.iter().map(|(n, v)| (n.to_string(), *v)).collect::<BTreeMap<_, _>>();
    let valid = samples(&scrape, "raxx_credential_valid");
    assert_eq!(valid, named(&[("GOOD", 1.0), ("BAD", 0.0), ("GONE", 0.0), ("DOWN", 0.0)]), "a SKIP has no sample");
    let expiry = samples(&scrape, "raxx_credential_expiry_timestamp_seconds");
    assert_eq!(expiry, named(&[("GOOD", end.as_second() as f64)]));
    let checked = samples(&scrape, "raxx_credential_last_check_timestamp_seconds");
    assert_eq!(checked.len(), 4);
    assert!(checked.values().all(|at| (begun..=done).contains(at)), "{checked:?}");

    let label = |metric: &str, name: &str, label: &str| {
        let mut found = scrape.samples.iter().filter(|s| s.metric == metric && s.labels.get("name") == Some(name));
        found.next().and_then(|s| s.labels.get(label)).map(String::from)
    };
    assert_eq!(label("raxx_credential_valid", "GOOD", "provider").as_deref(), Some("github"));
    for (name, kind) in [("GOOD", "valid"), ("BAD", "rejected"), ("GONE", "missing"), ("DOWN", "unreachable")] {
        assert_eq!(label("raxx_credential_kind", name, "kind").as_deref(), Some(kind));
    }
    for metric in scrape.samples.iter().map(|s| &s.metric) {
        assert!(scrape.docs.contains_key(metric), "{metric} has no HELP");
    }
    let raw = fs::read_to_string(file(&sandbox)).unwrap();
    assert!(raw.contains(r#"raxx_credential_valid{name="DOWN",provider="odd\"na\\me",config=""#), "{raw}");
    for value in [GOOD, BAD, "made-up-token"] {
        assert!(!raw.contains(value));
    }
}

/// The rules of `promtool check metrics`, and the format's rules that the parser does not enforce.
#[test]
fn every_metric_has_help_and_type() {
    let server = Loopback::start();
    let sandbox = machine(&server);
    check(&sandbox, &[]);
    let raw = fs::read_to_string(file(&sandbox)).unwrap();
    let mut family = String::new();
    let mut seen = Vec::new();
    let mut lines = raw.lines();
    while let Some(line) = lines.next() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            family = help.split(' ').next().unwrap().to_string();
            assert!(!seen.contains(&family), "{family} is defined twice");
            assert_eq!(lines.next(), Some(format!("# TYPE {family} gauge").as_str()));
            seen.push(family.clone());
            // promtool's rules for names: no type in them, no colon, a base unit at the end.
            assert!(family.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{family}");
            assert!(!family.ends_with("_total") && !family.contains("gauge"), "{family}");
            continue;
        }
        assert!(line.starts_with(&format!("{family}{{name=\"")), "{line}");
    }
    assert_eq!(seen.len(), 4);
    let comments: Vec<&str> = raw.lines().filter(|line| line.starts_with('#')).collect();
    snapshot!(sandbox, comments.join("\n"));
}

#[test]
fn the_file_is_replaced_atomically_and_readable_for_others() {
    let server = Loopback::start();
    let sandbox = machine(&server);
    let path = file(&sandbox);
    fs::write(&path, "old").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let reader = fs::File::open(&path).unwrap();
    check(&sandbox, &["--quiet"]);
    assert_eq!(std::io::read_to_string(reader).unwrap(), "old", "the old file was overwritten, not replaced");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644, "node_exporter runs as another user");
    let is_leftover = |e: fs::DirEntry| e.file_name().to_string_lossy().contains("tmp") && e.path().is_file();
    assert!(!fs::read_dir(sandbox.root()).unwrap().flatten().any(is_leftover), "a temporary file is left");

    let link = sandbox.root().join("link.prom");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    fs::write(&path, "old").unwrap();
    sandbox.raxx().args(["check", "--prometheus"]).arg(&link).output().unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert!(fs::read_to_string(&path).unwrap().starts_with("# HELP "));
}

#[test]
fn a_file_that_cannot_be_written_is_one_line_and_exit_2() {
    let server = Loopback::start();
    let sandbox = machine(&server);
    let nowhere = sandbox.root().join("nowhere/raxx.prom");
    let out = sandbox.raxx().args(["check", "--quiet", "--prometheus"]).arg(&nowhere).output().unwrap();
    let said = text(&out.stderr);
    let named = said.starts_with(&format!("raxx: {}: ", nowhere.display()));
    assert!(named && said.lines().count() == 1, "{said}");
    assert_eq!(out.status.code(), Some(2));
    snapshot!(sandbox, "no_directory", said);

    // As on a full disk: the old file stays complete.
    let path = file(&sandbox);
    fs::write(&path, "old").unwrap();
    let line = format!("trap '' XFSZ; ulimit -f 0; exec raxx check --quiet --prometheus {}", path.display());
    let full = sandbox.command("sh").args(["-c", &line]).output().unwrap();
    assert_eq!(full.status.code(), Some(2));
    snapshot!(sandbox, "full_disk", text(&full.stderr));
    assert_eq!(fs::read_to_string(&path).unwrap(), "old");
}

#[test]
fn a_fifo_is_refused() {
    let server = Loopback::start();
    let sandbox = machine(&server);
    let pipe = file(&sandbox);
    assert!(sandbox.command("mkfifo").arg(&pipe).output().unwrap().status.success());
    let out = check(&sandbox, &["--quiet"]);
    let said = text(&out.stderr);
    assert!(said.starts_with(&format!("raxx: {}: ", pipe.display())) && said.lines().count() == 1, "{said}");
    assert_eq!(out.status.code(), Some(2));
    snapshot!(sandbox, said);
}

#[test]
fn the_metrics_do_not_replace_the_redirected_report() {
    let server = Loopback::start();
    let sandbox = machine(&server);
    for device in ["/dev/stdout", "/proc/self/fd/1"] {
        if device.starts_with("/proc") && !cfg!(target_os = "linux") {
            continue;
        }
        let report = sandbox.root().join("report");
        let line = format!("exec raxx check --prometheus {device} >'{}'", report.display());
        let out = sandbox.command("sh").args(["-c", &line]).output().unwrap();
        let said = text(&out.stderr);
        assert!(said.starts_with(&format!("raxx: {device}: ")) && said.lines().count() == 1, "{said}");
        assert_eq!(out.status.code(), Some(2));
        assert!(fs::read_to_string(&report).unwrap().contains("[PASS] GOOD"), "the report is lost");
    }
}

#[test]
fn the_daily_check_writes_the_configured_file() {
    let server = Loopback::start();
    let mut sandbox = machine(&server);
    let configured = fs::read_to_string(sandbox.root().join("config.toml")).unwrap();
    let path = file(&sandbox);
    let alert =
        |place: &str| format!("{configured}[alert.slack]\nenabled = false\n[alert.prometheus]\nfile = \"{place}\"\n");
    sandbox.config(&alert(path.to_str().unwrap()));
    let run = |args: &[&str]| {
        let out = sandbox.run(args);
        (out.status.code().unwrap(), text(&out.stderr))
    };
    assert_eq!(run(&["check"]), (1, String::new()));
    assert_eq!(run(&["check", "--alert", "GOOD"]), (1 - 1, String::new()));
    assert!(!path.exists(), "only a complete daily check writes it");
    assert_eq!(run(&["check", "--alert"]), (1, String::new()), "the file is a receiver like the others");
    assert_eq!(samples(&parsed(&sandbox), "raxx_credential_valid")["BAD"], 0.0);
    server.accept(BAD);
    run(&["check", "--alert"]);
    assert_eq!(
        samples(&parsed(&sandbox), "raxx_credential_valid")["BAD"],
        1.0,
        "the file has the state, not only changes"
    );
    let out = sandbox.run(&["check", "--alert", "--test"]);
    assert!(out.status.success() && text(&out.stdout).starts_with("[PASS] Prometheus    "), "{}", text(&out.stdout));
    let mut seen = transcript("raxx check --alert --test", &out);

    // If this receiver fails, the alert is sent again an hour later, as with any other receiver.
    let nowhere = sandbox.root().join("nowhere/raxx.prom");
    sandbox.config(&alert(nowhere.to_str().unwrap()));
    let out = sandbox.run(&["check", "--alert"]);
    let said = text(&out.stderr);
    assert!(said.starts_with(&format!("raxx: {}: ", nowhere.display())), "{said}");
    assert_eq!((said.lines().count(), out.status.code()), (1, Some(1)));
    let memory = fs::read_to_string(sandbox.state().join("schedule.json")).unwrap();
    assert!(memory.contains("\"told\":false"), "{memory}");
    seen += &transcript("raxx check --alert", &out);
    let out = sandbox.run(&["check", "--alert", "--test"]);
    assert_eq!(out.status.code(), Some(1));
    seen += &transcript("raxx check --alert --test", &out);
    assert!(text(&out.stdout).starts_with("[FAIL] Prometheus    "), "{}", text(&out.stdout));
    sandbox.config(&alert("raxx.prom"));
    let out = sandbox.run(&["check", "--alert"]);
    assert!(text(&out.stderr).contains("config.toml:"), "{}", text(&out.stderr));
    snapshot!(sandbox, seen + &transcript("raxx check --alert", &out));
}
