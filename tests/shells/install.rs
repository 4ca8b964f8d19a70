//! shell/install.sh: the real script with the real program, in throw-away homes, byte for byte.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use crate::home::{Done, Home, OLD_OPENING, block, checkout, hook_line, no_litter};
use crate::snapshot::{settings, snapshot};
use crate::support::RAXX;

/// What /bin/sh is here (dash on Debian), what it is on macOS, and what somebody types who thinks of zsh.
const SHELLS: [&[&str]; 3] = [&["sh"], &["bash", "--posix"], &["zsh"]];

fn install_sh_with(home: &Home, shell: &[&str], args: &[&str]) -> Done {
    let script = checkout("shell/install.sh");
    home.run(&[shell, &[script.to_str().expect("UTF-8")], args].concat())
}

fn install_sh(home: &Home, args: &[&str]) -> Done {
    install_sh_with(home, &["sh"], args)
}

/// Installs all but the program, which stays where cargo built it: its copy is the slow part.
fn hook_up(home: &Home) -> Done {
    install_sh(home, &["--no-build", "--bin-dir", built().to_str().expect("UTF-8")])
}

fn built() -> &'static Path {
    Path::new(RAXX).parent().expect("the program's directory")
}

/// The block for a program in `~/.cargo/bin`.
fn usual_block(shell: &str, note: &str) -> String {
    block(&hook_line(shell, "\"$HOME/.cargo/bin\""), note)
}

/// As a person would describe the run.
fn told(line: &str, done: &Done) -> String {
    let errors: String = done.err.lines().map(|line| format!("stderr: {line}\n")).collect();
    format!("$ sh shell/install.sh {line}\n{}{errors}exit: {}\n", done.out, done.code)
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

/// A home as the first installer left it: its lines, its record and its files. Its program knows no `setup`.
fn first_installer(home: &Home) {
    let fixture = |file: &str| {
        let text = fs::read_to_string(checkout("tests/shells/fixtures/first-installer").join(file)).expect(file);
        text.replace("@HOME@", home.dir().to_str().expect("UTF-8"))
    };
    home.write(".zshrc", fixture("zshrc")).write("dotfiles/bashrc", fixture("bashrc"));
    symlink("dotfiles/bashrc", home.path(".bashrc")).expect("a link");
    home.write(".local/state/raxx/installed", fixture("installed"));
    home.write(".cargo/bin/raxx", "#!/bin/sh\n[ \"$1\" != setup ] || exit 2\n");
    fs::set_permissions(home.path(".cargo/bin/raxx"), fs::Permissions::from_mode(0o755)).expect("its mode");
    home.write(".local/share/zsh/site-functions/_raxx", "#compdef raxx\n");
    home.write(".local/share/bash-completion/completions/raxx", "# bash\n");
    home.write(".config/fish/completions/raxx.fish", "# fish\n");
}

/// Nothing of an installation is left.
fn is_as_before_the_first_installer(home: &Home) {
    assert_eq!((home.read(".zshrc"), home.read(".bashrc")), ("setopt no_beep".into(), "alias ll='ls -l'\n".into()));
    assert!(home.path(".bashrc").symlink_metadata().expect("the link").is_symlink());
    for gone in [".cargo", ".local/share", ".config/fish", ".local/state/raxx/installed"] {
        assert!(!home.path(gone).exists(), "{gone}");
    }
}

#[test]
fn what_the_first_installer_left_is_removed_renewed_and_undone() {
    // By the script alone, because the installed program cannot do it.
    for shell in SHELLS {
        let home = Home::new();
        first_installer(&home);
        let dry = install_sh_with(&home, shell, &["--uninstall", "--dry-run"]);
        assert_eq!((dry.code, dry.err.as_str()), (0, ""), "{shell:?}");
        assert!(dry.out.contains("~/.zshrc     would lose lines 2-4\n"), "{}", dry.out);
        let done = install_sh_with(&home, shell, &["--uninstall"]);
        assert_eq!((done.code, done.err.as_str()), (0, ""), "{shell:?}");
        is_as_before_the_first_installer(&home);
    }
    // Updated, then removed by the new program.
    let home = Home::new();
    first_installer(&home);
    let zshrc = home.read(".zshrc");
    assert_eq!(install_sh(&home, &["--binary", RAXX]).code, 0);
    assert_eq!(home.read(".zshrc"), zshrc, "its line is the current one");
    assert_eq!(install_sh(&home, &["--uninstall"]).code, 0);
    is_as_before_the_first_installer(&home);
}

#[test]
fn without_a_program_uninstall_removes_each_block_and_no_other_byte() {
    let close = "# <<< raxx <<<\n";
    let line = "eval \"$(raxx init zsh)\"\n";
    let (newline, file) = (" and the newline before them", " and this file if nothing else is in it");
    let cases: [(Vec<u8>, Option<&[u8]>); 8] = [
        (format!("a=1\n{OLD_OPENING}\n{line}{close}b=2").into(), Some(b"a=1\nb=2")),
        (format!("a=1\n{OLD_OPENING}{newline}\n{line}{close}").into(), Some(b"a=1")),
        (format!("a=1\n{OLD_OPENING}{newline}\n{line}{close}b=2\n").into(), Some(b"a=1\nb=2\n")),
        (format!("{OLD_OPENING}{file}\n{line}{close}").into(), None),
        (format!("{OLD_OPENING}{file}\n{line}{close}a=1\r\n").into(), Some(b"a=1\r\n")),
        ([b"\xff\x00\r\n", block(line.trim_end(), "").as_bytes(), b"\x00\xfe"].concat(), Some(b"\xff\x00\r\n\x00\xfe")),
        (block(line.trim_end(), file).into(), None),
        (format!("{OLD_OPENING}\r\n{line}# <<< raxx <<<\r\na=1\r\n").into(), Some(b"a=1\r\n")),
    ];
    for shell in SHELLS {
        for (with, without) in &cases {
            let home = Home::new();
            home.write("dotfiles/zshrc", with);
            fs::set_permissions(home.path("dotfiles/zshrc"), fs::Permissions::from_mode(0o640)).expect("its mode");
            symlink("dotfiles/zshrc", home.path(".zshrc")).expect("a link");
            let done = install_sh_with(&home, shell, &["--uninstall"]);
            assert_eq!((done.code, done.err.as_str()), (0, ""), "{shell:?}, {}", with.escape_ascii());
            let there = fs::read(home.path("dotfiles/zshrc")).ok();
            assert_eq!(there.as_deref(), *without, "{shell:?}, {}", with.escape_ascii());
            assert!(home.path(".zshrc").symlink_metadata().expect("the link").is_symlink());
            if without.is_some() {
                let mode = fs::metadata(home.path("dotfiles/zshrc")).expect("the file").mode();
                assert_eq!(mode & 0o777, 0o640);
            }
            no_litter(&home);
        }
    }
    // What cannot be removed stays, byte for byte, and is named.
    let whole = format!("{OLD_OPENING}\n{line}{close}");
    for (text, mode) in [
        (format!("{OLD_OPENING}\n{line}"), 0o644),
        (format!("{whole}{whole}"), 0o644),
        (format!("{OLD_OPENING}\nexport MINE=1\n{close}"), 0o644),
        (format!("{close}{OLD_OPENING}\n"), 0o644),
        (whole, 0o444),
    ] {
        let home = Home::new();
        home.write(".zshrc", &text);
        fs::set_permissions(home.path(".zshrc"), fs::Permissions::from_mode(mode)).expect("its mode");
        let done = install_sh(&home, &["--uninstall"]);
        assert_eq!((done.code, home.read(".zshrc")), (1, text));
        assert!(done.err.contains("/.zshrc: "), "{}", done.err);
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
fn uninstall_leaves_what_is_not_its_own_and_says_so() {
    let home = Home::new();
    hook_up(&home);
    let ours = home.path(".local/share/zsh/site-functions/_raxx");
    fs::write(&ours, "#compdef raxx\n# my own\n").expect("the completion");
    home.write(".config/raxx/config.toml", "").write(".cargo/bin/raxx", "#!/bin/sh\n");
    home.write(".config/raxx/identity.txt", "made up\n").write(".local/share/raxx/store.age", "made up\n");
    let done = install_sh(&home, &["--uninstall"]);
    assert_eq!(done.code, 0, "{}", done.err);
    assert!(ours.exists() && home.path(".cargo/bin/raxx").exists() && Path::new(RAXX).exists());
    let mut settings = settings(&home.0);
    settings.add_filter(&built().display().to_string(), "[BUILT]");
    settings.bind(|| insta::assert_snapshot!(done.out));
}

#[test]
fn uninstall_removes_the_daily_check_with_the_program() {
    let home = Home::new();
    let raxx = home.path(".cargo/bin/raxx");
    let schedule = [raxx.to_str().expect("UTF-8"), "schedule", "install", "--via", "cron"];
    let foreign = "0 5 * * * tar\n";
    let crontab = || fs::read_to_string(home.crontab()).expect("a crontab");
    for shell in SHELLS {
        fs::write(home.crontab(), foreign).expect("a crontab");
        assert_eq!(install_sh_with(&home, shell, &["--binary", RAXX]).code, 0);
        assert_eq!(home.run(&schedule).code, 0);
        let scheduled = crontab();
        assert!(scheduled.contains("/.cargo/bin/raxx check"), "{scheduled}");

        let dry = install_sh_with(&home, shell, &["--uninstall", "--dry-run"]);
        assert_eq!((dry.code, crontab()), (0, scheduled.clone()), "{shell:?}: {}", dry.err);
        assert!(dry.out.contains("would remove the daily check (your crontab)\n"), "{shell:?}: {}", dry.out);

        let done = install_sh_with(&home, shell, &["--uninstall"]);
        assert_eq!((done.code, crontab()), (0, foreign.to_string()), "{shell:?}: {}", done.err);
        assert!(!done.out.contains("    your crontab"), "{shell:?}: {}", done.out);
    }
}

#[test]
fn a_daily_check_that_uninstall_cannot_remove_is_named() {
    let mut home = Home::new();
    let raxx = home.path(".cargo/bin/raxx");
    let schedule = [raxx.to_str().expect("UTF-8"), "schedule", "install", "--via", "cron"];
    assert_eq!(install_sh(&home, &["--binary", RAXX]).code, 0);
    assert_eq!(home.run(&schedule).code, 0);
    fs::remove_file(&raxx).expect("the program");
    let done = install_sh(&home, &["--uninstall"]);
    assert_eq!(done.code, 0, "{}", done.err);
    let stays = "    your crontab    the daily check; to remove it, type: crontab -e\n";
    assert!(done.out.contains(stays), "{}", done.out);

    // The scheduler takes nothing any more.
    assert_eq!(install_sh(&home, &["--binary", RAXX]).code, 0);
    let show =
        format!("[ \"$1\" = -l ] && exec cat '{}'; echo 'the disk is full' >&2; exit 1", home.crontab().display());
    home.fake("crontab", &show);
    let done = install_sh(&home, &["--uninstall"]);
    assert_eq!((done.code, raxx.exists()), (1, false), "{}", done.err);
    assert!(done.out.contains("the disk is full") && done.out.contains(stays), "{}", done.out);

    // A program that stays can go on doing it.
    hook_up(&home);
    let done = install_sh(&home, &["--uninstall"]);
    assert_eq!(done.code, 0, "{}", done.err);
    let stays = format!("    your crontab    the daily check; to remove it, type: {RAXX} schedule uninstall\n");
    assert!(done.out.contains(&stays), "{}", done.out);
    // Another file of the same purpose.
    home.write(".config/systemd/user/raxx-session-bootstrap.timer", "");
    let done = install_sh(&home, &["--uninstall"]);
    let unit = "    ~/.config/systemd/user/raxx-session-bootstrap.timer    the daily check; to remove it, type: ";
    assert_eq!(done.out.matches(unit).count(), 1, "{}", done.out);
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
