//! Text that is set in place of a token: unresolved references, placeholders, and the like.

/// What a value is instead of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StandIn {
    /// `op://Private/GitHub/token`, `vault:secret/data/x#y`: a reference to a value in a secret manager.
    Reference(&'static str),
    /// `${NAME}`, `%NAME%`, `{{ name }}`: a template variable.
    Variable,
    /// `$(op read …)`, `op read …`: a command that prints the value.
    Command,
    /// `ENC[…]`, `encrypted:…`: a value that is still encrypted.
    Encrypted,
    /// `<your-token>`, `changeme`, `ghp_xxxxxxxx`.
    Placeholder,
    /// `ghp_…cdef`, `****`, `[REDACTED]`: a form that programs show instead of a value.
    Masked,
}

/// Prefixes, in lower case, that only references have; and the message for each.
const REFERENCES: &[(&str, &str)] = &[
    ("op://", "not a token: an unresolved 1Password reference (op://…)"),
    ("vault:", "not a token: an unresolved Vault reference (vault:…)"),
    ("ref+", "not a token: an unresolved vals reference (ref+…)"),
    ("secretref+", "not a token: an unresolved vals reference (secretref+…)"),
    ("secretref:", "not a token: an unresolved reference to a secret (secretref:…)"),
    ("keyring:", "not a token: an unresolved keyring reference (keyring:…)"),
    ("keychain:", "not a token: an unresolved Keychain reference (keychain:…)"),
    ("arn:aws", "not a token: the name of an AWS resource (arn:aws…)"),
    ("@microsoft.keyvault(", "not a token: an unresolved Azure reference (@Microsoft.KeyVault(…))"),
    ("/run/secrets/", "not a token: a file path (/run/secrets/…)"),
    ("/var/run/secrets/", "not a token: a file path (/var/run/secrets/…)"),
    ("process.env", "not a token: a variable name (process.env…)"),
    ("import.meta.env", "not a token: a variable name (import.meta.env…)"),
    ("os.environ", "not a token: a variable name (os.environ…)"),
    ("os.getenv(", "not a token: a variable name (os.getenv(…))"),
    ("system.getenv(", "not a token: a variable name (System.getenv(…))"),
    ("getenv(", "not a token: a variable name (getenv(…))"),
    ("env(", "not a token: a variable name (env(…))"),
    ("env[", "not a token: a variable name (ENV[…])"),
    ("env.fetch(", "not a token: a variable name (ENV.fetch(…))"),
    ("$env:", "not a token: a variable name ($env:…)"),
    ("$env{", "not a token: a variable name ($ENV{…})"),
];

/// The schemes of references, either whole or as a part between `+`, `-` and `.`: secret managers, and files, variables and
/// programs that a value is read from. Schemes of databases and webhooks are not listed: such a URL can be the secret.
const SCHEMES: &[&str] = &[
    "op",
    "bw",
    "bws",
    "rbw",
    "dl",
    "kv",
    "kms",
    "ksm",
    "ssm",
    "awsssm",
    "awssm",
    "awskms",
    "sm",
    "gsm",
    "gcpsm",
    "gcp",
    "akv",
    "azkv",
    "sops",
    "age",
    "env",
    "file",
    "exec",
    "cmd",
    "k8s",
    "teller",
    "chamber",
    "berglas",
    "phase",
    "bao",
    "openbao",
    "doppler",
    "infisical",
    "akeyless",
    "conjur",
    "cyberark",
    "delinea",
    "dashlane",
    "keeper",
    "kdbx",
    "libsecret",
    "credential",
    "credentials",
    "credstore",
    "bitwarden",
    "onepassword",
    "1password",
    "pulumi",
    "aws",
];

/// Words that mark a scheme as a reference wherever they occur in it.
const IN_SCHEMES: &[&str] = &["secret", "vault", "pass", "keyring", "keychain"];

/// Commands that print a value, up to their first arguments.
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
    "op inject ",
    "op --",
    "bao kv ",
    "bao read ",
    "lpass show ",
    "rbw get ",
    "keepassxc-cli ",
    "akeyless get",
    "chamber read ",
    "conjur variable ",
    "dcli read ",
    "keeper get ",
    "vals eval ",
    "vals get ",
    "gcloud auth ",
    "az account ",
    "aws sts ",
    "aws kms ",
    "heroku auth:token",
    "kubectl get ",
    "pulumi config ",
    "cat /",
    "cat ~",
    "cat \"",
    "cat $",
    "echo $",
    "printenv ",
];

/// Values, in lower case, that are never a token.
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
    "unset",
    "notset",
    "not-set",
    "not_set",
    "setme",
    "fillme",
    "[object object]",
    "%!s(<nil>)",
];

/// Text that occurs in placeholders and is too long to occur in a token by chance.
const IN_PLACEHOLDERS: &[&str] = &[
    "xxxxxxxx",
    "your_token",
    "your-token",
    "yourtoken",
    "your_api",
    "your-api",
    "yourapi",
    "your_key",
    "your-key",
    "yourkey",
    "your_secret",
    "your-secret",
    "yoursecret",
    "changeme",
    "change_me",
    "change-me",
    "replaceme",
    "replace_me",
    "replace-me",
];

/// The last words of variable names that a token is kept in.
const NAMES: [&str; 5] = ["token", "key", "secret", "password", "pat"];

impl StandIn {
    /// Returns what this value is, if it is not a token.
    pub(crate) fn of(value: &str) -> Option<StandIn> {
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
        if let Some(scheme) = scheme(value, &lower) {
            let what = match scheme {
                "file" => "not a token: a file URL (file:…)",
                "op" | "onepassword" | "1password" => "not a token: an unresolved 1Password reference",
                _ => "not a token: an unresolved reference to a secret manager",
            };
            return Some(StandIn::Reference(what));
        }
        if lower.starts_with("https://") && lower.contains(".vault.azure.net/secrets/") {
            return Some(StandIn::Reference("not a token: the URL of an Azure secret (https://….vault.azure.net/…)"));
        }
        if is_tag(value) {
            return Some(StandIn::Reference("not a token: an unresolved YAML tag such as !secret NAME"));
        }
        let between = |start: &str, end: &str| value.strip_prefix(start).and_then(|rest| rest.strip_suffix(end));
        if between("$(", ")").or(between("`", "`")).is_some() || COMMANDS.iter().any(|start| lower.starts_with(start)) {
            return Some(StandIn::Command);
        }
        let encrypted = [
            "enc[",
            "enc(",
            "encrypted:",
            "{cipher}",
            "$ansible_vault;",
            "-----begin age encrypted",
            "-----begin pgp message",
        ];
        if encrypted.iter().any(|start| lower.starts_with(start)) {
            return Some(StandIn::Encrypted);
        }
        // `ghp_${SUFFIX}` is a template; a passphrase with spaces that happens to contain `${x}` is not.
        let token = value.strip_prefix("Bearer ").unwrap_or(value);
        let in_braces = |start: &str, end: &str| {
            let cut = token.split_once(start).and_then(|(before, rest)| Some((before, rest.split_once(end)?.1)));
            cut.is_some_and(|(before, after)| before.bytes().chain(after.bytes()).all(|b| b.is_ascii_graphic()))
        };
        let named = between("%", "%").or(between("@@", "@@")).is_some_and(is_variable);
        let quoted = |mark: &str| between(mark, mark).is_some_and(|name| is_variable(name) && has_one_case(name));
        if [("${", "}"), ("{{", "}}"), ("((", "))"), ("#{", "}"), ("%{", "}"), ("%(", ")s")]
            .iter()
            .any(|(start, end)| in_braces(start, end))
            || named
            || ["__", "@", "#", "~"].into_iter().any(quoted)
            || between("%env(", ")%").is_some()
        {
            return Some(StandIn::Variable);
        }
        // `{env:NAME}`, `{vault://…}`; a JSON object has quotes and can be a secret.
        if between("{", "}").is_some_and(|inside| inside.contains([':', '$', '.']) && !inside.contains('"')) {
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

    /// Returns the text of the report line.
    pub(crate) fn words(self) -> &'static str {
        match self {
            StandIn::Reference(words) => words,
            StandIn::Variable => "not a token: an unresolved variable such as ${NAME}",
            StandIn::Command => "not a token: a command that was not run, such as $(op read …)",
            StandIn::Encrypted => "not a token: a value that is still encrypted",
            StandIn::Placeholder => "not a token: a placeholder such as YOUR_KEY",
            StandIn::Masked => "not a token: a token that was shortened or masked",
        }
    }

    /// Returns what to do about it.
    pub(crate) fn hint(self) -> &'static str {
        match self {
            StandIn::Reference(_) => {
                "nothing resolved it: start this shell through the secret manager (for example with op run), or store the value itself"
            }
            StandIn::Variable => "the program that set it does not expand variables: set the value itself",
            StandIn::Command => "the program that set it does not run commands: set the value itself",
            StandIn::Encrypted => "decrypt it before you set it, or store the value itself",
            StandIn::Placeholder | StandIn::Masked => "replace it with the token",
        }
    }
}

fn is_variable(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// Variable names are all capitals or all lower case; tokens that start with a dollar sign mix cases and digits.
fn has_one_case(name: &str) -> bool {
    let any = |is: fn(&u8) -> bool| name.as_bytes().iter().any(is);
    name.len() <= 64 && (!any(u8::is_ascii_lowercase) || !(any(u8::is_ascii_uppercase) || any(u8::is_ascii_digit)))
}

/// Returns whether it is a value as programs show it: `****`, `ghp_…cdef`, `sk-...`, `[REDACTED]`.
fn is_masked(value: &str, lower: &str) -> bool {
    let word = lower.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    value.contains("...")
        || value.contains(['…', '•', '●'])
        || value.contains("***")
        || matches!(word, "redacted" | "masked" | "hidden" | "sensitive" | "sensitive value" | "removed")
}

/// Returns the scheme of a reference: `bws://…`, or `pass:github/token` if the part after the colon does not look random.
fn scheme<'a>(value: &str, lower: &'a str) -> Option<&'a str> {
    let (scheme, path) = lower.split_once(':')?;
    let has = |is: fn(&u8) -> bool| value.as_bytes()[scheme.len()..].iter().any(is);
    let mixed = has(u8::is_ascii_digit) && has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase);
    let is_path = path.starts_with("//") || path.contains('/') && !path.contains(['@', '+', '=']) && !mixed;
    let known = |part: &str| SCHEMES.contains(&part) || IN_SCHEMES.iter().any(|word| part.contains(word));
    let is_scheme = scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-._".contains(&b));
    (is_path && is_scheme && scheme.split(['+', '-', '.', '_']).any(known)).then_some(scheme)
}

/// Returns whether it is a YAML tag: `!secret NAME`, `!vault |`, `!reference [a, b]`.
fn is_tag(value: &str) -> bool {
    let tag = value.strip_prefix('!').and_then(|rest| rest.split_once(' '));
    tag.is_some_and(|(tag, _)| !tag.is_empty() && tag.bytes().all(|b| b.is_ascii_alphabetic() || b"_:./".contains(&b)))
}

fn is_placeholder(value: &str, lower: &str) -> bool {
    if WORDS.contains(&lower) || IN_PLACEHOLDERS.iter().any(|part| lower.contains(part)) {
        return true;
    }
    // `xxx`, `---`, `***`: one repeated character; then `XXXX-XXXX`, `sk-xxxx`.
    let mut characters = lower.chars();
    if let Some(first) = characters.next()
        && matches!(first, 'x' | '*' | '-' | '_' | '.' | '?' | '#')
        && characters.all(|c| c == first)
    {
        return true;
    }
    let parts: Vec<&str> = lower.split(['-', '_', ' ']).collect();
    let crosses = |part: &str| if part.bytes().all(|b| b == b'x') { part.len() } else { 0 };
    let last = parts.last().map_or(0, |part| crosses(part));
    if last >= 4 || last == 3 && (lower.len() <= 10 || parts.iter().all(|part| crosses(part) > 0)) {
        return true;
    }
    // Words and at most a short number: `YOUR_API_KEY_2`.
    let plain = |text: &str| {
        let digits = text.bytes().filter(u8::is_ascii_digit).count();
        digits <= 3
            && text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, ' ' | '_' | '-' | '.' | '/' | '!' | ':' | ','))
    };
    let inside = |(start, end): (char, char)| value.strip_prefix(start).and_then(|rest| rest.strip_suffix(end));
    if [('[', ']'), ('{', '}'), ('(', ')')].into_iter().filter_map(inside).any(plain)
        || [('<', '>'), ('«', '»'), ('‹', '›')].into_iter().filter_map(inside).any(|text| !text.contains(['<', '>']))
    {
        return true;
    }
    // `YOUR_KEY`, `sk-your-key-here`, `insert token here`, `change-me`: only words, at least one of them telling.
    let words: Vec<&str> = lower.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let has = |word: &str| words.contains(&word);
    let is_name = |word: Option<&&str>| word.is_some_and(|word| NAMES.contains(word));
    // A variable's name in place of its value.
    let named =
        value.contains('_') && value.bytes().all(|b| b.is_ascii_uppercase() || b == b'_') && is_name(words.last());
    plain(value)
        && (named
            || has("your")
            || (has("change") && (has("me") || has("this") || has("please")))
            || (has("replace") && (has("me") || has("with") || has("this")))
            || ((has("set") || has("fill")) && has("me"))
            || words.first() == Some(&"todo")
            || (["insert", "enter", "paste", "put", "add", "token", "key"].into_iter().any(has) && has("here"))
            || (has("insert") || has("paste")) && is_name(words.last())
            || has("placeholder")
            || has("redacted"))
}

#[cfg(test)]
mod tests;
