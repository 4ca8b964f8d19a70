//! Every command as a program: verdicts, reports, alerts, the scheduler.

#![allow(clippy::pedantic, clippy::print_stderr, clippy::unwrap_used, unreachable_pub)] // for the program; a test that fails can panic

#[path = "../support/pty.rs"]
mod pty;
#[path = "../support/snapshot.rs"]
mod snapshot;
#[path = "../support/mod.rs"]
mod support;

mod alert;
mod answers;
mod commands;
mod completions;
mod demo;
mod expiry;
mod faults;
mod leaks;
mod list;
mod memory;
mod messages;
mod output;
mod places;
mod prometheus;
mod quoting;
mod schedule;
mod verdicts;
