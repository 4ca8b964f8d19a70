//! The shell integration and its installer, in real shells on real terminals.

#![allow(clippy::pedantic, clippy::print_stderr, clippy::unwrap_used, unreachable_pub)] // for the program; a test that fails can panic

#[path = "../support/keyring.rs"]
mod keyring;
#[path = "../support/pty.rs"]
mod pty;
#[path = "../support/snapshot.rs"]
mod snapshot;
#[path = "../support/mod.rs"]
mod support;

mod home;
mod install;
mod plugin;
mod setup;
mod terminal;
mod uninstall;
