//! The shell integration and its installer, in real shells on real terminals.

#[path = "../support/keyring.rs"]
mod keyring;
#[path = "../support/pty.rs"]
mod pty;
#[path = "../support/mod.rs"]
mod support;

mod install;
mod terminal;
