use super::*;

fn wrong(text: &str) -> String {
    match Config::parse("c.toml", text.into(), Some(Config::built_in())) {
        Err(e) => e.to_string(),
        Ok(config) => config.catalogue().expect_err("an error").to_string(),
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
    config.catalogue().unwrap();
    assert_eq!(config.timeout, Duration::from_secs(10));
}

#[test]
fn a_file_without_credentials_keeps_the_list() {
    let config = Config::parse("c.toml", "timeout = \"3s\"".into(), Some(Config::built_in())).unwrap();
    assert_eq!(config.names().count(), 4);
    assert_eq!(config.timeout, Duration::from_secs(3));
}

#[test]
fn each_mistake_is_one_line_with_its_place_and_its_mend() {
    let one = "[[credential]]\nname = \"A\"\nprovider = \"github\"\n";
    let said = wrong(&format!("{one}rotate-via = \"x\"\n"));
    assert!(said.starts_with("c.toml:4: unknown key `rotate-via`, expected one of"), "{said}");
    let said = wrong("timeout = 10\n");
    assert_eq!(said, "c.toml:1: timeout must be text in quotes, like \"10s\", \"700ms\" or \"2m\"");
    let said = wrong("[hook]\nrecheck_after = 3.5 # hours\n");
    assert_eq!(said, "c.toml:2: recheck_after must be text in quotes, like \"24h\" or \"30m\"");
    let said = wrong(&format!("{one}store = {{ service = true, account = \"a\" }}\n"));
    assert_eq!(said, "c.toml:4: service must be text in quotes");
    let said = wrong("[hook]\nwarn = \"yes\"\n");
    assert_eq!(said, "c.toml:2: warn: invalid type: string \"yes\", expected a boolean");
    let said = wrong("timeout = \"soon\"\n");
    assert_eq!(said, "c.toml:1: timeout = \"soon\" is no duration: write it like \"10s\", \"700ms\" or \"2m\"");
    let said = wrong("timeout = \"0s\"\n");
    assert_eq!(said, "c.toml:1: timeout = \"0s\" must be from 1ms to 60s");
    let said = wrong("[[credential]]\nname = \"A\"\nprovider = \"gihtub\"\n");
    assert_eq!(said, "c.toml:3: unknown provider \"gihtub\": did you mean github? (or add [provider.gihtub])");
    let said = wrong(&format!("{one}{one}"));
    assert_eq!(said, "c.toml:5: \"A\" is there twice: delete one [[credential]]");
    let said = wrong("[[credential]]\nname = \"1-A\"\nprovider = \"github\"\n");
    assert_eq!(said, "c.toml:2: \"1-A\" is no name for a variable: letters, digits and _ alone, no digit first");
    let said = wrong("[[credential]]\nname = \"PATH\"\nprovider = \"github\"\n");
    assert_eq!(said, "c.toml:2: \"PATH\" is a name that the shell itself uses: choose another");
    let said = wrong("[provider.github]\nbase_url = \"http://example.com\"\n");
    assert_eq!(
        said,
        "c.toml:2: [provider.github] base_url \"http://example.com\" must be https: tokens are sent there (http only on loopback)"
    );
    let said = wrong("[provider.github]\nbase_url = \"https://me:pw@example.com\"\n");
    assert_eq!(said, "c.toml:2: [provider.github] base_url has a user name or password in it: take them out");
    let said = wrong("timeout = \"3s\n");
    assert!(said.starts_with("c.toml:1: ") && !said.contains('\n'), "{said}");
}

#[test]
fn the_store_is_chosen_by_itself_or_by_the_file() {
    let store = |text: &str| Config::parse("c.toml", text.into(), Some(Config::built_in())).unwrap().store;
    let home = dirs::home_dir().unwrap();
    assert_eq!(store("").backend, Backend::Auto);
    assert!(store("").path.unwrap().ends_with("raxx/store.age"));
    assert_eq!(store("").identity, None);
    let chosen = store("[store]\nbackend = \"file\"\npath = \"/srv/raxx.age\"\nidentity = \"~/.config/id\"\n");
    assert_eq!(chosen.backend, Backend::File);
    assert_eq!((chosen.path, chosen.identity), (Some("/srv/raxx.age".into()), Some(home.join(".config/id"))));
}

#[test]
fn a_store_that_is_not_there_or_no_path_is_one_line_with_its_mend() {
    let said = wrong("[store]\nbackend = \"keyring\"\n");
    assert_eq!(said, "c.toml:2: unknown backend \"keyring\": there are: auto, keychain, secret-service, file");
    let said = wrong("[store]\nbackend = \"fil\"\n");
    assert_eq!(said, "c.toml:2: unknown backend \"fil\": did you mean file?");
    let said = wrong("[store]\nidentity = \"id.txt\"\n");
    assert_eq!(said, "c.toml:2: identity = \"id.txt\" is no file's path: begin it with / or ~/");
    for path in ["~", "~/", "/", "store.age", "", "/srv/"] {
        wrong(&format!("[store]\npath = \"{path}\"\n"));
    }
    #[cfg(target_os = "linux")]
    assert_eq!(
        wrong("[store]\nbackend = \"keychain\"\n"),
        "c.toml:2: linux has no backend \"keychain\": there are: auto, secret-service, file"
    );
    #[cfg(target_os = "macos")]
    assert_eq!(
        wrong("[store]\nbackend = \"secret-service\"\n"),
        "c.toml:2: macos has no backend \"secret-service\": there are: auto, keychain, file"
    );
}
