#!/usr/bin/env bash
# Usage: bash tests/macos-smoke.sh PART
# Tests that need a real Mac: the Keychain, launchd, Apple's shells. Use a disposable machine, because this changes the default keychain
# and the login shell. Run the parts in this order: binary, keychain, values, consent, sandbox, shells, launchd. Works in bash 3.2.
set -euo pipefail
cd -- "$(dirname -- "$0")/.."

die() {
    printf 'macos-smoke.sh: %s\n' "$*" >&2
    exit 1
}

[ "$(uname -s)" = Darwin ] || die 'this is not a Mac'
[ "${CI-}" = true ] || die 'this changes the default keychain and the login shell; it runs only in CI (CI=true)'

release=target/release/raxx
keychain=${RUNNER_TEMP:?}/raxx-smoke.keychain-db
password=made-up
# A value in Heroku's format, and its item in the built-in configuration.
value=HRKU-smoke-0123456789-0123456789-abcd
item=(-s raxx-heroku-api-key -a claude-bootstrap)

# kind_of NAME: prints the kind of that credential's verdict, from the JSON report on standard input.
kind_of() {
    python3 -c 'import json, sys
rows = {row["name"]: row["kind"] for row in json.load(sys.stdin)["credentials"]}
print(rows[sys.argv[1]])' "$1"
}

# expect_kind NAME KIND COMMAND...: fails unless the JSON report of COMMAND has this kind for NAME.
expect_kind() {
    local name=$1 expected=$2 report found
    shift 2
    report=$("$@" || true)
    found=$(printf '%s' "$report" | kind_of "$name")
    [ "$found" = "$expected" ] || die "$name is $found, not $expected: $report"
}

binary() {
    # The linker does not sign Intel binaries.
    codesign -v "$release" || [ "$(uname -m)" = x86_64 ] || die 'the binary is not signed'
    sudo install -d /usr/local/bin
    sudo install -m 755 "$release" /usr/local/bin/raxx
    raxx --version
    launchctl managername
}

keychain() {
    security create-keychain -p "$password" "$keychain"
    security set-keychain-settings "$keychain"
    # On some images a new keychain cannot be unlocked. Then the results of the later parts mean nothing.
    security unlock-keychain -p "$password" "$keychain"
    security list-keychains -d user -s "$keychain"
    security default-keychain -d user -s "$keychain"
}

values() {
    printf %s "$value" | raxx store HEROKU_API_KEY --stdin --no-check
    [ "$(security find-generic-password "${item[@]}" -w)" = "$value" ] || die 'security does not read the value that raxx wrote'
    [ "$(eval "$(raxx export bash HEROKU_API_KEY)" && printf %s "$HEROKU_API_KEY")" = "$value" ] || die 'raxx does not read the value that it wrote'
    # raxx updates an item that another program made with another label.
    security add-generic-password -U "${item[@]}" -l 'another label' -w old-0123456789
    printf %s "$value" | raxx store HEROKU_API_KEY --stdin --no-check
    echo 'Time for a new terminal with one value:'
    time raxx export bash --missing >values.sh
    grep -q "$value" values.sh || die 'a new terminal does not have the value'
    rm values.sh
}

consent() {
    local before
    security add-generic-password -s raxx-cf-worker-deploy-token -a claude-bootstrap -w made-up-0123456789-0123456789 -T /bin/bash
    before=$(pgrep -x SecurityAgent | sort || true)
    raxx export bash --missing >/dev/null
    raxx hook zsh | cat
    sleep 1
    [ "$before" = "$(pgrep -x SecurityAgent | sort || true)" ] || die 'a dialog was opened'
    ! pgrep -x security || die 'a security process is waiting'
    expect_kind CF_WORKER_DEPLOY locked raxx check --json
    raxx forget CF_WORKER_DEPLOY --yes
}

sandbox() {
    local profile='(version 1)(allow default)(deny mach-lookup (global-name "com.apple.SecurityServer"))'
    expect_kind HEROKU_API_KEY locked sandbox-exec -p "$profile" raxx check --json
    security lock-keychain "$keychain"
    expect_kind HEROKU_API_KEY locked raxx check --json
    security unlock-keychain -p "$password" "$keychain"
}

shells() {
    local original
    HOME=$(mktemp -d)
    export HOME
    original=$HOME/../original.$$
    echo 'echo mine' >"$HOME/.zshrc"
    cp "$HOME/.zshrc" "$original"
    : >"$HOME/.bash_profile"
    # Some users run the installer twice.
    for _ in 1 2; do
        SHELL=/bin/zsh sh shell/install.sh --binary "$release" --bin-dir "$HOME/bin"
    done
    SHELL=/bin/zsh /bin/sh shell/install.sh --status
    # A login bash has the account's shell in SHELL. Make that zsh.
    sudo chsh -s /bin/zsh "$USER"
    /bin/zsh -lic 'whence -w raxx' | grep function >/dev/null || die 'zsh has no raxx'
    /bin/bash -lic 'type raxx' | grep function >/dev/null || die 'a login bash has no raxx'
    (exec -a -bash /bin/bash -i -c 'type raxx') | grep function >/dev/null || die '-bash has no raxx'
    # raxx keeps Apple's own prompt command.
    # shellcheck disable=SC2016 # the bash under test expands it
    printf 'echo "<$PROMPT_COMMAND>"\nexit\n' |
        TERM_PROGRAM=Apple_Terminal script -q /dev/null /bin/bash -l | grep '<.*__raxx' >/dev/null || die 'the prompt command is lost'
    SHELL=/bin/zsh sh shell/install.sh --uninstall
    cmp "$HOME/.zshrc" "$original"
}

launchd() {
    local label=app.raxx.session-bootstrap
    raxx schedule install --print --via launchd | plutil -lint -
    raxx schedule install
    if [ "$(launchctl managername)" = Aqua ]; then launchctl print "gui/$(id -u)/$label"; fi
    raxx schedule install | cat
    raxx schedule uninstall
    [ ! -e "$HOME/Library/LaunchAgents/$label.plist" ] || die 'the launch agent was not removed'
}

case ${1-} in
    binary | keychain | values | consent | sandbox | shells | launchd) "$1" ;;
    *) die 'usage: bash tests/macos-smoke.sh binary|keychain|values|consent|sandbox|shells|launchd' ;;
esac
