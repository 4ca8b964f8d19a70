//! KeePassXC as the Secret Service: it answers every new item and every deletion with a prompt, even if it shows no dialog.

use crate::keyring;
use crate::support;

use std::fs;
use std::io::Write as _;
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use keyring::{Bus, need, std_command};
use support::{Sandbox, text};

const VALUE: &str = "HRKU-MadeUpForTheTestsOfKeePassXC01234567";
const PASSWORD: &str = "pw";

/// A database whose whole root group is exposed to Secret Service clients.
const DATABASE: &str = r#"<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<KeePassFile>
  <Meta>
    <DatabaseName>made up</DatabaseName>
    <RecycleBinEnabled>False</RecycleBinEnabled>
    <CustomData>
      <Item><Key>FDO_SECRETS_EXPOSED_GROUP</Key><Value>{00112233-4455-6677-8899-aabbccddeeff}</Value></Item>
    </CustomData>
  </Meta>
  <Root><Group><UUID>ABEiM0RVZneImaq7zN3u/w==</UUID><Name>Root</Name></Group></Root>
</KeePassFile>
"#;

/// Without saving after every change, which is slow by design.
const SETTINGS: &str = "[General]\nConfigVersion=2\nUpdateCheckMessageShown=true\nAutoSaveAfterEveryChange=false\n\
     AutoSaveOnExit=false\n\
     [FdoSecrets]\nEnabled=true\nConfirmAccessItem=false\nConfirmDeleteItem=false\nShowNotification=false\n\
     [GUI]\nCheckForUpdates=false\n";

struct KeePassXc {
    program: Child,
    _bus: Bus,
}

impl KeePassXc {
    /// With an open database, and without a screen for dialogs.
    fn start(sandbox: &mut Sandbox) -> KeePassXc {
        need("keepassxc", "keepassxc");
        need("keepassxc-cli", "keepassxc");
        sandbox.env("QT_QPA_PLATFORM", "offscreen");
        // A bus that starts no other service instead.
        let bus = Bus::bare(sandbox);
        let home = sandbox.home();
        let settings = home.join(".config/keepassxc");
        fs::create_dir_all(&settings).unwrap();
        fs::write(settings.join("keepassxc.ini"), SETTINGS).unwrap();
        fs::write(home.join("made-up.xml"), DATABASE).unwrap();
        let made = sandbox
            .command("keepassxc-cli")
            .args(["import", "-p", "made-up.xml", "made-up.kdbx"])
            .write_stdin(format!("{PASSWORD}\n{PASSWORD}\n"))
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", text(&made.stderr));

        let mut program = std_command(sandbox, "keepassxc");
        program.args(["--pw-stdin", "made-up.kdbx"]);
        let mut program = program
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("keepassxc starts");
        writeln!(program.stdin.as_mut().unwrap(), "{PASSWORD}").unwrap();
        let keepassxc = KeePassXc { program, _bus: bus };
        let end = Instant::now() + Duration::from_secs(50);
        while !is_open(sandbox) {
            assert!(Instant::now() < end, "KeePassXC did not open its database on the bus");
            thread::sleep(Duration::from_millis(50));
        }
        // KeePassXC is on the bus before it has opened the database, and may never answer calls that arrive in between.
        let mut quiet = 0;
        let mut before = String::new();
        while quiet < 10 {
            assert!(Instant::now() < end, "KeePassXC did not become idle");
            thread::sleep(Duration::from_millis(50));
            let now = activity(keepassxc.program.id());
            quiet = if now == before && now.starts_with('S') { quiet + 1 } else { 0 };
            before = now;
        }
        keepassxc
    }
}

impl Drop for KeePassXc {
    fn drop(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

/// The process's state and its processor time, from `/proc/PID/stat`.
fn activity(process: u32) -> String {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    // The process name, in parentheses, can contain spaces.
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    [fields[0], fields[11], fields[12]].join(" ")
}

/// Whether there is a collection for new items.
fn is_open(sandbox: &Sandbox) -> bool {
    let arguments = [
        "--session",
        "--print-reply",
        "--dest=org.freedesktop.secrets",
        "/org/freedesktop/secrets",
        "org.freedesktop.Secret.Service.ReadAlias",
        "string:default",
    ];
    let output = sandbox.command("dbus-send").args(arguments).output().unwrap();
    text(&output.stdout).contains("collection/")
}

#[test]
fn an_item_can_be_created_read_changed_and_deleted() {
    let mut sandbox = Sandbox::new();
    sandbox.config(
        "[store]\nbackend = \"secret-service\"\n[[credential]]\nname = \"TOKEN\"\nprovider = \"heroku\"\n\
         store = { service = \"raxx-token\", account = \"made-up\" }\n",
    );
    let keepassxc = KeePassXc::start(&mut sandbox);
    let raxx = |args: &[&str], input: &str| {
        let out = sandbox.raxx().args(args).write_stdin(input).output().unwrap();
        assert!(out.status.success(), "{args:?}: {}", text(&out.stderr));
        text(&out.stdout)
    };
    raxx(&["store", "TOKEN", "--stdin", "--no-check"], "an-old-one");
    raxx(&["store", "TOKEN", "--stdin", "--no-check"], VALUE);
    assert_eq!(raxx(&["export", "sh", "TOKEN"], ""), format!("export TOKEN='{VALUE}'\n"));
    raxx(&["forget", "TOKEN", "--yes"], "");
    assert_eq!(sandbox.run(&["export", "sh", "TOKEN"]).status.code(), Some(1));
    drop(keepassxc);
}
