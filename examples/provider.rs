//! A loopback provider for measurements: `cargo run --example provider -- LATENCY_MS TOKEN…`. Prints the configuration
//! that sends raxx to it, then answers requests until its standard input closes.

#![allow(clippy::pedantic, clippy::print_stderr, clippy::print_stdout, clippy::unwrap_used, unreachable_pub)] // for the program

#[path = "../tests/support/loopback.rs"]
mod loopback;

use std::io::Read as _;
use std::time::Duration;

fn main() {
    let mut args = std::env::args().skip(1);
    let latency = args.next().and_then(|ms| ms.parse().ok()).expect("the latency in milliseconds comes first");
    let server = loopback::Loopback::start();
    server.latency(Duration::from_millis(latency));
    args.for_each(|token| server.accept(&token));
    println!("{}", server.config());
    // Closes when the calling script exits, for whatever reason.
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}
