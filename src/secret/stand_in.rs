//! Values that stand for a token and are none: references that nothing has resolved, and placeholders.

/// What a value is instead of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StandIn {
    /// `op://Private/GitHub/token`, `vault:secret/data/x#y`: the address of a value in a secret manager.
    Reference(&'static str),
    /// `${NAME}`, `%NAME%`, `{{ name }}`: a template's variable.
    Variable,
    /// `$(op read …)`, `op read …`: a command that prints the value.
    Command,
    /// `ENC[…]`, `encrypted:…`: a value that is still encrypted.
    Encrypted,
    /// `<your-token>`, `changeme`, `ghp_xxxxxxxx`.
    Placeholder,
    /// `ghp_…cdef`, `****`, `[REDACTED]`: the form that a program shows in place of a value.
    Masked,
}

/// How references begin, in lower case, and whose they are. Databases' and webhooks' own schemes are not among them.
const REFERENCES: &[(&str, &str)] = &[
    ("op://", "not a token: an unresolved 1Password reference (op://…)"),
    ("vault:", "not a token: an unresolved Vault reference (vault:…)"),
    ("hcvault://", "not a token: an unresolved Vault reference (hcvault://…)"),
    ("ref+", "not a token: an unresolved vals reference (ref+…)"),
    ("secretref+", "not a token: an unresolved vals reference (secretref+…)"),
    ("keyring:", "not a token: an unresolved keyring reference (keyring:…)"),
    ("keychain:", "not a token: an unresolved Keychain reference (keychain:…)"),
    ("secret://", "not a token: an unresolved reference (secret://…)"),
    ("secrets://", "not a token: an unresolved reference (secrets://…)"),
    ("doppler://", "not a token: an unresolved Doppler reference (doppler://…)"),
    ("bws://", "not a token: an unresolved Bitwarden reference (bws://…)"),
    ("bw://", "not a token: an unresolved Bitwarden reference (bw://…)"),
    ("bitwarden://", "not a token: an unresolved Bitwarden reference (bitwarden://…)"),
    ("infisical://", "not a token: an unresolved Infisical reference (infisical://…)"),
    ("akeyless://", "not a token: an unresolved Akeyless reference (akeyless://…)"),
    ("keeper://", "not a token: an unresolved Keeper reference (keeper://…)"),
    ("lastpass://", "not a token: an unresolved LastPass reference (lastpass://…)"),
    ("dashlane://", "not a token: an unresolved Dashlane reference (dashlane://…)"),
    ("dl://", "not a token: an unresolved Dashlane reference (dl://…)"),
    ("protonpass://", "not a token: an unresolved Proton Pass reference (protonpass://…)"),
    ("pass://", "not a token: an unresolved Proton Pass reference (pass://…)"),
    ("gopass://", "not a token: an unresolved gopass reference (gopass://…)"),
    ("keepassxc://", "not a token: an unresolved KeePassXC reference (keepassxc://…)"),
    ("sops://", "not a token: an unresolved SOPS reference (sops://…)"),
    ("awssm://", "not a token: an unresolved AWS reference (awssm://…)"),
    ("aws-sm://", "not a token: an unresolved AWS reference (aws-sm://…)"),
    ("awssecretsmanager://", "not a token: an unresolved AWS reference (awssecretsmanager://…)"),
    ("awsssm://", "not a token: an unresolved AWS reference (awsssm://…)"),
    ("ssm://", "not a token: an unresolved AWS reference (ssm://…)"),
    ("arn:aws", "not a token: the name of an AWS resource (arn:aws…)"),
    ("gcpsm://", "not a token: an unresolved Google Cloud reference (gcpsm://…)"),
    ("gsm://", "not a token: an unresolved Google Cloud reference (gsm://…)"),
    ("azkv://", "not a token: an unresolved Azure reference (azkv://…)"),
    ("akv://", "not a token: an unresolved Azure reference (akv://…)"),
    ("@microsoft.keyvault(", "not a token: an unresolved Azure reference (@Microsoft.KeyVault(…))"),
    ("env://", "not a token: an unresolved reference to a variable (env://…)"),
    ("process.env.", "not a token: the name of a variable (process.env.…)"),
    ("$env:", "not a token: the name of a variable ($env:…)"),
];

/// Programs that print a value, with the words that follow.
const COMMANDS: &[&str] = &[
    "op read ",
    "op item ",
    "op run ",
    "vault kv ",
    "vault read ",
    "doppler secrets ",
    "doppler run ",
    "infisical secrets ",
    "infisical run ",
    "bws secret ",
    "bw get ",
    "pass show ",
    "gopass show ",
    "security find-",
    "secret-tool lookup ",
    "aws secretsmanager ",
    "aws ssm ",
    "gcloud secrets ",
    "gh auth token",
    "az keyvault ",
    "sops -d ",
    "sops decrypt ",
];

/// Whole values that nobody's token is, in lower case.
const WORDS: &[&str] = &[
    "changeme",
    "changeit",
    "placeholder",
    "todo",
    "fixme",
    "tbd",
    "null",
    "(null)",
    "undefined",
    "none",
    "nil",
    "nan",
    "n/a",
    "dummy",
    "[object object]",
];

impl StandIn {
    /// What this value is, where it is no token.
    pub fn of(value: &str) -> Option<StandIn> {
        let lower = zeroize::Zeroizing::new(value.to_ascii_lowercase());
        if let Some((_, words)) = REFERENCES.iter().find(|(start, _)| lower.starts_with(start)) {
            return Some(StandIn::Reference(words));
        }
        if lower.starts_with("env:") && is_variable(&value["env:".len()..]) {
            return Some(StandIn::Reference("not a token: an unresolved reference to a variable (env:…)"));
        }
        if lower.starts_with("projects/") && lower.contains("/secrets/") {
            return Some(StandIn::Reference("not a token: the name of a Google Cloud secret (projects/…/secrets/…)"));
        }
        let between = |start: &str, end: &str| value.strip_prefix(start).and_then(|rest| rest.strip_suffix(end));
        if between("$(", ")").or(between("`", "`")).is_some() || COMMANDS.iter().any(|start| lower.starts_with(start)) {
            return Some(StandIn::Command);
        }
        if lower.starts_with("enc[") || lower.starts_with("encrypted:") || lower.starts_with("-----begin age encrypted")
        {
            return Some(StandIn::Encrypted);
        }
        // `ghp_${SUFFIX}` is a template; a passphrase with spaces that happens to hold `${x}` is not.
        let token = value.strip_prefix("Bearer ").unwrap_or(value);
        let in_braces = |start: &str, end: &str| {
            let cut = token.split_once(start).and_then(|(before, rest)| Some((before, rest.split_once(end)?.1)));
            cut.is_some_and(|(before, after)| before.bytes().chain(after.bytes()).all(|b| b.is_ascii_graphic()))
        };
        let named = between("%", "%").or(between("@@", "@@")).is_some_and(is_variable);
        if in_braces("${", "}") || in_braces("{{", "}}") || in_braces("((", "))") || in_braces("#{", "}") || named {
            return Some(StandIn::Variable);
        }
        if value.strip_prefix('$').is_some_and(|name| is_variable(name) && has_one_case(name)) {
            return Some(StandIn::Variable);
        }
        if is_masked(value, &lower) {
            return Some(StandIn::Masked);
        }
        is_placeholder(value, &lower).then_some(StandIn::Placeholder)
    }

    /// The words of the report.
    pub fn words(self) -> &'static str {
        match self {
            StandIn::Reference(words) => words,
            StandIn::Variable => "not a token: an unresolved variable, as in ${NAME}",
            StandIn::Command => "not a token: a command that was not run, as in $(op read …)",
            StandIn::Encrypted => "not a token: a value that is still encrypted",
            StandIn::Placeholder => "not a token: a placeholder, as in YOUR_KEY",
            StandIn::Masked => "not a token: a shortened or masked form of one",
        }
    }

    /// What to do about it.
    pub fn hint(self) -> &'static str {
        match self {
            StandIn::Reference(_) => {
                "nothing resolved it: start this shell through the secret manager (as in op run), or store the value itself"
            }
            StandIn::Variable => "the program that set it expands no variables: set the value itself",
            StandIn::Command => "the program that set it runs no commands: set the value itself",
            StandIn::Encrypted => "decrypt it before it is set, or store the value itself",
            StandIn::Placeholder | StandIn::Masked => "set the token itself in its place",
        }
    }
}

fn is_variable(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// A variable's name is in capitals, or small letters alone; some providers' tokens begin with a dollar sign and mix more.
fn has_one_case(name: &str) -> bool {
    let any = |is: fn(&u8) -> bool| name.as_bytes().iter().any(is);
    name.len() <= 64 && (!any(u8::is_ascii_lowercase) || !(any(u8::is_ascii_uppercase) || any(u8::is_ascii_digit)))
}

/// A value as programs show it: `****`, `ghp_…cdef`, `sk-...`, `[REDACTED]`.
fn is_masked(value: &str, lower: &str) -> bool {
    let word = lower.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    value.contains("...")
        || value.contains(['…', '•', '●'])
        || value.contains("****")
        || matches!(word, "redacted" | "masked")
}

fn is_placeholder(value: &str, lower: &str) -> bool {
    if WORDS.contains(&lower) || lower.contains("xxxxxxxx") {
        return true;
    }
    // `xxx`, `---`, `***`: one character over and over.
    let mut characters = lower.chars();
    if let Some(first) = characters.next()
        && matches!(first, 'x' | '*' | '-' | '_' | '.' | '?')
        && characters.all(|c| c == first)
    {
        return true;
    }
    let plain = |text: &str| text.chars().all(|c| c.is_ascii_alphabetic() || matches!(c, ' ' | '_' | '-' | '.' | '/'));
    let brackets = [('<', '>'), ('[', ']'), ('{', '}')];
    let inside = |(start, end): &(char, char)| value.strip_prefix(*start).and_then(|rest| rest.strip_suffix(*end));
    if brackets.iter().find_map(inside).is_some_and(plain) {
        return true;
    }
    // `YOUR_KEY`, `sk-your-key-here`, `insert token here`, `change-me`: words alone, and one of these among them.
    let words: Vec<&str> = lower.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let has = |word: &str| words.contains(&word);
    plain(value)
        && (has("your")
            || lower.starts_with("yourtoken")
            || lower.starts_with("yourapi")
            || lower.starts_with("yoursecret")
            || lower.starts_with("yourkey")
            || (has("change") && has("me"))
            || (has("replace") && (has("me") || has("with") || has("this")))
            || (["insert", "enter", "paste", "put", "add", "token", "key"].into_iter().any(has) && has("here"))
            || has("placeholder"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_for_a_token_is_told_from_one() {
        for reference in [
            "op://Private/GitHub/token",
            "OP://vault/item/field?attribute=otp",
            "vault:secret/data/heroku#token",
            "vault://secret/data/heroku",
            "ref+awsssm://path/to/key",
            "ref+op://vault/item#/field",
            "keyring://service/name",
            "keyring:service:name",
            "secret://team/github",
            "doppler://project/config/NAME",
            "bws://01234567-89ab-cdef-0123-456789abcdef",
            "infisical://prod/GITHUB_TOKEN",
            "awssm://name",
            "arn:aws:secretsmanager:eu-west-1:123456789012:secret:name-AbCdEf",
            "projects/123/secrets/github/versions/latest",
            "@Microsoft.KeyVault(SecretUri=https://x.vault.azure.net/secrets/y)",
            "env:GITHUB_TOKEN",
            "env://GITHUB_TOKEN",
            "$env:GITHUB_TOKEN",
            "process.env.GITHUB_TOKEN",
        ] {
            assert!(matches!(StandIn::of(reference), Some(StandIn::Reference(_))), "{reference}");
        }
        for (kind, values) in [
            (
                StandIn::Variable,
                &[
                    "${GITHUB_TOKEN}",
                    "${GITHUB_TOKEN:-}",
                    "$GITHUB_TOKEN",
                    "$github_token",
                    "Bearer ${TOKEN}",
                    "%GITHUB_TOKEN%",
                    "{{ github_token }}",
                    "{{op://a/b/c}}",
                    "${{ secrets.GITHUB_TOKEN }}",
                    "((github-token))",
                    "#{Token}",
                    "@@TOKEN@@",
                ][..],
            ),
            (
                StandIn::Command,
                &[
                    "$(op read op://a/b/c)",
                    "`pass show github`",
                    "op read op://a/b/c",
                    "gh auth token",
                    "vault kv get -field=x y",
                ],
            ),
            (
                StandIn::Encrypted,
                &["ENC[AES256_GCM,data:x,iv:y,tag:z,type:str]", "encrypted:BDqDBibm4wsYqMpCjTQ6BsDHmMadg9K3"],
            ),
            (
                StandIn::Placeholder,
                &[
                    "YOUR_KEY",
                    "your-token-here",
                    "yourtoken",
                    "YOUR_API_KEY_HERE",
                    "sk-your-key-here",
                    "ghp_your_token",
                    "changeme",
                    "CHANGE_ME",
                    "change-me",
                    "<your-token>",
                    "<TOKEN>",
                    "<paste here>",
                    "[token]",
                    "{token}",
                    "xxxx",
                    "XXXXXXXX",
                    "xxx",
                    "ghp_xxxxxxxxxxxxxxxxxxxx",
                    "insert-token-here",
                    "replace_with_real_key",
                    "TODO",
                    "null",
                    "undefined",
                    "None",
                    "placeholder",
                    "my_placeholder",
                ],
            ),
            (
                StandIn::Masked,
                &[
                    "****",
                    "********",
                    "ghp_…cdef",
                    "sk-...",
                    "ghp_****",
                    "[REDACTED]",
                    "(redacted)",
                    "••••••••",
                    "(redacted ghp_…cdef)",
                ],
            ),
        ] {
            for value in values {
                assert_eq!(StandIn::of(value), Some(kind), "{value}");
            }
        }
    }

    /// How the tokens of providers begin, and values of other shapes that are in use.
    const BEGINNINGS: &[&str] = &[
        "",
        "sk-proj-",
        "sk-svcacct-",
        "sk-admin-",
        "sk-",
        "sk-ant-api03-",
        "sk-ant-oat01-",
        "ghp_",
        "github_pat_",
        "gho_",
        "ghu_",
        "ghs_123456_",
        "AKIA",
        "ASIA",
        "AIza",
        "npm_",
        "cfut_",
        "cfat_",
        "cfk_",
        "cfast_",
        "vcp_",
        "eyJhbGciOiJIUzI1NiJ9.",
        "sb_secret_",
        "sk_live_",
        "sk_test_",
        "rk_live_",
        "hf_",
        "sk-or-v1-",
        "glpat-",
        "glrt-",
        "xoxb-",
        "xoxp-",
        "xapp-1-",
        "gsk_",
        "sntrys_",
        "sntryu_",
        "dop_v1_",
        "doo_v1_",
        "dckr_pat_",
        "SG.",
        "re_",
        "lin_api_",
        "ntn_",
        "secret_",
        "ATATT3",
        "sbp_",
        "nfp_",
        "xai-",
        "pplx-",
        "sk_",
        "r8_",
        "tvly-",
        "HRKU-",
        "FlyV1 fm2_",
        "fo1_",
        "rnd_",
        "napi_",
        "pypi-AgEIcHlwaS5vcmc",
        "cio",
        "1234567:",
        "CCIPAT_",
        "sqp_",
        "hvs.",
        "hvb.",
        "s.",
        "dp.pt.",
        "dp.st.",
        "pat",
        "figd_",
        "pat-na1-",
        "phx_",
        "key-",
        "shpat_",
        "00",
        "NRAK-",
        "glsa_",
        "u+",
        "y_",
        "bkua_",
        "dapi",
        "tskey-api-",
        "xkeysib-",
        "1/",
        "2/",
        "pk_",
        "ATTA",
        "dG9r",
        "tgp_v1_",
        "fw_",
        "csk-",
        "fc-",
        "BSA",
        "pcsk_",
        "sk-lf-",
        "lsv2_pt_",
        "wandb_v1_",
        "pscale_tkn_",
        "api-",
        "hcaik_",
        "rubygems_",
        "apify_api_",
        "nvapi-",
        "crsr_",
        "pa-",
        "rpa_",
        "pul-",
        "AKCp",
        "ops_eyJ",
        "0.01234567-89ab-cdef-0123-456789abcdef.",
        "ya29.",
        "KGAT_",
        "st.",
        "ddapp_",
        "glc_",
        "xaat-",
        "sgp_",
        "dt0c01.",
        "tfp_",
        "sl.",
        "oauth:",
        "BQ",
        "00D5e000000",
        "KEY",
        "EAAA",
        "pdl_live_apikey_",
        "polar_oat_",
        "dnsimple_u_",
        "sk1_",
        "CFPAT-",
        "pk.",
        "PMAK-",
        "$aact_prod_",
        "AGE-SECRET-KEY-1",
        "postgres://user:",
        "redis://default:",
        "mongodb+srv://u:",
        "mysql://u:",
        "cloudinary://123:",
        "https://hooks.slack.com/services/",
        "https://key@o1.ingest.sentry.io/",
        "{\"type\":\"service_account\",\"private_key\":\"",
    ];

    #[test]
    fn a_passphrase_that_holds_the_signs_of_a_template_is_a_value() {
        for value in ["correct ${horse} battery staple", "ü€ ${x:=y} 0123456789", "a {{b}} c", "two $(words) `here` 1"]
        {
            assert_eq!(StandIn::of(value), None, "{value}");
        }
        for value in ["ghp_${SUFFIX}", "${A:-b}", "Bearer_{{ token }}"] {
            assert_eq!(StandIn::of(value), Some(StandIn::Variable), "{value}");
        }
    }

    #[test]
    fn no_token_of_a_provider_is_taken_for_a_stand_in() {
        let alphabets = [
            "0123456789abcdef",
            "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567",
            "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789",
            "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_",
            "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/=.",
        ];
        // A fixed sequence, so that a failure is found again.
        let mut seed = 0x2545_f491_4f6c_dd1d_u64;
        let mut next = |below: usize| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            (seed % below as u64) as usize
        };
        for beginning in BEGINNINGS {
            for alphabet in alphabets.map(str::as_bytes) {
                for length in [16, 20, 32, 36, 40, 64, 90] {
                    for _ in 0..8 {
                        let body: String = (0..length).map(|_| alphabet[next(alphabet.len())] as char).collect();
                        let token = format!("{beginning}{}", body.replace("...", "."));
                        assert_eq!(StandIn::of(&token), None, "{token}");
                    }
                }
            }
        }
        for token in [
            "01234567-89ab-cdef-0123-456789abcdef",
            "HRKU-01234567-89ab-cdef-0123-456789abcdef",
            "eyJhbGciOiJkaXIifQ..MTIzNDU2Nzg5.Y2lwaGVy.dGFn",
            "postgres://user:p$ss(1)@db.example.test:5432/name?sslmode=require",
            "$2b$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy",
            "correct-horse-battery-staple",
            "hunter2hunter2hunter2",
        ] {
            assert_eq!(StandIn::of(token), None, "{token}");
        }
    }
}
