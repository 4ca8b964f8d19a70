//! The completions: the checked-in files match the binary's output, and each shell completes with them.

use crate::support;

use std::fs;

use support::{Sandbox, text};

/// A sandbox with one credential, and the repository's completions.
fn sandbox() -> Sandbox {
    let mut sandbox = Sandbox::new();
    sandbox.config("[[credential]]\nname = \"COMPLETED_NAME\"\nprovider = \"github\"\n");
    let repository = env!("CARGO_MANIFEST_DIR");
    sandbox.env("COMPLETIONS", format!("{repository}/completions"));
    sandbox
}

/// Runs a script in a shell and returns its output; any output on stderr is a failure.
fn script(shell: &[&str], script: &str) -> String {
    let sandbox = sandbox();
    let out = sandbox.command(shell[0]).args(&shell[1..]).arg(script).output().expect("the shell starts");
    assert_eq!(text(&out.stderr), "", "{shell:?} complains");
    assert!(out.status.success(), "{shell:?}");
    text(&out.stdout)
}

#[test]
fn the_checked_in_files_match_the_binarys_output() {
    let sandbox = Sandbox::new();
    for (shell, file) in [("zsh", "_raxx"), ("bash", "raxx.bash"), ("fish", "raxx.fish")] {
        let printed = text(&sandbox.run(&["completions", shell]).stdout);
        let checked_in = fs::read_to_string(format!("completions/{file}")).unwrap();
        assert!(printed == checked_in, "type: target/debug/raxx completions {shell} >completions/{file}");
    }
}

#[test]
fn bash_completes_commands_options_and_names() {
    let complete = |words: &str, last: usize| {
        script(
            &["bash", "--norc", "--noprofile", "-eu", "-c"],
            &format!(
                "source \"$COMPLETIONS/raxx.bash\"; complete -p raxx >/dev/null; COMP_WORDS=({words}); COMP_CWORD={last}; \
                 _raxx raxx \"${{COMP_WORDS[{last}]}}\" \"${{COMP_WORDS[{last}-1]}}\" || :; echo \"${{COMPREPLY[*]-}}\""
            ),
        )
    };
    assert_eq!(complete("raxx ch", 1), "check\n");
    assert_eq!(complete("raxx check --j", 2), "--json\n");
    assert_eq!(complete("raxx check COMP", 2), "COMPLETED_NAME\n");
    assert_eq!(complete("raxx export bash COMP", 3), "COMPLETED_NAME\n");
    for command in ["load", "store", "rotate", "forget"] {
        assert_eq!(complete(&format!("raxx {command} COMP"), 2), "COMPLETED_NAME\n", "{command}");
    }
    assert_eq!(complete("raxx list --history COMP", 3), "COMPLETED_NAME\n");
    assert_eq!(complete("raxx check inf", 2), "infisical\n");
    assert_eq!(complete("raxx store inf", 2), "\n");
    assert_eq!(complete("raxx init z", 2), "zsh\n");
}

#[test]
fn fish_completes_commands_options_and_names() {
    let complete = |line: &str| {
        let script_text =
            format!("source $COMPLETIONS/raxx.fish; complete -C '{line}' | string replace -r '\\t.*' ''; true");
        script(&["fish", "--no-config", "--private", "--command"], &script_text)
    };
    assert_eq!(complete("raxx ch"), "check\n");
    assert_eq!(complete("raxx check --j"), "--json\n");
    for command in ["check", "load", "store", "rotate", "forget", "list --history"] {
        assert_eq!(complete(&format!("raxx {command} COMP")), "COMPLETED_NAME\n", "{command}");
    }
    assert_eq!(complete("raxx check inf"), "infisical\n");
    assert_eq!(complete("raxx store inf"), "");
    assert_eq!(complete("raxx init z"), "zsh\n");
}

#[test]
fn zsh_completes_commands_options_and_names_after_compinit() {
    // The line editor needs a terminal, so the test runs a zsh inside zsh with zpty.
    let typed = |line: &str| {
        // Keys are processed in order: the text, TAB, and a key that prints the current line.
        let typing = format!(
            r#"
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell 'PS1= PS2=; bindkey -e; tell() {{ print -r -- "<$BUFFER>"; BUFFER= }}; zle -N tell; bindkey "^G" tell'
zpty -w shell 'fpath=($COMPLETIONS $fpath); autoload -Uz compinit && compinit -u -D; print -r -- re''ady'
zpty -r -m shell said $'*ready[\r\n]*'
zpty -w -n shell $'{line}\t\a'
zpty -r -m shell said $'*<raxx*>[\r\n]*'
print -r -- "$said"
zpty -d shell
"#
        );
        let said = script(&["zsh", "-f", "-c"], &typing);
        let from = said.rfind("<raxx").expect("the line comes back") + 1;
        said[from..].split('>').next().unwrap().trim_end().to_string()
    };
    assert_eq!(typed("raxx ch"), "raxx check");
    assert_eq!(typed("raxx check --j"), "raxx check --json");
    for command in ["check", "load", "export zsh", "store", "rotate", "forget", "list --history"] {
        assert_eq!(typed(&format!("raxx {command} COMP")), format!("raxx {command} COMPLETED_NAME"));
    }
    assert_eq!(typed("raxx check inf"), "raxx check infisical");
    assert_eq!(typed("raxx store inf"), "raxx store inf");
    assert_eq!(typed("raxx init z"), "raxx init zsh");
}
