//! shell/install.sh: the real script with the real program, in throw-away homes, byte for byte.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use crate::home::{
    Home, OLD_OPENING, SHELLS, block, built, checkout, hook_line, hook_up, install_sh, install_sh_with, told,
};
use crate::snapshot::{settings, snapshot};
use crate::support::RAXX;

/// The block for a program in `~/.cargo/bin`.
fn usual_block(shell: &str, note: &str) -> String {
    block(&hook_line(shell, "\"$HOME/.cargo/bin\""), note)
}

#[test]
fn the_whole_way_there_and_back() {
    let home = Home::new();
    home.write(".bashrc", "alias ll='ls -l'\n").write(".zshrc", "setopt no_beep");
    let before = home.tree();
    let mut all = told("--status", &install_sh(&home, &["--status"]));

    let first = install_sh(&home, &["--binary", RAXX]);
    assert_eq!(first.code, 0, "a FAIL of the check does not fail the install: {}", first.err);
    assert!(first.out.contains("[FAIL] GITHUB_API_SECRETS_TOKEN    (not in env"), "{}", first.out);
    let (_, next) = first.out.split_once("What to type next:\n    exec zsh\n").expect("what to type next");
    assert_eq!(next.lines().take(2).collect::<Vec<_>>(), ["    raxx store NAME", "    raxx check"]);
    all += &told("--binary raxx", &first);

    assert_eq!(home.read(".bashrc"), format!("alias ll='ls -l'\n{}", usual_block("bash", "")));
    assert_eq!(home.read(".zshrc"), format!("setopt no_beep\n{}", usual_block("zsh", " and the newline before them")));
    for (from, to) in [
        ("_raxx", ".local/share/zsh/site-functions/_raxx"),
        ("raxx.bash", ".local/share/bash-completion/completions/raxx"),
    ] {
        assert_eq!(fs::read(checkout("completions").join(from)).expect(from), fs::read(home.path(to)).expect(to));
    }
    assert_eq!(fs::metadata(home.path(".cargo/bin/raxx")).expect("the program").mode() & 0o777, 0o755);
    // A new terminal has a bare PATH, and the hook runs anyway.
    for shell in ["zsh", "bash"] {
        let done = home.run(&[shell, "-i", "-c", "typeset -f raxx >/dev/null && command raxx --version"]);
        assert_eq!((done.code, done.out.starts_with("raxx ")), (0, true), "{shell}: {}{}", done.out, done.err);
    }

    let status = install_sh(&home, &["--status"]);
    assert_eq!(status.code, 0);
    all += &told("--status", &status);
    let installed = home.tree();
    let record = home.read(".local/state/raxx/installed");
    assert_eq!(install_sh(&home, &["--binary", RAXX]).code, 0);
    assert_eq!(home.tree(), installed, "the second run changes nothing");
    let sorted = |text: &str| {
        let mut lines: Vec<_> = text.lines().map(String::from).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(&home.read(".local/state/raxx/installed")), sorted(&record));

    let dry = install_sh(&home, &["--uninstall", "--dry-run"]);
    assert_eq!((dry.code, home.tree()), (0, installed));
    all += &told("--uninstall --dry-run", &dry);
    let back = install_sh(&home, &["--uninstall"]);
    assert_eq!(back.code, 0, "{}", back.err);
    assert_eq!(home.tree(), before);
    assert!(!home.path(".local/state/raxx/installed").exists());
    all += &told("--uninstall", &back);
    assert_eq!(install_sh(&home, &["--status"]).code, 1);
    let mut settings = settings(&home.0);
    settings.add_filter(r"copied from \S+", "copied from [BUILT]");
    settings.bind(|| insta::assert_snapshot!(all));
}

#[test]
fn every_shell_that_runs_the_script_does_the_same() {
    for shell in SHELLS {
        let home = Home::new();
        home.write(".zshrc", "a=1").write(".bashrc", b"a=\xff\xfe\x00\x01\r\n");
        let before = home.tree();
        let built = built().to_str().expect("UTF-8");
        let done = install_sh_with(&home, shell, &["--no-build", "--bin-dir", built]);
        assert_eq!(done.code, 0, "{shell:?}: {}", done.err);
        let line = hook_line("zsh", &format!("'{built}'"));
        assert_eq!(home.read(".zshrc"), format!("a=1\n{}", block(&line, " and the newline before them")), "{shell:?}");
        assert_eq!(install_sh_with(&home, shell, &["--status"]).code, 0);
        let back = install_sh_with(&home, shell, &["--uninstall"]);
        assert_eq!((back.code, home.tree()), (0, before), "{shell:?}: {}", back.err);
    }
}

#[test]
fn a_damaged_rc_file_is_refused_before_anything_is_changed() {
    let home = Home::new();
    home.write(".zshrc", format!("{OLD_OPENING}\n")).write(".bashrc", "b=1\n");
    let before = home.tree();
    let done = install_sh(&home, &["--binary", RAXX]);
    assert_eq!((done.code, home.tree()), (1, before), "{}", done.err);
    assert!(done.err.contains("/.zshrc:1: "), "{}", done.err);
    fs::remove_file(home.path(".zshrc")).expect("a file");
    assert_eq!(hook_up(&home).code, 0);
    home.write(".zshrc", format!("{OLD_OPENING}\n"));
    let installed = home.tree();
    let done = install_sh(&home, &["--uninstall"]);
    assert_eq!((done.code, home.tree()), (1, installed), "{}", done.err);
}

#[test]
fn a_dry_run_says_everything_and_does_nothing() {
    let mut home = Home::new();
    home.write(".zshrc", "a=1");
    home.fake("cargo", "echo 'cargo 1.999.0 (abc 2026-01-01)'").fake("cc", "exit 1").fake("fish", "exit 1");
    let before = home.tree();
    let mut all = String::new();
    for args in [&["--dry-run"][..], &["--binary", RAXX, "--dry-run"]] {
        let done = install_sh(&home, args);
        assert_eq!((done.code, home.tree(), home.path(".local").exists()), (0, before.clone(), false), "{}", done.err);
        all += &told("--dry-run", &done);
    }
    let mut settings = settings(&home.0);
    settings.add_filter(r"copied from \S+", "copied from [BUILT]");
    settings.bind(|| insta::assert_snapshot!(all));
    let exact = install_sh(&home, &["--no-build", "--bin-dir", built().to_str().expect("UTF-8"), "--dry-run"]);
    assert!(exact.code == 0 && exact.out.contains("eval \"$(raxx init zsh)\""), "{}", exact.out);
    assert_eq!(home.tree(), before);
}

#[test]
fn completions_are_not_copied_where_an_old_bash_does_not_look() {
    let mut home = Home::new();
    home.fake("bash", "exit 1");
    let done = hook_up(&home);
    assert_eq!(done.code, 0, "{}", done.err);
    assert!(!home.path(".local/share/bash-completion").exists());
    assert!(done.out.contains("completions  none for bash, which is older than 4.2\n"), "{}", done.out);
    assert_eq!(install_sh(&home, &["--status"]).code, 0);
}

#[test]
fn on_macos_people_who_use_zsh_alone_get_no_completions_for_bash() {
    for (file, written) in [(None, false), (Some(".zshrc"), false), (Some(".bash_profile"), true)] {
        let mut home = Home::new();
        home.fake("uname", "echo Darwin");
        home.0.unset("SHELL");
        if let Some(file) = file {
            home.write(file, "");
        }
        let done = hook_up(&home);
        assert_eq!((done.code, done.err.as_str()), (0, ""), "{file:?}");
        assert_eq!(home.path(".local/share/bash-completion").exists(), written, "{file:?}");
        assert!(home.path(".local/share/zsh/site-functions/_raxx").exists());
    }
}

#[test]
fn rc_files_are_not_touched_with_profile_dev_null() {
    let mut home = Home::new();
    home.write(".zshrc", "a=1").write(".bashrc", "# >>> raxx >>> damaged\n");
    home.0.env("PROFILE", "/dev/null");
    let done = hook_up(&home);
    assert_eq!(done.code, 0, "{}", done.err);
    assert!(done.out.contains("eval \"$(raxx init zsh)\""), "{}", done.out);
    assert_eq!((home.read(".zshrc"), home.read(".bashrc")), ("a=1".into(), "# >>> raxx >>> damaged\n".into()));
    assert!(home.path(".local/share/zsh/site-functions/_raxx").exists());
    assert_eq!(install_sh(&home, &["--uninstall"]).code, 0);
    assert!(!home.path(".local/share").exists());
}

/// A PATH with what every Unix has, and `more`.
fn only(home: &Home, more: &[&str]) -> PathBuf {
    let tools = home.0.root().join("tools");
    fs::create_dir_all(&tools).expect("a directory");
    let always = "sh awk basename cat chmod cksum cp cut dirname grep head id ls mkdir mktemp mv readlink rm rmdir sed tail tr uname wc";
    for name in always.split(' ').chain(more.iter().copied()) {
        let real = ["/bin", "/usr/bin"].map(|bin| Path::new(bin).join(name)).into_iter().find(|path| path.exists());
        symlink(real.unwrap_or_else(|| panic!("{name} is missing")), tools.join(name)).expect("a link");
    }
    tools
}

#[test]
fn without_cargo_it_says_what_to_type_and_changes_nothing() {
    let mut home = Home::new();
    let tools = only(&home, &["zsh"]);
    home.0.env("PATH", &tools);
    let before = home.tree();
    let sh = tools.join("sh").to_str().expect("UTF-8").to_string();
    let missing = install_sh_with(&home, &[&sh], &[]);
    assert_eq!(missing.code, 1);
    assert!(
        missing.err.ends_with("    curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh\n"),
        "{}",
        missing.err
    );
    let mut all = told("", &missing);
    let status = install_sh_with(&home, &[&sh], &["--status"]);
    assert_eq!(status.code, 1);
    all += &told("--status", &status);
    for says in ["echo cargo 1.63.0", "echo cargo 0.999.0-nightly", "echo 'error: no default toolchain' >&2; exit 1"] {
        home.fake("cargo", says);
        let old = install_sh(&home, &[]);
        assert_eq!(old.code, 1, "{says}");
        all += &told("", &old);
    }
    assert_eq!(home.tree(), before);

    // And without a compiler, where no package manager has one.
    if cfg!(target_os = "linux") {
        home.0.env("PATH", &tools);
        fs::write(tools.join("cargo"), "#!/bin/sh\necho cargo 1.999.0\n").expect("a script");
        fs::set_permissions(tools.join("cargo"), fs::Permissions::from_mode(0o755)).expect("its mode");
        let none = install_sh_with(&home, &[&sh], &[]);
        assert_eq!((none.code, home.tree()), (1, before));
        all += &told("", &none);
    }
    let mut settings = settings(&home.0);
    settings.add_filter(r"Rust 1\.\d+", "Rust [VERSION]");
    settings.add_filter(r"rustup update stable|curl .*rustup\.rs \| sh", "[RUSTUP]");
    settings.bind(|| insta::assert_snapshot!(all));
}

#[test]
fn a_missing_compiler_is_named_before_it_is_installed() {
    if !cfg!(target_os = "linux") {
        return;
    }
    let home = Home::new();
    let tools = only(&home, &["zsh"]);
    let script = |name: &str, text: &str| {
        fs::write(tools.join(name), format!("#!/bin/sh\n{text}\n")).expect("a script");
        fs::set_permissions(tools.join(name), fs::Permissions::from_mode(0o755)).expect("its mode");
    };
    let calls = home.0.root().join("calls");
    script("cargo", "[ \"$1\" != --version ] || { echo cargo 1.999.0; exit; }; exit 101");
    script("apt-get", &format!("echo \"$*\" >>'{}'", calls.display()));
    let mut home = home;
    home.0.env("PATH", &tools);
    let sh = tools.join("sh").to_str().expect("UTF-8").to_string();
    let packages = "apt-get install -y --no-install-recommends gcc libc6-dev";
    fs::remove_file(tools.join("id")).expect("a link");
    script("id", "echo 1000");
    let user = install_sh_with(&home, &[&sh], &[]);
    assert_eq!((user.code, calls.exists()), (1, false));
    assert!(user.err.ends_with(&format!(": sudo {packages}\n")), "{}", user.err);
    script("id", "echo 0");
    let dry = install_sh_with(&home, &[&sh], &["--dry-run"]);
    assert_eq!((dry.code, calls.exists()), (0, false), "{}", dry.err);
    assert!(dry.out.contains(&format!("would be installed: {packages}\n")), "{}", dry.out);
    let root = install_sh_with(&home, &[&sh], &[]);
    assert!(root.out.contains(&format!("installing it now: {packages}\n")), "{}", root.out);
    let called = fs::read_to_string(&calls).expect("apt-get was called");
    assert_eq!(called, "update -qq\ninstall -y --no-install-recommends gcc libc6-dev\n");
}

#[test]
fn cargo_builds_the_checkout_of_the_script_wherever_it_is_run() {
    let mut home = Home::new();
    let calls = home.0.root().join("calls");
    // Does what the real one does: a build takes minutes.
    let script = format!(
        "[ \"$1\" != --version ] || {{ echo 'cargo 1.999.0 (abc 2026-01-01)'; exit; }}\n\
         echo \"$PWD: $*\" >>'{calls}'\n\
         while [ $# -gt 0 ]; do [ \"$1\" = --root ] && into=$2; job=${{job:-$1}}; shift; done\n\
         case $job in\n\
         install) mkdir -p \"$into/bin\"; cp '{RAXX}' \"$into/bin/raxx\"; echo '\"raxx 0.1.0 (path)\" = [\"raxx\"]' >\"$into/.crates.toml\" ;;\n\
         uninstall) rm \"$into/bin/raxx\" \"$into/.crates.toml\" ;;\n\
         esac",
        calls = calls.display()
    );
    home.fake("cargo", &script);
    let done = install_sh(&home, &[]);
    assert_eq!(done.code, 0, "{}", done.err);
    let (here, cargo) = (fs::canonicalize(checkout("")).expect("the checkout"), home.path(".cargo"));
    let install = format!("{}: install --locked --path . --root {}\n", here.display(), cargo.display());
    assert_eq!(fs::read_to_string(&calls).expect("cargo was called"), install);
    assert!(home.path(".cargo/bin/raxx").exists());

    // What cargo has installed, cargo removes.
    assert_eq!(install_sh(&home, &["--uninstall"]).code, 0);
    assert_eq!(
        fs::read_to_string(&calls).expect("cargo was called").lines().last().map(|line| line.split(": ").nth(1)),
        Some(Some(format!("uninstall --quiet --root {} raxx", cargo.display()).as_str()))
    );
    assert!(!home.path(".cargo").exists());

    // cargo does not overwrite a program that it does not know; this script installed it, so it can.
    assert_eq!(install_sh(&home, &["--binary", RAXX]).code, 0);
    assert_eq!(install_sh(&home, &[]).code, 0);
    let last = fs::read_to_string(&calls).expect("cargo was called");
    assert!(last.trim_end().ends_with(&format!("--root {} --force", cargo.display())), "{last}");
    assert_eq!(install_sh(&home, &["--uninstall"]).code, 0);
    assert!(!home.path(".cargo").exists());

    // Elsewhere, on request; a failed build changes nothing.
    assert_eq!(install_sh(&home, &["--bin-dir", "my bin"]).code, 0);
    assert!(home.path("my bin/raxx").exists() && !home.path(".cargo").exists());
    assert!(home.read(".zshrc").contains(&format!("PATH=${{PATH}}:'{}'", home.path("my bin").display())));
    assert_eq!(install_sh(&home, &["--status"]).code, 0, "it remembers the directory");
    assert_eq!(install_sh(&home, &["--uninstall"]).code, 0);
    home.fake(
        "cargo",
        "[ \"$1\" != --version ] || { echo cargo 1.999.0; exit; }; echo 'error: no network' >&2; exit 101",
    );
    let failed = install_sh(&home, &[]);
    assert_eq!(failed.code, 1);
    assert!(failed.err.contains("install.sh: cargo could not build raxx"), "{}", failed.err);
    assert!(!home.path(".zshrc").exists());
}

#[test]
fn a_directory_with_any_name_comes_out_again_and_one_with_a_newline_or_a_colon_is_refused() {
    let odd = ["$(touch pwned)`x`", "a\t\r\u{1b}[31m\\", "*[a]?{b,c}~", "a\nb", "a\n", "a:b"];
    let others = ["CARGO_INSTALL_ROOT", "--bin-dir", "ZDOTDIR", "HOME"];
    let others = others.iter().flat_map(|name| odd[1..4].iter().map(|odd| (*name, *odd)));
    for (name, odd) in odd.iter().map(|odd| ("CARGO_HOME", *odd)).chain(others) {
        let mut home = Home::new();
        let directory = home.path("odd").join(odd);
        fs::create_dir_all(&directory).expect("a directory");
        let directory = directory.to_str().expect("UTF-8").to_owned();
        match name {
            "--bin-dir" => {}
            "HOME" => drop(home.0.env("HOME", &directory)),
            _ => drop(home.0.env(name, &directory)),
        }
        // A copy takes long.
        let program = home.0.root().join("fakes/raxx");
        home.fake("raxx", &format!("case \"$1 $2\" in 'setup --yes' | 'check ') exit ;; esac; exec '{RAXX}' \"$@\""));
        let before = home.tree();
        let mut words = vec!["--binary", program.to_str().expect("UTF-8")];
        if name == "--bin-dir" {
            words.extend(["--bin-dir", &directory]);
        }
        let done = install_sh(&home, &words);
        if odd.contains(['\n', ':']) {
            assert_eq!(done.code, 1, "{name} {odd:?}");
            assert!(done.err.contains("newline") || done.err.contains("colon"), "{name} {odd:?}: {}", done.err);
        } else {
            assert_eq!(done.code, 0, "{name} {odd:?}: {}", done.err);
            let done = install_sh(&home, &["--uninstall"]);
            assert_eq!(done.code, 0, "{name} {odd:?}: {}", done.err);
        }
        assert_eq!(home.tree(), before, "{name} {odd:?}");
    }
}

#[test]
fn what_cannot_be_meant_is_refused_in_one_line() {
    let mut home = Home::new();
    home.write("text", "no program\n");
    let before = home.tree();
    let lines: [(&[&str], i32); 9] = [
        (&["--bogus"], 2),
        (&["--binary"], 2),
        (&["--bin-dir="], 2),
        (&["--binary", "text", "--no-build"], 2),
        (&["--uninstall", "--status"], 2),
        (&["--status", "--no-build"], 2),
        (&["--binary", "nowhere"], 1),
        (&["--binary=text"], 1),
        (&["--no-build"], 1),
    ];
    let mut all = String::new();
    for (args, code) in lines {
        let done = install_sh(&home, args);
        assert_eq!((done.code, done.err.lines().count(), home.tree()), (code, 1, before.clone()), "{args:?}");
        all += &told(&args.join(" "), &done);
    }
    all += &told("--help", &install_sh(&home, &["--help"]));
    home.0.env("HOME", "relative");
    all += &told("--status", &install_sh(&home, &["--status"]));
    snapshot!(home.0, all);
}
