//! The secret stores: the file, a real Secret Service, and the commands that change them.

#[path = "../support/keyring.rs"]
mod keyring;
#[path = "../support/pty.rs"]
mod pty;
#[path = "../support/mod.rs"]
mod support;

mod file_store;
#[cfg(target_os = "linux")]
mod keepassxc;
#[cfg(target_os = "linux")]
mod secret_service;
#[cfg(target_os = "linux")]
mod secret_service_writes;
mod store_commands;
