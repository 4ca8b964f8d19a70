//! The texts that belong to no single feature: every page of help, and what is said to a mistyped command.

use crate::snapshot::{ran, snapshot};
use crate::support::Sandbox;

/// The subcommands that the binary itself lists.
fn commands(sandbox: &Sandbox) -> Vec<String> {
    let help = crate::support::text(&sandbox.run(&["--help"]).stdout);
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names = listed.filter(|line| !line.starts_with("   ")).filter_map(|line| line.split_whitespace().next());
    names.map(String::from).collect()
}

#[test]
fn every_page_of_help() {
    let mut sandbox = Sandbox::new();
    sandbox.env("COLUMNS", "80");
    snapshot!(sandbox, "help", ran(&sandbox, &["--help"]));
    let commands = commands(&sandbox);
    assert!(commands.len() > 15, "{commands:?}");
    for command in commands {
        snapshot!(sandbox, format!("help_{command}"), ran(&sandbox, &[&command, "--help"]));
    }
    for action in ["install", "uninstall", "status"] {
        snapshot!(sandbox, format!("help_schedule_{action}"), ran(&sandbox, &["schedule", action, "--help"]));
    }
}
