use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::{chown, symlink};
use std::process::Command;

use rustix::io::Errno;

use super::replace::ABANDONED;
use super::*;

/// A uid that does not run these tests.
const ANOTHER: u32 = 61_711;

fn directory() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn fifo(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

/// Changes the owner of a link or file to another user, which only root can do.
fn give_away(path: &Path) -> bool {
    let mut command = Command::new("chown");
    rustix::process::geteuid().is_root()
        && command.arg("-h").arg(format!("{ANOTHER}")).arg(path).status().unwrap().success()
}

fn error_of<T>(result: io::Result<T>) -> String {
    result.err().map_or("no error".into(), |error| error.to_string())
}

#[test]
fn only_regular_files_are_read_or_replaced() {
    let dir = directory();
    let at = |name: &str| dir.path().join(name);
    fifo(&at("fifo"));
    fs::create_dir(at("directory")).unwrap();
    symlink("/dev/zero", at("device")).unwrap();
    symlink("/dev/null", at("null")).unwrap();
    symlink("fifo", at("link")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
    for name in ["fifo", "directory", "device", "null", "link", "socket"] {
        insta::assert_snapshot!("not_a_regular_file", error_of(read(&at(name), 100)));
        insta::assert_snapshot!("not_a_regular_file", error_of(replace(&at(name), b"new")));
        assert!(lock_file(&at(name)).is_err(), "{name}");
    }
    symlink("loop", at("loop")).unwrap();
    for loops in [read(&at("loop"), 100).map(drop), replace(&at("loop"), b"new"), append(&at("loop")).map(drop)] {
        assert_eq!(loops.unwrap_err().raw_os_error(), Some(Errno::LOOP.raw_os_error()));
    }
}

#[test]
fn a_file_larger_than_the_limit_is_not_read() {
    let dir = directory();
    let path = dir.path().join("file");
    fs::write(&path, [b'x'; 101]).unwrap();
    assert_eq!(read(&path, 101).unwrap().len(), 101);
    assert!(read(&path, 100).is_err());
    File::create(&path).unwrap().set_len(10 << 30).unwrap();
    insta::assert_snapshot!("too_large", error_of(read(&path, 1 << 20)));
    // Its length is reported as 0, but it is not empty.
    assert!(!read(Path::new("/proc/self/environ"), 1 << 20).unwrap().is_empty() || cfg!(not(target_os = "linux")));
}

#[test]
fn own_links_are_followed_and_kept() {
    let dir = directory();
    let at = |name: &str| dir.path().join(name);
    fs::create_dir(at("dotfiles")).unwrap();
    symlink("dotfiles", at("config")).unwrap();
    symlink("../second", at("dotfiles/first")).unwrap();
    symlink(at("dotfiles/real"), at("second")).unwrap();
    let path = at("config/first");
    replace(&path, b"one").unwrap();
    assert_eq!(read(&path, 100).unwrap(), b"one");
    append(&path).unwrap().write_all(b" two").unwrap();
    assert_eq!(fs::read(at("dotfiles/real")).unwrap(), b"one two");
    assert!(fs::symlink_metadata(&path).unwrap().is_symlink());
}

#[test]
fn another_users_link_is_not_followed() {
    let dir = directory();
    let at = |name: &str| dir.path().join(name);
    fs::write(at("precious"), "precious").unwrap();
    symlink(at("precious"), at("link")).unwrap();
    symlink(dir.path(), at("directory")).unwrap();
    // This user's own link points to it.
    symlink("link", at("mine")).unwrap();
    if !(give_away(&at("link")) && give_away(&at("directory"))) {
        return;
    }
    for name in ["link", "mine", "directory/precious"] {
        insta::assert_snapshot!("another_users_link", error_of(replace(&at(name), b"new")));
        insta::assert_snapshot!("another_users_link", error_of(Target::named(&at(name))));
        if name != "directory/precious" {
            insta::assert_snapshot!("another_users_link", error_of(read(&at(name), 100)));
            insta::assert_snapshot!("another_users_link", error_of(append(&at(name))));
        }
    }
    assert_eq!(fs::read(at("precious")).unwrap(), b"precious");
    // The link's owner can expose their own file through it.
    assert!(give_away(&at("precious")));
    assert_eq!(read(&at("link"), 100).unwrap(), b"precious");
}

#[test]
fn another_users_file_is_not_written_to() {
    let dir = directory();
    let at = |name: &str| dir.path().join(name);
    fs::write(at("file"), "theirs").unwrap();
    fs::create_dir(at("home")).unwrap();
    if !(give_away(&at("file")) && give_away(&at("home"))) {
        return;
    }
    for why in
        [error_of(replace(&at("file"), b"mine")), error_of(append(&at("file"))), error_of(read_own(&at("file"), 100))]
    {
        insta::assert_snapshot!("another_users_file", why);
    }
    // The same applies inside a directory that an earlier run created there.
    fs::create_dir(at("home/mine")).unwrap();
    for why in [
        error_of(replace(&at("home/file"), b"mine")),
        error_of(make_directory(&at("home/.local/state"))),
        error_of(make_directory(&at("home/mine/state"))),
    ] {
        assert!(why.contains(&at("home").display().to_string()) && why.contains(&ANOTHER.to_string()), "{why}");
        let place = dir.path().display().to_string();
        insta::assert_snapshot!("another_users_directory", why.replace(&place, "[DIR]"));
    }
    // A file that a person named can be in anyone's directory.
    Target::named(&at("home/file")).unwrap().replace(b"mine").unwrap();
    chown(at("home"), Some(0), None).unwrap();
}

#[test]
fn a_hard_linked_file_is_not_written_to() {
    let dir = directory();
    let at = |name: &str| dir.path().join(name);
    fs::write(at("precious"), "precious").unwrap();
    fs::hard_link(at("precious"), at("lock")).unwrap();
    insta::assert_snapshot!("a_hard_link", error_of(lock_file(&at("lock"))));
    replace(&at("lock"), b"new").unwrap();
    assert_eq!(fs::read(at("precious")).unwrap(), b"precious");
}

#[test]
fn only_one_of_many_creates_the_file() {
    let dir = directory();
    let path = dir.path().join("key");
    let create = |i: u8| Target::own(&path).unwrap().create(&[i]).unwrap();
    let made = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|i| scope.spawn(move || create(i))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).filter(|made| *made).count()
    });
    assert_eq!((made, fs::read_dir(dir.path()).unwrap().count()), (1, 1));
}

#[test]
fn only_abandoned_temporary_files_of_raxx_are_deleted() {
    let dir = directory();
    let at = |name: &str| dir.path().join(name);
    let old = SystemTime::now() - ABANDONED * 2;
    for name in [".raxx.0123456789abcdef.tmp", ".tmpAbCdEf", "file.tmp", ".raxx.young.tmp"] {
        let file = File::create(at(name)).unwrap();
        if !name.contains("young") {
            file.set_modified(old).unwrap();
        }
    }
    sweep(dir.path());
    let mut left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, [".raxx.young.tmp", ".tmpAbCdEf", "file.tmp"]);
}
