//! `sh shell/install.sh --uninstall`: with the program, without one, and after earlier versions.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use crate::home::{Home, OLD_OPENING, SHELLS, block, built, checkout, hook_up, install_sh, install_sh_with, no_litter};
use crate::snapshot::settings;
use crate::support::RAXX;

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
