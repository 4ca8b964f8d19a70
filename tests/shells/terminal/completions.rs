//! zsh's completions: found before and after compinit, and only in absolute directories.

use super::*;

/// Nothing is read from the current directory, whatever the variable contains.
#[test]
fn completions_are_read_only_from_absolute_directories() {
    for shell in shells(Zsh) {
        let mut machine = Machine::new(Zsh, &shell);
        let dir = machine.sandbox.home().join("zsh/site-functions");
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("_raxx"), "#compdef raxx\n").unwrap();
        for (place, found) in [(".", "0"), ("", "0"), ("zsh/..", "0"), (machine.sandbox.home().to_str().unwrap(), "1")]
            .map(|(place, found)| (place.to_string(), found))
        {
            machine.sandbox.env("XDG_DATA_HOME", &place);
            machine.rc(&machine.init());
            assert_eq!(
                machine.prints("echo ${#${(M)fpath:#*zsh/site-functions}:#/usr*}"),
                format!("{found}\n"),
                "{place}"
            );
        }
    }
}

/// install.sh puts the completions where zsh does not look by default.
#[test]
fn zsh_finds_the_completions_before_and_after_compinit() {
    for shell in shells(Zsh) {
        let machine = Machine::new(Zsh, &shell);
        let dir = machine.sandbox.home().join(".local/share/zsh/site-functions");
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("_raxx"), "#compdef raxx\n").unwrap();
        let compinit = "autoload -Uz compinit; compinit -u\n";
        for rc in [format!("{compinit}{}", machine.init()), format!("{}{compinit}", machine.init())] {
            machine.rc(&rc);
            assert_eq!(machine.prints("echo $_comps[raxx] ${#${(M)fpath:#$HOME/.local/*}}"), "_raxx 1\n", "{rc}");
        }
    }
}
