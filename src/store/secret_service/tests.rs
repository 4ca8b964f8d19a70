use super::bus::Bus;
use super::collection::{collection_name, collection_path};
use super::session::failure;
use super::*;

#[test]
fn d_bus_errors_are_one_line_of_plain_text() {
    let mut bus = Bus::default();
    bus.address = "unix:path=/b".into();
    let said = |error: zbus::Error| match failure(&bus, &error) {
        StoreError::Broken(why) => why,
        other => panic!("{other:?}"),
    };
    let of_the_bus = said(zbus::Error::Failure("a\n\u{202e}b".into()));
    assert!(of_the_bus.ends_with("a b"), "{of_the_bus}");
    let error = io::Error::from(io::ErrorKind::UnexpectedEof);
    insta::assert_snapshot!("errors_of_the_conversation", format!("{of_the_bus}\n{}\n", said(error.into())));
}

#[test]
fn a_collection_is_named_after_its_path() {
    for (path, name) in [
        ("/org/freedesktop/secrets/collection/login", "the login collection"),
        ("/org/freedesktop/secrets/collection/login/17", "the login collection"),
        ("/org/freedesktop/secrets/collection/Work_20keys/1", "the Work keys collection"),
        ("/org/freedesktop/secrets/collection/my_keys", "the my_keys collection"),
        ("/org/freedesktop/secrets/collection/a_0ab", "the a b collection"),
        ("/org/freedesktop/secrets/aliases/default", "the secret collection"),
    ] {
        assert_eq!(collection_name(path), name);
    }
}

#[test]
fn the_collection_of_an_item_is_in_its_path() {
    let login = "/org/freedesktop/secrets/collection/login";
    for (path, collection) in
        [(login, login), ("/org/freedesktop/secrets/collection/login/17", login), ("/elsewhere", "/elsewhere")]
    {
        assert_eq!(collection_path(path), collection);
    }
}

#[test]
fn the_hint_fits_the_provider() {
    let item = Item { service: "raxx token".into(), account: "a".into() };
    let mut hints = String::new();
    for (process, named) in [
        ("gnome-keyring-d\n", "type: raxx unlock"),
        ("keepassxc", "KeePassXC"),
        ("KeePassXC", "KeePassXC"),
        ("kwalletd6", "KWalletManager"),
        ("ksecretd", "KWalletManager"),
        ("oo7-daemon", "oo7-daemon"),
        ("", "Secret Service"),
    ] {
        let hint = Provider::from_process(process).hint(&item, Display::None, Guard::Lock).to_string();
        assert!(hint.contains(named), "{hint}");
        hints += &format!("{process:?} => {hint}\n");
    }
    let asks = Provider::KeePassXc.hint(&item, Display::Desktop, Guard::Question);
    insta::assert_snapshot!("hints", format!("{hints}KeePassXC that asks about each use => {asks}\n"));
    let mut nowhere = String::new();
    for process in ["gnome-keyring-d", "keepassxc", "kwalletd6", "oo7-daemon"] {
        for display in [Display::None, Display::Desktop] {
            let where_it_runs = if display == Display::Desktop { "desktop" } else { "no desktop" };
            nowhere +=
                &format!("{process}, {where_it_runs} => {}\n", Provider::from_process(process).no_collection(display));
        }
    }
    insta::assert_snapshot!("no_collection", nowhere);
    // On a desktop, a dialog can ask for the password.
    let hint = Provider::from_process("oo7-daemon").hint(&item, Display::Desktop, Guard::Lock).to_string();
    assert_eq!(hint, "type: secret-tool lookup service 'raxx token' account a >/dev/null");
}
