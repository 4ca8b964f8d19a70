//! The secret stores: the file, a real Secret Service, and the commands that change them.

#![allow(clippy::pedantic, clippy::print_stderr, clippy::unwrap_used, unreachable_pub)] // for the program; a test that fails can panic

#[path = "../support/keyring.rs"]
mod keyring;
#[path = "../support/pty.rs"]
mod pty;
#[path = "../support/snapshot.rs"]
mod snapshot;
#[path = "../support/mod.rs"]
mod support;

mod file_store;
mod import;
#[cfg(target_os = "linux")]
mod keepassxc;
mod prompt;
mod rotate;
mod secrecy;
#[cfg(target_os = "linux")]
mod secret_service;
#[cfg(target_os = "linux")]
mod secret_service_writes;
mod signals;
mod store;
mod token;
