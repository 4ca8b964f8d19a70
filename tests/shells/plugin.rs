//! shell/raxx.plugin.zsh in a real zsh.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use portable_pty::{CommandBuilder, PtySize, native_pty_system};

use crate::home::{Home, block, checkout, hook_line};
use crate::support::{RAXX, text};

/// How often the raxx of `count_calls` was started with these words.
fn calls_of(calls: &Path, words: &str) -> usize {
    fs::read_to_string(calls).expect("raxx was started").lines().filter(|line| *line == words).count()
}

/// What a zsh is made of, as lines; `show` is a function of the test's own.
const SHOW: &str = r#"
zmodload zsh/parameter zsh/system zsh/zselect zsh/zle
show() {
  local at=$1
  # compdef -d leaves these, whoever it is called for.
  { print -rl -- functions ${(ok)functions} parameters ${${(ok)parameters}:#(#s)(_|at|PPID|RANDOM|SECONDS)(#e)}
    print -rl -- hooks $precmd_functions $preexec_functions $chpwd_functions $zshexit_functions
    print -rl -- fpath $fpath completions ${(kv)_comps[(I)raxx]}
    print -rl -- watched "$(zle -F -L 2>&1)" descriptors /proc/self/fd/*(N:t)
  } >$at
}
"#;

#[test]
fn the_plugin_comes_and_goes_without_a_trace() {
    for compinit in ["", "autoload -Uz compinit; compinit -u -D; "] {
        for options in [
            "",
            "setopt ksh_arrays sh_word_split; ",
            "setopt no_unset err_exit; ",
            "alias -g -- --help='--help | false'; alias eval=false unset=false builtin=false unfunction=false; ",
        ] {
            let home = Home::new();
            let (before, with, after) = (home.path("before"), home.path("with"), home.path("after"));
            let script = format!(
                "setopt extended_glob; {SHOW}{compinit}\n\
                 show '{before}'\n{options}\n. '{plugin}'\n\
                 raxx --version || print raxx failed\n\
                 () {{ emulate -L zsh; setopt extended_glob; show '{with}' }}\n\
                 raxx_plugin_unload\n\
                 () {{ emulate -L zsh; setopt extended_glob; show '{after}' }}\n",
                before = before.display(),
                with = with.display(),
                after = after.display(),
                plugin = checkout("shell/raxx.plugin.zsh").display(),
            );
            home.write("script", script);
            let path = format!("{}:/usr/bin:/bin", Path::new(RAXX).parent().expect("its directory").display());
            let command =
                home.0.command("zsh").env("PATH", path).args(["-f", "-i", "script"]).output().expect("zsh starts");
            let said = format!("{}{}", text(&command.stdout), text(&command.stderr));
            assert!(said.starts_with("raxx ") && said.lines().count() == 1, "{compinit}{options}: {said}");
            let (before, with, after) = (home.read("before"), home.read("with"), home.read("after"));
            assert!(with.lines().any(|line| line == "raxx") && with.contains("__raxx_"), "{with}");
            assert!(with.contains("/completions\n"), "the checkout's completions are found: {with}");
            assert_eq!(before, after, "{compinit}{options}");
        }
    }
}

/// At a prompt, while the check runs: its descriptor and its watcher go, too.
#[test]
fn the_plugin_goes_without_a_trace_while_a_check_runs() {
    // Takes connections and never answers.
    let mute = TcpListener::bind("127.0.0.1:0").expect("a port");
    let mut home = Home::new();
    home.0.config(&format!(
        "timeout = \"2s\"\n[[credential]]\nname = \"T\"\nprovider = \"github\"\nstore = {{ service = \"s\", account = \"a\" }}\n\
         rotate_via = \"r\"\n[provider.github]\nbase_url = \"http://{}\"\n",
        mute.local_addr().expect("its address")
    ));
    home.0
        .env("PATH", format!("{}:/usr/bin:/bin", Path::new(RAXX).parent().expect("its directory").display()))
        .env("T", "ghp_0123456789abcdefghij0123456789abcdef");
    home.write("show", format!("setopt extended_glob; {SHOW}"));

    let pty =
        native_pty_system().openpty(PtySize { rows: 24, cols: 200, pixel_width: 0, pixel_height: 0 }).expect("a pty");
    let mut zsh = CommandBuilder::new("zsh");
    zsh.args(["-f", "-i"]);
    zsh.env_clear();
    for (name, value) in home.0.environment() {
        zsh.env(name, value);
    }
    zsh.cwd(home.dir());
    let mut shell = pty.slave.spawn_command(zsh).expect("zsh starts");
    drop(pty.slave);
    let mut reader = pty.master.try_clone_reader().expect("the pty's output");
    let screen = thread::spawn(move || {
        let mut bytes = Vec::new();
        // At its end a pty gives an error.
        let _ = reader.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    });
    let plugin = checkout("shell/raxx.plugin.zsh");
    let typed = ["unsetopt zle_bracketed_paste", ". ./show", "show before", &format!(". '{}'", plugin.display())];
    let mut keys = pty.master.take_writer().expect("the keyboard");
    for line in typed.into_iter().chain(["show with", "raxx_plugin_unload", "show after", "exit"]) {
        writeln!(keys, "{line}").expect("a line is typed");
    }
    let started = Instant::now();
    while shell.try_wait().expect("zsh").is_none() {
        if started.elapsed() > Duration::from_secs(60) {
            shell.kill().expect("zsh is stopped");
            panic!("zsh hangs");
        }
        thread::sleep(Duration::from_millis(20));
    }
    drop((keys, pty.master));
    let screen = screen.join().expect("the screen");
    assert!(home.read("with").contains("zle -F 1") && home.read("with").contains(" __raxx_done\n"), "{screen}");
    assert_eq!(home.read("before"), home.read("after"), "{screen}");
}

#[test]
fn the_plugin_and_the_rc_line_together_leave_one_hook() {
    let plugin = format!(". '{}'\n", checkout("shell/raxx.plugin.zsh").display());
    let line = block(&hook_line("zsh", "/nowhere"), "");
    for (rc, times) in [(format!("{plugin}{line}"), 2), (format!("{line}{plugin}"), 1), (plugin.repeat(2), 1)] {
        let mut home = Home::new();
        let calls = home.count_calls();
        home.write(".zshrc", rc);
        let show = "print -l $precmd_functions; raxx_plugin_unload; print -l $precmd_functions; whence -w raxx";
        let done = home.run(&["zsh", "-i", "-c", show]);
        assert_eq!((done.out.as_str(), done.err.as_str()), ("__raxx_prompt\n\nraxx: command\n", ""));
        assert_eq!(calls_of(&calls, "init zsh"), times);
    }
}

#[test]
fn the_plugin_is_silent_where_raxx_is_not_installed() {
    let home = Home::new();
    home.write(".zshrc", format!(". '{}'\nraxx() {{ echo my own }}\n", checkout("shell/raxx.plugin.zsh").display()));
    let done = home.run(&["zsh", "-i", "-c", "print hooks: $precmd_functions; raxx_plugin_unload; raxx"]);
    assert_eq!((done.code, done.out.as_str(), done.err.as_str()), (0, "hooks:\nmy own\n", ""));
}
