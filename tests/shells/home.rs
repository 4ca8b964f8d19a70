//! A throw-away home directory for what edits rc files and installs programs.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::support::{RAXX, Sandbox, text};

/// The first line of a block as earlier versions wrote it.
pub const OLD_OPENING: &str = "# >>> raxx >>> added by raxx's shell/install.sh; its --uninstall removes these lines";

/// A file of the checkout.
pub fn checkout(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(file)
}

/// The one line in the block, for a program in `directory` (as a shell reads it).
pub fn hook_line(shell: &str, directory: &str) -> String {
    format!(
        "case :${{PATH}}: in *:{directory}:*) ;; *) PATH=${{PATH}}:{directory} ;; esac; \
         if command -v raxx >/dev/null; then eval \"$(raxx init {shell})\"; fi"
    )
}

/// The block with this line.
pub fn block(line: &str, note: &str) -> String {
    format!("# >>> raxx >>> added by raxx setup; raxx setup --undo removes these lines{note}\n{line}\n# <<< raxx <<<\n")
}

/// What /bin/sh is here (dash on Debian), what it is on macOS, and what somebody types who thinks of zsh.
pub const SHELLS: [&[&str]; 3] = [&["sh"], &["bash", "--posix"], &["zsh"]];

pub fn install_sh_with(home: &Home, shell: &[&str], args: &[&str]) -> Done {
    let script = checkout("shell/install.sh");
    home.run(&[shell, &[script.to_str().expect("UTF-8")], args].concat())
}

pub fn install_sh(home: &Home, args: &[&str]) -> Done {
    install_sh_with(home, &["sh"], args)
}

/// Installs all but the program, which stays where cargo built it: its copy is the slow part.
pub fn hook_up(home: &Home) -> Done {
    install_sh(home, &["--no-build", "--bin-dir", built().to_str().expect("UTF-8")])
}

pub fn built() -> &'static Path {
    Path::new(RAXX).parent().expect("the program's directory")
}

/// As a person would describe the run.
pub fn told(line: &str, done: &Done) -> String {
    let errors: String = done.err.lines().map(|line| format!("stderr: {line}\n")).collect();
    format!("$ sh shell/install.sh {line}\n{}{errors}exit: {}\n", done.out, done.code)
}

/// Nothing that raxx or install.sh wrote for a moment is left.
pub fn no_litter(home: &Home) {
    let litter: Vec<_> = home.tree().into_keys().filter(|path| path.to_string_lossy().contains(".raxx")).collect();
    assert!(litter.is_empty(), "{litter:?}");
}

/// What a run of the script, or of a shell, did.
pub struct Done {
    pub code: i32,
    pub out: String,
    pub err: String,
}

/// A home as it is on a fresh Debian: no ZDOTDIR, no XDG variable, and neither cargo nor raxx on the PATH.
pub struct Home(pub Sandbox);

impl Home {
    pub fn new() -> Home {
        let mut sandbox = Sandbox::new();
        for name in
            ["ZDOTDIR", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR"]
        {
            sandbox.unset(name);
        }
        sandbox.env("SHELL", "/bin/zsh");
        let mut home = Home(sandbox);
        for entry in fs::read_dir(home.dir()).expect("a directory").flatten() {
            fs::remove_dir_all(entry.path()).expect("an empty directory");
        }
        // The daily check of whoever runs the tests is not in reach.
        home.fake("systemctl", "exit 1").fake("launchctl", "exit 1");
        let crontab = home.crontab();
        let script = format!(
            "case $1 in -l) cat '{0}' 2>/dev/null || {{ echo 'no crontab for op' >&2; exit 1; }} ;;\n\
             -r) rm '{0}' ;; *) cat >'{0}.new' && mv '{0}.new' '{0}' ;; esac",
            crontab.display()
        );
        home.fake("crontab", &script);
        home
    }

    pub fn dir(&self) -> PathBuf {
        self.0.home()
    }

    pub fn path(&self, file: &str) -> PathBuf {
        self.dir().join(file)
    }

    pub fn write(&self, file: &str, bytes: impl AsRef<[u8]>) -> &Home {
        let path = self.path(file);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(path, bytes).expect("a file");
        self
    }

    pub fn read(&self, file: &str) -> String {
        String::from_utf8_lossy(&fs::read(self.path(file)).unwrap_or_else(|error| panic!("{file}: {error}")))
            .into_owned()
    }

    /// An executable of this name that comes before the real one.
    pub fn fake(&mut self, name: &str, script: &str) -> &mut Home {
        let bin = self.0.root().join("fakes");
        fs::create_dir_all(&bin).expect("a directory");
        fs::write(bin.join(name), format!("#!/bin/sh\n{script}\n")).expect("a script");
        fs::set_permissions(bin.join(name), fs::Permissions::from_mode(0o755)).expect("its mode");
        self.0.env("PATH", format!("{}:/usr/bin:/bin", bin.display()));
        self
    }

    /// Where the stand-in for `crontab` keeps it.
    pub fn crontab(&self) -> PathBuf {
        self.0.root().join("crontab")
    }

    /// Puts a raxx on the PATH that writes down how it is called; gives the file.
    pub fn count_calls(&mut self) -> PathBuf {
        let calls = self.0.root().join("calls");
        self.fake("raxx", &format!("echo \"$*\" >>'{}'; exec '{RAXX}' \"$@\"", calls.display()));
        calls
    }

    pub fn run(&self, command: &[&str]) -> Done {
        let output = self.0.command(command[0]).args(&command[1..]).output().expect("it starts");
        Done { code: output.status.code().unwrap_or(-1), out: text(&output.stdout), err: text(&output.stderr) }
    }

    /// Everything under the home, but for what raxx itself remembers.
    pub fn tree(&self) -> BTreeMap<PathBuf, String> {
        let mut tree = BTreeMap::new();
        let mut open = vec![self.dir()];
        while let Some(directory) = open.pop() {
            for entry in fs::read_dir(&directory).expect("a directory").flatten() {
                let (path, meta) = (entry.path(), entry.path().symlink_metadata().expect("metadata"));
                let content = if meta.is_symlink() {
                    format!("-> {}", fs::read_link(&path).expect("a link").display())
                } else if meta.is_dir() {
                    open.push(path.clone());
                    String::from("directory")
                } else {
                    format!("{:o} {}", meta.mode(), fs::read(&path).expect("a file").escape_ascii())
                };
                tree.insert(path, content);
            }
        }
        let (local, state) = (self.path(".local"), self.path(".local/state"));
        tree.retain(|path, _| {
            !path.starts_with(&state) && *path != local && !path.ends_with(".raxx-session-bootstrap-last-validated")
        });
        tree
    }
}
