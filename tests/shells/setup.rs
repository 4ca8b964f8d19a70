//! `raxx setup`: the line in the rc files, byte for byte, in throw-away homes.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::PathBuf;

use crate::home::{Done, Home, OLD_OPENING, block, hook_line, no_litter};
use crate::pty::Terminal;
use crate::snapshot::{settings, snapshot};
use crate::support::text;

/// A home with raxx in `~/.cargo/bin`.
fn home() -> Home {
    let home = Home::new();
    fs::create_dir_all(home.path(".cargo/bin")).expect("a directory");
    symlink(crate::support::RAXX, program(&home)).expect("a link");
    home
}

fn program(home: &Home) -> PathBuf {
    home.path(".cargo/bin/raxx")
}

fn setup(home: &Home, args: &[&str]) -> Done {
    let program = program(home);
    home.run(&[&[program.to_str().expect("UTF-8"), "setup"], args].concat())
}

fn well(home: &Home, args: &[&str]) -> String {
    let done = setup(home, args);
    assert_eq!((done.code, done.err.as_str()), (0, ""), "{args:?}: {}", done.out);
    done.out
}

/// The line as it is written for the program in `~/.cargo/bin`.
fn line(shell: &str) -> String {
    hook_line(shell, "\"$HOME/.cargo/bin\"")
}

#[test]
fn the_lines_are_written_once_and_undo_restores_every_byte() {
    let home = home();
    home.write(".bashrc", "alias ll='ls -l'\n").write(".zshrc", b"setopt no_beep\r\n\xff\x00end");
    let before = home.tree();
    let mut all = format!("$ raxx setup --dry-run\n{}", well(&home, &["--dry-run"]));
    assert_eq!(home.tree(), before);
    assert!(!home.path(".local/state").exists());
    all += &format!("$ raxx setup --yes\n{}", well(&home, &["--yes"]));
    assert_eq!(home.read(".bashrc"), format!("alias ll='ls -l'\n{}", block(&line("bash"), "")));
    let written = fs::read(home.path(".zshrc")).expect("the rc file");
    assert!(written.starts_with(b"setopt no_beep\r\n\xff\x00end\n# >>> raxx >>>"), "{}", written.escape_ascii());
    // A new terminal has a bare PATH.
    for shell in ["zsh", "bash"] {
        let done = home.run(&[shell, "-i", "-c", "typeset -f raxx >/dev/null && command raxx --version"]);
        assert_eq!((done.code, done.out.starts_with("raxx ")), (0, true), "{shell}: {}{}", done.out, done.err);
    }
    let with = home.tree();
    all += &format!("$ raxx setup --yes\n{}", well(&home, &["--yes"]));
    all += &format!("$ raxx setup\n{}", well(&home, &[]));
    all += &format!("$ raxx setup --status\n{}", well(&home, &["--status"]));
    all += &format!("$ raxx setup --undo --dry-run\n{}", well(&home, &["--undo", "--dry-run"]));
    assert_eq!(home.tree(), with, "the second run changes nothing");
    all += &format!("$ raxx setup --undo --yes\n{}", well(&home, &["--undo", "--yes"]));
    assert_eq!(home.tree(), before);
    assert!(!home.path(".local/state/raxx/installed").exists());
    all += &format!("$ raxx setup --undo --yes\n{}", well(&home, &["--undo", "--yes"]));
    let status = setup(&home, &["--status"]);
    assert_eq!(status.code, 1);
    all += &format!("$ raxx setup --status\n{}", status.out);
    snapshot!(home.0, all);
}

#[test]
fn it_asks_on_a_terminal_and_changes_nothing_without_one() {
    let home = home();
    home.write(".zshrc", "a=1\n").write(".bashrc", "");
    let before = home.tree();
    let open = |args: &[&str]| {
        Terminal::open(&program(&home), &[&["setup"], args].concat(), home.0.environment(), &home.dir())
    };
    let mut all = String::new();
    for (args, question, answer, code) in [
        (&[][..], "Write these lines? [y/N]", "n", 1),
        (&["--shell", "zsh"], "Write these lines? [y/N]", "y", 0),
        (&["--undo"], "Remove these lines? [y/N]", "", 1),
        (&["--undo"], "Remove these lines? [y/N]", "yes", 0),
    ] {
        let mut terminal = open(args);
        terminal.answer(question, answer);
        assert_eq!(terminal.end(), code, "{args:?}");
        all += &format!("$ raxx setup {}\n{}\nexit: {code}\n", args.join(" "), terminal.screen());
        if answer == "y" {
            assert_eq!(
                (home.read(".zshrc"), home.read(".bashrc")),
                (format!("a=1\n{}", block(&line("zsh"), "")), String::new())
            );
        } else {
            assert!(answer.is_empty() || home.tree() == before, "{args:?}");
        }
    }
    // A question that Ctrl-C answers.
    let mut terminal = open(&[]);
    terminal.wait_for("Write these lines? [y/N]");
    terminal.keys("\u{3}");
    assert_eq!((terminal.end(), home.tree() == before), (130, true));

    for args in [&["setup"][..], &["setup", "--undo"]] {
        home.write(".zshrc", if args.len() > 1 { format!("a=1\n{}", block(&line("zsh"), "")) } else { "a=1\n".into() });
        let before = home.tree();
        let out = home.0.without_terminal(args);
        assert_eq!((out.status.code(), home.tree()), (Some(2), before));
        assert!(text(&out.stdout).contains("~/.zshrc"), "it says what it would do");
        let said = text(&out.stderr);
        assert!(said.trim_end().ends_with(&format!("type: raxx {} --yes", args.join(" "))), "{said}");
        all += &said;
    }
    snapshot!(home.0, all);
}

#[test]
fn rc_files_that_did_not_exist_are_deleted_unless_something_else_is_in_them() {
    let home = home();
    well(&home, &["--yes"]);
    assert_eq!(home.read(".zshrc"), block(&line("zsh"), " and this file if nothing else is in it"));
    home.write(".bashrc", home.read(".bashrc") + "alias ll='ls -l'\n");
    well(&home, &["--undo", "--yes"]);
    assert!(!home.path(".zshrc").exists());
    assert_eq!(home.read(".bashrc"), "alias ll='ls -l'\n");
}

#[test]
fn a_block_of_an_earlier_version_counts_and_an_older_line_is_replaced_in_place() {
    let home = home();
    let close = "# <<< raxx <<<\n";
    home.write(".zshrc", format!("a=1\n{OLD_OPENING}\n{}\n{close}b=2", line("zsh")));
    home.write(
        ".bashrc",
        format!("a=1\r\n{OLD_OPENING}\r\neval \"$(raxx init bash)\"\r\n{}b=2\r\n", "# <<< raxx <<<\r\n"),
    );
    let zshrc = home.read(".zshrc");
    let status = setup(&home, &["--status"]);
    assert_eq!(
        (status.code, status.out.contains("different line than this version writes (line 3)")),
        (1, true),
        "{}",
        status.out
    );
    well(&home, &["--yes"]);
    assert_eq!(home.read(".zshrc"), zshrc, "its line is the current one");
    assert_eq!(home.read(".bashrc"), format!("a=1\r\n{}b=2\r\n", block(&line("bash"), "")));
    well(&home, &["--undo", "--yes"]);
    assert_eq!((home.read(".zshrc"), home.read(".bashrc")), ("a=1\nb=2".into(), "a=1\r\nb=2\r\n".into()));
}

#[test]
fn one_shell_alone_is_written_and_undone() {
    let home = home();
    home.write(".zshrc", "a=1\n").write(".bashrc", "b=1\n");
    well(&home, &["--yes", "--shell", "bash"]);
    assert_eq!(
        (home.read(".zshrc"), home.read(".bashrc")),
        ("a=1\n".into(), format!("b=1\n{}", block(&line("bash"), "")))
    );
    well(&home, &["--yes"]);
    well(&home, &["--undo", "--yes", "--shell", "bash"]);
    assert_eq!(
        (home.read(".zshrc"), home.read(".bashrc")),
        (format!("a=1\n{}", block(&line("zsh"), "")), "b=1\n".into())
    );
}

#[test]
fn links_modes_and_inodes_survive() {
    let home = home();
    home.write("dotfiles/zshrc", "a=1\n").write("dotfiles/bashrc", "b=1\n");
    fs::set_permissions(home.path("dotfiles/zshrc"), fs::Permissions::from_mode(0o600)).expect("its mode");
    fs::hard_link(home.path("dotfiles/bashrc"), home.path("other-name")).expect("a hard link");
    symlink("dotfiles/link", home.path(".zshrc")).expect("a link");
    symlink("zshrc", home.path("dotfiles/link")).expect("a link");
    symlink(home.path("dotfiles/bashrc"), home.path(".bashrc")).expect("a link");
    let (before, inode) = (home.tree(), fs::metadata(home.path(".zshrc")).expect("metadata").ino());

    well(&home, &["--yes"]);
    assert_eq!(home.read("dotfiles/zshrc"), format!("a=1\n{}", block(&line("zsh"), "")));
    assert_eq!(home.read("other-name"), format!("b=1\n{}", block(&line("bash"), "")));
    let meta = fs::metadata(home.path(".zshrc")).expect("metadata");
    assert_eq!((meta.ino(), meta.mode() & 0o777), (inode, 0o600));
    well(&home, &["--undo", "--yes"]);
    assert_eq!(home.tree(), before);
}

#[test]
fn a_link_to_a_file_that_does_not_exist_gets_its_file_and_loses_it_again() {
    let home = home();
    fs::create_dir(home.path("dotfiles")).expect("a directory");
    symlink("dotfiles/zshrc", home.path(".zshrc")).expect("a link");
    symlink("nowhere/bashrc", home.path(".bashrc")).expect("a link");
    let before = home.tree();
    let done = setup(&home, &["--yes"]);
    assert_eq!((done.code, done.err.contains("its directory does not exist")), (1, true), "{}", done.err);
    assert_eq!(home.read("dotfiles/zshrc"), block(&line("zsh"), " and this file if nothing else is in it"));
    well(&home, &["--undo", "--yes"]);
    assert_eq!(home.tree(), before);
}

#[test]
fn a_read_only_rc_file_is_left_alone_and_the_lines_are_handed_over() {
    // Also for root, who could write to it.
    let home = home();
    home.write("generated/zshrc", "a=1\n").write(".bashrc", "b=1\n");
    let zshrc = home.path("generated/zshrc");
    let mode = |mode| fs::set_permissions(&zshrc, fs::Permissions::from_mode(mode)).expect("its mode");
    mode(0o444);
    symlink("generated/zshrc", home.path(".zshrc")).expect("a link");
    let done = setup(&home, &["--yes"]);
    assert_eq!(done.code, 1);
    assert!(done.err.ends_with(&block(&line("zsh"), "")), "the lines to add: {}", done.err);
    assert_eq!(
        (home.read(".zshrc"), home.read(".bashrc")),
        ("a=1\n".into(), format!("b=1\n{}", block(&line("bash"), "")))
    );
    let mut all = done.err;

    // The program that makes the file has written the lines: all is well then.
    mode(0o644);
    fs::write(&zshrc, format!("a=1\n{}", block(&line("zsh"), ""))).expect("the file");
    mode(0o444);
    well(&home, &["--yes"]);
    let undone = setup(&home, &["--undo", "--yes"]);
    assert_eq!((undone.code, undone.err.contains("Delete lines 2-4")), (1, true), "{}", undone.err);
    assert_eq!(
        (home.read(".zshrc"), home.read(".bashrc")),
        (format!("a=1\n{}", block(&line("zsh"), "")), "b=1\n".into())
    );
    all += &undone.err;
    snapshot!(home.0, all);
}

#[test]
fn what_cannot_be_edited_safely_is_refused_and_nothing_is_changed() {
    let mut all = String::new();
    let refused = |home: &Home, args: &[&str]| {
        let before = home.tree();
        let done = setup(home, args);
        assert_eq!((done.code, home.tree()), (2, before), "{args:?}: {}", done.err);
        settings(&home.0).bind(|| done.err)
    };
    let home = home();
    home.write(".zshrc", format!("{OLD_OPENING}\n")).write(".bashrc", "b=1\n");
    for args in [&["--yes"][..], &["--undo", "--yes"], &["--dry-run"]] {
        all += &refused(&home, args);
    }
    let status = setup(&home, &["--status"]);
    assert_eq!((status.code, status.out.contains("without an end")), (1, true), "{}", status.out);
    fs::remove_file(home.path(".zshrc")).expect("a file");
    fs::create_dir(home.path(".zshrc")).expect("a directory");
    all += &refused(&home, &["--yes"]);
    fs::remove_dir(home.path(".zshrc")).expect("a directory");
    symlink(".bashrc", home.path(".zshrc")).expect("a link");
    all += &refused(&home, &["--yes"]);
    snapshot!(home.0, all);
}

#[test]
fn zdotdir_counts_also_where_it_is_not_exported() {
    let home = home();
    home.write(".zshenv", "echo noise\nZDOTDIR=$HOME/.config/zsh\n").write(".config/zsh/.zshrc", "a=1\n");
    well(&home, &["--yes"]);
    assert_eq!(home.read(".config/zsh/.zshrc"), format!("a=1\n{}", block(&line("zsh"), "")));
    assert!(!home.path(".zshrc").exists());
    // It has moved since: the old block is found anyway.
    home.write(".zshenv", "");
    well(&home, &["--undo", "--yes"]);
    assert_eq!(home.read(".config/zsh/.zshrc"), "a=1\n");

    let mut home = self::home();
    home.write("exported/.zshrc", "");
    let exported = home.path("exported");
    home.0.env("ZDOTDIR", exported);
    well(&home, &["--yes"]);
    assert_eq!(home.read("exported/.zshrc"), block(&line("zsh"), ""));
}

#[test]
fn rc_files_are_not_changed_with_profile_dev_null() {
    let mut home = home();
    home.write(".zshrc", "a=1").write(".bashrc", "# >>> raxx >>> damaged\n");
    home.0.env("PROFILE", "/dev/null");
    let before = home.tree();
    let out = well(&home, &["--yes"]);
    assert!(out.contains(&line("zsh")) && out.contains(&line("bash")), "{out}");
    assert_eq!(well(&home, &["--undo", "--yes"]) + &well(&home, &["--status"]), "");
    assert_eq!(home.tree(), before);
}

#[test]
fn a_login_bash_that_does_not_read_bashrc_is_named() {
    let mut home = home();
    home.0.env("SHELL", "/bin/bash");
    home.write(".profile", "export A=1\n").write(".bashrc", "");
    let out = well(&home, &["--yes"]);
    assert_eq!(out.contains("~/.profile"), cfg!(target_os = "linux"), "{out}");
}

#[test]
fn a_program_directory_with_any_name_works_and_one_that_no_path_can_have_is_refused() {
    for odd in ["it's a $(touch pwned) `x` \"q\" *", "*[a]?{b,c}~", "a\t\r\u{1b}[31m\\"] {
        let home = Home::new();
        fs::create_dir_all(home.path(odd)).expect("a directory");
        symlink(crate::support::RAXX, home.path(odd).join("raxx")).expect("a link");
        home.write(".zshrc", "").write(".bashrc", "");
        let before = home.tree();
        let program = home.path(odd).join("raxx").to_str().expect("UTF-8").to_string();
        assert_eq!(home.run(&[&program, "setup", "--yes"]).code, 0);
        for shell in ["zsh", "bash"] {
            let done = home.run(&[shell, "-i", "-c", "typeset -f raxx >/dev/null && command raxx --version"]);
            assert_eq!((done.code, done.out.starts_with("raxx ")), (0, true), "{shell}: {}{}", done.out, done.err);
        }
        assert_eq!(home.run(&[&program, "setup", "--status"]).code, 0);
        assert_eq!(home.run(&[&program, "setup", "--undo", "--yes"]).code, 0);
        assert_eq!(home.tree(), before, "{odd}");
    }
    for odd in ["a:b", "a\nb"] {
        let home = Home::new();
        fs::create_dir_all(home.path(odd)).expect("a directory");
        symlink(crate::support::RAXX, home.path(odd).join("raxx")).expect("a link");
        let before = home.tree();
        let done = home.run(&[home.path(odd).join("raxx").to_str().expect("UTF-8"), "setup", "--yes"]);
        assert_eq!((done.code, home.tree()), (2, before), "{odd:?}: {}", done.err);
    }
}

#[test]
fn a_program_of_the_path_is_named_by_its_place_there() {
    let mut home = home();
    home.write(".zshrc", "");
    let path = format!("relative:{}:/usr/bin:/bin", home.path(".cargo/bin").display());
    home.0.env("PATH", path);
    assert_eq!(home.run(&["sh", "-c", "raxx setup --yes --shell zsh"]).code, 0);
    assert_eq!(home.read(".zshrc"), block(&line("zsh"), ""));
}

#[test]
fn a_full_disk_leaves_the_old_bytes() {
    let long = "# a line of an rc file that is worth keeping\n".repeat(500);
    let home = home();
    let old = format!("{long}{OLD_OPENING}\neval \"$(raxx init bash)\"\n# <<< raxx <<<\n{long}");
    // No file can grow past 4 KiB.
    for (rc, args) in [(&long, "--yes"), (&old, "--yes"), (&old, "--undo --yes")] {
        home.write(".bashrc", rc).write(".zshrc", "a=1\n");
        let script = format!("trap '' XFSZ; ulimit -f 8; exec '{}' setup {args}", program(&home).display());
        let done = home.run(&["sh", "-c", &script]);
        assert_eq!(
            (done.code, done.err.contains("~/.bashrc: it could not be written and is unchanged")),
            (1, true),
            "{}",
            done.err
        );
        assert_eq!(home.read(".bashrc"), *rc);
        no_litter(&home);
    }
}

#[test]
fn nothing_is_written_into_the_home_directory_of_another_user() {
    const ANOTHER: u32 = 61_711;
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let home = home();
    home.write(".zshrc", "a=1\n");
    let chown = |owner: u32| std::os::unix::fs::chown(home.dir(), Some(owner), None).expect("root can");
    chown(ANOTHER);
    let before = home.tree();
    let done = setup(&home, &["--yes"]);
    assert_eq!((done.code, home.tree()), (1, before));
    assert!(done.err.contains("belongs to another user"), "{}", done.err);
}
