//! Inspects every block of memory that is freed: it must not contain a value.

#![allow(unsafe_code)] // for the allocator

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use crate::provider::Answer;
use crate::secret::{Secret, joined};
use crate::shell;
use crate::source::infisical;
use crate::text::redact;

const VALUE: &str = "freed-MadeUp0123456789abcdefghijklmnopqrstuvwxyz";

thread_local! {
    static WATCHING: Cell<bool> = const { Cell::new(false) };
    static FOUND: Cell<usize> = const { Cell::new(0) };
}

/// The system allocator, which also inspects each block before it is freed. A `Vec` that grows frees its old block.
struct Watching;

#[global_allocator]
static ALLOCATOR: Watching = Watching;

// SAFETY: every call goes to the system allocator with the same layout.
unsafe impl GlobalAlloc for Watching {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promises. Zeroed so that the whole block can be read in `dealloc`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if WATCHING.get() {
            // SAFETY: the block is still allocated, and was zeroed when it was allocated.
            let bytes = unsafe { std::slice::from_raw_parts(block, layout.size()) };
            let part = &VALUE.as_bytes()[8..24];
            if bytes.windows(part.len()).any(|window| window.eq_ignore_ascii_case(part)) {
                FOUND.set(FOUND.get() + 1);
            }
        }
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(block, layout) }
    }
}

/// Returns how many blocks that contain the value are freed while `work` runs.
fn leaked_by(work: impl FnOnce()) -> usize {
    FOUND.set(0);
    WATCHING.set(true);
    work();
    WATCHING.set(false);
    FOUND.get()
}

fn secret() -> Secret {
    Secret::parse(VALUE.as_bytes()).unwrap()
}

#[test]
fn an_unwiped_copy_is_detected() {
    assert_eq!(leaked_by(|| drop(VALUE.to_string())), 1);
    assert_eq!(leaked_by(|| drop(VALUE.to_ascii_uppercase())), 1);
    assert!(leaked_by(|| drop(format!("Bearer {VALUE}"))) > 0);
}

#[test]
fn functions_that_take_a_value_leave_no_copy() {
    assert_eq!(leaked_by(|| drop(secret().clone())), 0);
    assert_eq!(leaked_by(|| drop(joined(&["Bearer ", secret().expose()]))), 0);
    assert_eq!(leaked_by(|| drop(infisical::login_body(&secret(), &secret()))), 0);
    assert_eq!(leaked_by(|| drop(shell::export_line("NAME", &secret()))), 0);
    let message = "HTTP 401: this token is not known to us, 0123456789";
    assert_eq!(leaked_by(|| drop(redact(message, &[VALUE, "another-value-0123456789"]))), 0);
}

#[test]
fn a_response_that_repeats_a_value_leaves_no_copy() {
    let answer = Answer {
        host: "api.test".into(),
        status: 200,
        headers: vec![("content-type".into(), "application/json".into()), ("x-echo".into(), VALUE.into())],
        body: format!("{{\"accessToken\":\"{VALUE}\",\"all\":[{{\"token\":\"{VALUE}\"}}]}}"),
        truncated: false,
    };
    let read = move || {
        let json = answer.json().unwrap();
        assert_eq!(json["accessToken"].as_str(), Some(VALUE));
    };
    assert_eq!(leaked_by(read), 0);
}
