use super::*;

#[test]
fn a_panic_restores_the_echo() {
    let pair = portable_pty::native_pty_system().openpty(portable_pty::PtySize::default()).unwrap();
    let path = pair.master.tty_name().unwrap();
    let open = || OpenOptions::new().read(true).write(true).open(&path).unwrap();
    let echoes = || tcgetattr(open()).unwrap().local_modes.contains(LocalModes::ECHO | LocalModes::IEXTEN);
    let mut terminal = Terminal::new();
    terminal.file = Some(open());
    terminal.disable_echo().unwrap();
    assert!(!echoes());
    std::mem::forget(terminal); // as with `panic = "abort"`
    let usual = std::panic::take_hook();
    restore_on_panic();
    let panicked = std::panic::catch_unwind(|| panic!("test panic"));
    std::panic::set_hook(usual);
    assert!(panicked.is_err() && echoes());
}
