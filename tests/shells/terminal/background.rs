//! The checks in the background: jobs, signals, sessions and open files.

use super::*;

in_each_shell! {
    the_hook_is_not_a_job,
    exec_during_the_checks_works,
    a_shell_can_exit_before_the_checks_end,
    interrupts_at_the_prompt_do_not_reach_the_checks,
    the_checks_leave_the_session,
}

fn the_hook_is_not_a_job(kind: Kind, shell: &Path) {
    let machine = Machine::with_values(kind, shell);
    machine.hold();
    let mut terminal = machine.with_raxx();
    assert_eq!(terminal.run("jobs"), Ran::well(""));
    // `wait` waits for the user's jobs and nothing else.
    assert_eq!(terminal.run("wait"), Ran::well(""));
    assert_eq!(terminal.run("(sleep 0.1 & sleep 0.1 & wait)"), Ran::well(""));
    machine.release();
    for _ in 0..3 {
        assert_eq!(terminal.run("jobs"), Ran::well(""));
    }
}

fn exec_during_the_checks_works(kind: Kind, shell: &Path) {
    let machine = Machine::with_a_dead_one(kind, shell);
    machine.hold();
    let mut terminal = machine.with_raxx();
    terminal.line(&format!("exec {} {} -i", machine.shell.display(), machine.options().join(" ")));
    terminal.wait_for_times(PROMPT, 2);
    machine.release();
    machine.wait_for_a_fail(&mut terminal);
    terminal.run("true");
    assert_eq!(terminal.times("[FAIL]"), 1, "{}", terminal.screen());
    assert_eq!(terminal.run("jobs; echo $HEROKU_API_KEY"), Ran::well(HEROKU.1));
}

fn a_shell_can_exit_before_the_checks_end(kind: Kind, shell: &Path) {
    let session = |raxx: bool| {
        let machine = Machine::with_a_dead_one(kind, shell);
        machine.providers.latency(Duration::from_secs(2));
        machine.rc(&if raxx { machine.init() } else { String::new() });
        let mut terminal = machine.open();
        terminal.settle();
        if raxx {
            wait_until("the checks", || machine.providers.requests().len() == 4);
        }
        terminal.line("exit");
        assert_eq!(terminal.end(), 0);
        if raxx {
            // The running checks finish and save their verdicts.
            wait_until("the end of the hook", || {
                machine.files().iter().filter(|f| f.contains("verdicts/")).count() >= 4
            });
            thread::sleep(Duration::from_millis(500));
            let left: Vec<String> = machine.files().into_iter().filter(|f| !f.contains("verdicts/")).collect();
            assert_eq!(left, ["config.toml", "home/.local/state/raxx/key"]);
        }
        String::from_utf8(terminal.transcript()).unwrap()
    };
    let [with, without] = [session(true), session(false)];
    assert_eq!(with, without);
}

fn interrupts_at_the_prompt_do_not_reach_the_checks(kind: Kind, shell: &Path) {
    // In a nested shell too: there ^Z would stop processes that are not protected from it.
    for nested in [false, true] {
        let machine = Machine::with_a_dead_one(kind, shell);
        machine.providers.latency(Duration::from_secs(3));
        machine.rc(&machine.init());
        let mut terminal = if nested {
            let outer = if kind == Zsh { "-f" } else { "--norc" };
            let mut terminal = machine.start(&[outer, "-i"]);
            terminal.settle();
            terminal.line(&format!("{} {} -i", machine.shell.display(), machine.options().join(" ")));
            terminal.wait_for(PROMPT);
            terminal
        } else {
            machine.open()
        };
        wait_until("the checks", || machine.providers.requests().len() == 4);
        for key in ["abc\x03", "\x1a", "\x1c", "sleep 60\r"] {
            terminal.keys(key);
            terminal.settle();
        }
        terminal.keys("\x03");
        terminal.settle();
        machine.wait_for_a_fail(&mut terminal);
        assert_eq!(terminal.times("[FAIL]"), 1, "{}", terminal.screen());
        // ^C still works as usual.
        terminal.line("sleep 60");
        terminal.settle();
        terminal.keys("\x03");
        assert_eq!(terminal.run("echo alive").output, "alive");
    }
}

/// The checks run in their own session, even if the shell makes them the leader of a process group.
fn the_checks_leave_the_session(kind: Kind, shell: &Path) {
    let machine = Machine::with_a_dead_one(kind, shell);
    if !cfg!(target_os = "linux") {
        return;
    }
    machine.providers.latency(Duration::from_secs(3));
    let mut terminal = machine.with_raxx();
    let own = terminal.run("echo $$").output;
    wait_until("the checks", || machine.providers.requests().len() == 4);
    let of_the_session = |process: &fs::DirEntry| {
        let stat = fs::read_to_string(process.path().join("stat")).unwrap_or_default();
        stat.contains("(raxx)") && stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(3)) == Some(&own)
    };
    assert_eq!(fs::read_dir("/proc").unwrap().flatten().filter(of_the_session).count(), 0);
    machine.wait_for_a_fail(&mut terminal);
}

/// Programs that the user starts during the checks do not inherit their pipe.
#[cfg(target_os = "linux")]
#[test]
fn commands_do_not_inherit_the_pipe() {
    let machine = Machine::with_values(Zsh, &program("zsh"));
    machine.hold();
    let mut terminal = machine.with_raxx();
    assert_eq!(terminal.run("ls -l /proc/self/fd >list; grep -c pipe: list").output, "0");
    machine.release();
}

/// A window closes and an ssh session ends only when no process has the terminal open. (zsh before 5.9 keeps a second process.)
#[cfg(target_os = "linux")]
#[test]
fn the_checks_do_not_hold_the_terminal() {
    // The controlling terminal of a process, by its number; `?` after the process has ended.
    let terminal_of = |process: &str| {
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(4)).unwrap_or("?").to_string()
    };
    for (kind, shell) in [(Zsh, program("zsh")), (Bash, program("bash"))] {
        let machine = Machine::with_values(kind, &shell);
        machine.hold();
        let mut terminal = machine.with_raxx();
        if terminal.run("[[ ${ZSH_VERSION-5.9} == 5.[0-8]* ]] && echo old").output == "old" {
            continue;
        }
        let own = terminal_of(&terminal.run("echo $$").output);
        assert!(!["0", "?"].contains(&own.as_str()));
        // zsh has a descriptor of /dev/tty besides those of the terminal itself.
        let names = [terminal.run("tty").output, "/dev/tty".into()].map(PathBuf::from);
        let has_it_open = |process: &fs::DirEntry| {
            let open = fs::read_dir(process.path().join("fd")).into_iter().flatten().flatten();
            open.filter_map(|fd| fs::read_link(fd.path()).ok()).any(|to| names.contains(&to))
                && terminal_of(&process.file_name().to_string_lossy()) == own
        };
        let terminal_users = || fs::read_dir("/proc").unwrap().flatten().filter(has_it_open).count();
        wait_until("only the shell has the terminal open", || terminal_users() == 1);
        assert!(machine.marker("held").exists() && !machine.marker("ended").exists());
        machine.release();
    }
}

/// bash cannot keep its pipe from the commands that it starts. After the emergency clear, a new command cannot read the answer.
#[cfg(target_os = "linux")]
#[test]
fn after_unset_nothing_inherits_the_pipe() {
    for shell in shells(Bash) {
        let machine = Machine::with_values(Bash, &shell);
        machine.hold();
        let mut terminal = machine.with_raxx();
        assert_eq!(terminal.run("raxx unset 2>/dev/null; ls -l /proc/self/fd >list; grep -c pipe: list").output, "0");
        machine.release();
    }
}
