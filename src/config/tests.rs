use super::*;

fn wrong(text: &str) -> String {
    match Config::parse("c.toml", text.into(), Some(Config::built_in())) {
        Err(e) => e.to_string(),
        Ok(config) => config.catalog().expect_err("an error").to_string(),
    }
}

#[test]
fn the_built_in_configuration_is_the_runbooks() {
    let config = Config::built_in();
    let names: Vec<&str> = config.names().collect();
    assert_eq!(
        names,
        ["CLOUDFLARE_ACCESS_MGMT_TOKEN", "CF_WORKER_DEPLOY", "HEROKU_API_KEY", "GITHUB_API_SECRETS_TOKEN"]
    );
    assert_eq!(names, built_in_names());
    config.catalog().unwrap();
    assert_eq!(config.timeout, Duration::from_secs(10));
    // The built-in file is not validated at each start, so parse it as a user's file.
    Config::parse("defaults.toml", DEFAULTS.into(), Some(config)).unwrap();
}

#[test]
fn a_file_without_credentials_keeps_the_list() {
    let config = Config::parse("c.toml", "timeout = \"3s\"".into(), Some(Config::built_in())).unwrap();
    assert_eq!(config.names().count(), 4);
    assert_eq!(config.timeout, Duration::from_secs(3));
}

/// Returns every file and its error, for a snapshot. Each error is one line that names the line of the file.
fn errors<'a>(files: impl IntoIterator<Item = (&'a str, usize)>) -> String {
    let mut all = String::new();
    for (text, line) in files {
        let said = wrong(text);
        assert!(said.starts_with(&format!("c.toml:{line}: ")) && !said.contains('\n'), "{text}: {said}");
        all += &format!("{}\n=> {said}\n\n", text.trim_end());
    }
    all
}

#[test]
fn each_mistake_is_one_line_with_its_location_and_its_fix() {
    let said = errors([
        ("[[credential]]\nname = \"A\"\nprovider = \"github\"\nrotate-via = \"x\"\n", 4),
        ("timeout = 10\n", 1),
        ("[hook]\nrecheck_after = 3.5 # hours\n", 2),
        ("[[credential]]\nname = \"A\"\nprovider = \"github\"\nstore = { service = true, account = \"a\" }\n", 4),
        ("[hook]\nwarn = \"yes\"\n", 2),
        ("timeout = \"soon\"\n", 1),
        ("timeout = \"0s\"\n", 1),
        ("[[credential]]\nname = \"A\"\nprovider = \"gihtub\"\n", 3),
        (
            "[[credential]]\nname = \"A\"\nprovider = \"github\"\n\n[[credential]]\nname = \"A\"\nprovider = \"github\"\n",
            6,
        ),
        ("[[credential]]\nname = \"1-A\"\nprovider = \"github\"\n", 2),
        ("[[credential]]\nname = \"PATH\"\nprovider = \"github\"\n", 2),
        ("[provider.github]\nbase_url = \"http://example.com\"\n", 2),
        ("[provider.github]\nbase_url = \"https://me:pw@example.com\"\n", 2),
        ("timeout = \"3s\n", 1),
    ]);
    insta::assert_snapshot!("mistakes", said);
}

#[test]
fn the_store_is_automatic_or_configured() {
    let store = |text: &str| Config::parse("c.toml", text.into(), Some(Config::built_in())).unwrap().store;
    let home = dirs::home_dir().unwrap();
    assert_eq!(store("").backend, crate::store::Backend::Auto);
    assert!(store("").path.unwrap().ends_with("raxx/store.age"));
    assert_eq!(store("").identity, None);
    let chosen = store("[store]\nbackend = \"file\"\npath = \"/srv/raxx.age\"\nidentity = \"~/.config/id\"\n");
    assert_eq!(chosen.backend, crate::store::Backend::File);
    assert_eq!((chosen.path, chosen.identity), (Some("/srv/raxx.age".into()), Some(home.join(".config/id"))));
}

#[test]
fn an_unknown_backend_or_a_bad_path_is_one_line_with_its_fix() {
    let said = errors([
        ("[store]\nbackend = \"keyring\"\n", 2),
        ("[store]\nbackend = \"fil\"\n", 2),
        ("[store]\nidentity = \"id.txt\"\n", 2),
        ("[store]\npath = \"~\"\n", 2),
        ("[store]\npath = \"~/\"\n", 2),
        ("[store]\npath = \"/\"\n", 2),
        ("[store]\npath = \"store.age\"\n", 2),
        ("[store]\npath = \"\"\n", 2),
        ("[store]\npath = \"/srv/\"\n", 2),
    ]);
    insta::assert_snapshot!("mistakes_in_the_store_table", said);
    if cfg!(target_os = "macos") {
        errors([("[store]\nbackend = \"secret-service\"\n", 2)]);
    } else {
        let said = errors([("[store]\nbackend = \"keychain\"\n", 2)]);
        insta::assert_snapshot!("a_backend_of_macos_on_linux", said);
    }
}

/// The places of a configuration where a secret can be, with `@` for the secret.
const PLACES: &[&str] = &[
    "timeout = \"@\"",
    "timeout = @",
    "timeout = '@",
    "timeout = \"\"\"\n@\n\"\"\"",
    "timeout = [\"@\"]",
    "timeout = { a = \"@\" }",
    "warn_before = '@'",
    "@",
    "@ = 1",
    "\"@\" = 1",
    "@.@ = 1",
    "[@]",
    "[[@]]",
    "[@]\n[@]",
    "[a.@]",
    "a = 1\n@ = 1\n@ = 1",
    "credential = \"@\"",
    "credential = [\"@\"]",
    "[[credential]]\nname = \"@\"\nprovider = \"github\"",
    "[[credential]]\nname = @\nprovider = \"github\"",
    "[[credential]]\nname = [\"@\"]\nprovider = \"github\"",
    "[[credential]]\nname = \"x-@\"\nprovider = \"github\"",
    "[[credential]]\nname = \"@\"\nprovider = \"github\"\n[[credential]]\nname = \"@\"\nprovider = \"github\"",
    "[[credential]]\nname = \"A\"\nprovider = \"@\"",
    "[[credential]]\nname = \"A\"\nprovider = @",
    "[[credential]]\nname = \"A\"\nprovider = \"github\"\n@ = \"x\"",
    "[[credential]]\nname = \"A\"\nprovider = \"github\"\nvalue = \"@\"",
    "[[credential]]\nname = \"A\"\nprovider = \"github\"\nstore = \"@\"",
    "[[credential]]\nname = \"A\"\nprovider = \"github\"\nstore = { service = \"@\", account = \"a\" }",
    "[[credential]]\nname = \"A\"\nprovider = \"github\"\nstore = { service = \"a\", account = \"a\", @ = 1 }",
    "[[credential]]\nname = \"A\"\nprovider = \"github\"\nrotate_via = \"@\"",
    "[[credential]]\nname = \"A\"\nprovider = \"github\"\nrotate_via = [\"@\"]",
    "[[credential]]\nname = \"A\"\nprovider = \"github\"\nscope = \"@\"",
    "[[credential]]\nname = \"A\"\nprovider = \"github\"\naccount_id = \"@!\"",
    "[[credential]]\nname = \"A\"\nprovider = \"github\"\nwarn_before = \"@\"",
    "[hook]\nwarn = \"@\"",
    "[hook]\n@ = true",
    "[hook]\nrecheck_after = \"@\"",
    "[store]\nbackend = \"@\"",
    "[store]\npath = \"@\"",
    "[store]\nidentity = \"/a/@\"",
    "[store]\nidentity = \"~/@/\"",
    "[vault]\n@ = 1",
    "[vault.infisical]\nclient_secret = \"@\"",
    "[vault.infisical]\nbase_url = \"@\"",
    "[vault.infisical]\nbase_url = \"https://u:@@x.y\"",
    "[alert]\nrepeat = \"@\"",
    "[alert.slack]\nchannel = \"@\"",
    "[alert.slack]\nchannel = \"@ x\"",
    "[alert.slack]\nbot_token = \"@\"",
    "[alert.slack]\nwebhook = \"@\"",
    "[alert.slack]\nwebhook = \"https://hooks.slack.com/services/T0/B0/@\"",
    "[alert.slack]\nbase_url = \"http://hooks.slack.com/services/T0/B0/@\"",
    "[alert.command]\nrun = \"@\"",
    "[alert.command]\nrun = [\"bin/@\"]",
    "[alert.command]\nrun = [5, \"@\"]",
    "[alert.prometheus]\nfile = \"@\"",
    "[provider.@]\npath = \"/\"",
    "[provider.github]\nbase_url = \"https://me:@@api.github.com\"",
    "[provider.github]\nbase_url = \"https://api.github.com/?t=@\"",
    "[provider.github]\nbase_url = \"https://api.github.com/#@\"",
    "[provider.github]\nbase_url = \"http://x.y/@\"",
    "[provider.github]\nbase_url = \"@\"",
    "[provider.github]\npath = \"@\"",
    "[provider.github]\nexpires = \"@\"",
    "[provider.github]\nidentity = \"@\"",
    "[provider.github]\nauth = \"@\"",
    "[provider.github]\nauth = { header = \"@ x\" }",
    "[provider.github]\nauth = { header = \"x\", prefix = \"@\\n\" }",
    "[provider.github]\nheaders = { \"@ x\" = \"a\" }",
    "[provider.github]\nheaders = { x = \"@\\n\" }",
    "[provider.github]\nheaders = { @ = 1 }",
    "[provider.github]\nheaders = [\"@\"]",
    "[provider.github]\nlist_expiry = \"@\"",
    "[[provider.github.probe]]\nname = \"a\"\npath = \"/\"\nmethod = \"@\"",
    "[[provider.github.probe]]\nname = \"a\"\npath = \"@\"",
    "[[provider.github.rule]]\nkind = \"@\"",
    "[[provider.github.rule]]\nstatus = \"@\"\nkind = \"blocked\"",
    "[[provider.github.rule]]\nstatus = 200\nkind = \"blocked\"\nthen = \"@\"",
    "[[provider.github.rule]]\nstatus = 200\nkind = \"blocked\"\nprobe = \"@\"",
    "[[provider.github.rule]]\nstatus = 200\nkind = \"blocked\"\njson = { \"@\" = 1 }",
    "[vault.infisical]\nrotate_via = \"@\"",
    "[[credential]]\nname = \"A\"\nprovider = \"github\"\nrotate_via = \"https://me:@@wiki.example\"",
];

#[test]
fn errors_never_repeat_a_possible_secret() {
    for secret in [
        "ghp_MadeUp0123456789abcdefABCDEFxyzQ",
        "Tr0ub4dor&3",
        "xoxb-123456789012-MadeUpMadeUp",
        "hunter2",
        "sehrgeheimespasswort",
    ] {
        for place in PLACES {
            let text = place.replace('@', secret);
            let errors = match Config::parse("c.toml", text.clone(), Some(Config::built_in())) {
                Err(e) => vec![e.to_string()],
                Ok(config) => config.catalog().err().into_iter().map(|e| e.to_string()).collect(),
            };
            for said in errors {
                let part = &secret[..secret.len().min(9)];
                assert!(!said.to_lowercase().contains(&part.to_lowercase()), "{place}: {said}");
                assert!(said.starts_with("c.toml:") && !said.contains('\n'), "{place}: {said}");
            }
        }
    }
}

#[test]
fn a_token_in_any_place_is_an_error_or_is_never_printed() {
    for place in PLACES {
        let text = place.replace('@', "ghp_MadeUp0123456789abcdefABCDEFxyzQ");
        let said = wrong(&text);
        assert!(!said.contains("MadeUp"), "{place}: {said}");
    }
}

#[test]
fn two_credentials_cannot_share_a_store_item() {
    let one = |name: &str, item: &str| {
        format!("[[credential]]\nname = \"{name}\"\nprovider = \"github\"\nstore = {{ {item} }}\n")
    };
    let same = "service = \"s\", account = \"a\"";
    let turned = "account = 'a', service = 's'";
    // The credentials for sending alerts have items that the file does not name.
    let bot_token = one("A", "service = \"raxx-slack-bot-token\", account = \"raxx\"");
    let hook = "[alert.slack]\nwebhook = \"OPS_HOOK\"\n";
    let webhook = one("A", "service = \"raxx-ops-hook\", account = \"raxx\"") + hook;
    let said = errors([
        ((one("A", same) + &one("B", turned)).as_str(), 8),
        (&webhook, 6),
        ("[alert.slack]\nwebhook = \"HEROKU_API_KEY_\"\nwebhook = 1\n", 3),
        ("[alert.slack]\nwebhook = \"CF_ACCESS_MGMT_TOKEN\"\n", 2),
    ]);
    let of_alerts = wrong(&bot_token);
    assert!(of_alerts.contains("SLACK_BOT_TOKEN") && of_alerts.contains("A (line 4)"), "{of_alerts}");
    insta::assert_snapshot!("two_names_for_one_item", format!("{said}{bot_token}=> {of_alerts}\n"));
    for (a, b) in [
        ("service = \"s\", account = \"a\"", "service = \"s\", account = \"b\""),
        ("service = \"sa\", account = \"b\"", "service = \"s\", account = \"ab\""),
    ] {
        Config::parse("c.toml", one("A", a) + &one("B", b), Some(Config::built_in())).unwrap();
    }
}

#[test]
fn the_built_in_channel_belongs_to_the_built_in_list_only() {
    let slack = |text: &str| Config::parse("c.toml", text.into(), Some(Config::built_in())).unwrap().alert.slack;
    let own = "[[credential]]\nname = \"A\"\nprovider = \"github\"\n";
    assert!(slack("timeout = \"3s\"\n").enabled);
    let silent = slack(own);
    assert_eq!((silent.channel, silent.enabled), (None, false));
    assert_eq!(silent.bot_token.store.unwrap().account, "raxx");
    let named = slack(&format!("{own}[alert.slack]\nchannel = \"#ops\"\n"));
    assert_eq!((named.channel.as_deref(), named.enabled), (Some("#ops"), true));
    assert!(slack(&format!("{own}[alert.slack]\nwebhook = \"OPS_HOOK\"\n")).enabled);
}
