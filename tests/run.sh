#!/bin/sh
# Usage: sh tests/run.sh
# Runs all tests. Installs the programs that they need, or names them if it is not allowed to install. The last line begins with
# "run.sh: PASSED" or "run.sh: FAILED". POSIX sh.
set -eu
cd -- "$(dirname -- "$0")/.."

step() { printf '\n== %s\n' "$*"; }

die() {
    printf 'run.sh: %s\n' "$*" >&2
    exit 1
}

# ---- required programs ----------------------------------------------------------------------------------------------------------

if command -v apt-get >/dev/null; then
    manager=apt-get
elif command -v dnf >/dev/null; then
    manager=dnf
elif command -v brew >/dev/null; then
    manager=brew
else
    manager=
fi

commands=
packages=
# need COMMAND APT DNF BREW: notes the package to install if COMMAND is missing. `-`: COMMAND comes with the system.
need() {
    if command -v "$1" >/dev/null; then return; fi
    commands="$commands $1"
    case $manager in
        apt-get) packages="$packages $2" ;;
        dnf) packages="$packages $3" ;;
        brew) [ "$4" = - ] || packages="$packages $4" ;;
    esac
}

need bash bash bash -
need zsh zsh zsh -
need curl curl curl -
need cc 'gcc libc6-dev' gcc -
need tmux tmux tmux tmux
need fish fish fish fish
need age age age age
need perl perl-base perl -
need shellcheck shellcheck ShellCheck shellcheck
# A real Secret Service; macOS has the Keychain.
if [ "$(uname -s)" != Darwin ]; then
    need dbus-run-session dbus dbus-daemon -
    need gnome-keyring-daemon gnome-keyring gnome-keyring -
    need secret-tool libsecret-tools libsecret -
    need keepassxc-cli keepassxc keepassxc -
    # The schedulers, to parse what raxx writes for them.
    need crontab cron cronie -
    need systemd-analyze systemd systemd -
    need keyctl keyutils keyutils -
fi

as_root=
can_install=1
if [ "$manager" != brew ] && [ "$(id -u)" -ne 0 ]; then
    as_root=sudo
    sudo -n true 2>/dev/null || can_install=
fi

if [ -n "$packages" ]; then
    line="$manager install -y$packages"
    case $manager in
        apt-get) line="$manager install -y --no-install-recommends$packages" ;;
        brew) line="brew install$packages" ;;
    esac
    [ -n "$can_install" ] || die "the tests need programs that are not installed:$commands. Install them, then run this again: ${as_root:+sudo }$line"
    step "${as_root:+sudo }$line"
    # shellcheck disable=SC2086 # words of our own
    {
        [ "$manager" != apt-get ] || $as_root apt-get update -qq
        $as_root env DEBIAN_FRONTEND=noninteractive $line </dev/null >/dev/null
    }
fi

missing=
for name in $commands; do
    command -v "$name" >/dev/null || missing="$missing $name"
done
[ -z "$missing" ] || die "the tests need programs that are not installed:$missing. Install them, then run this again"

# This terminal is possibly older than the rustup installation.
command -v cargo >/dev/null || PATH=$PATH:${CARGO_HOME:-$HOME/.cargo}/bin
command -v cargo >/dev/null ||
    die "the tests need cargo. Install it, then run this again: curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh"
for part in rustfmt clippy; do
    case $part in
        rustfmt) cargo fmt --version >/dev/null 2>&1 && continue ;;
        clippy) cargo clippy --version >/dev/null 2>&1 && continue ;;
    esac
    step "rustup component add $part"
    rustup component add "$part" || die "the tests need $part, and rustup could not install it"
done

# ---- old shells -----------------------------------------------------------------------------------------------------------------

# The tests also run in these shells if they are installed.
not_run=
# old_shell VARIABLE NAME VERSION CANDIDATE...: sets VARIABLE to the first candidate that has this version.
old_shell() {
    variable=$1
    name=$2
    version=$3
    shift 3
    eval "set_already=\${$variable-}"
    [ -z "$set_already" ] || set -- "$set_already"
    for candidate in "$@"; do
        path=$(command -v "$candidate") || continue
        case $("$path" --version 2>/dev/null) in
            *"version $version"* | "$name $version"*) ;;
            *) continue ;;
        esac
        export "$variable=$path"
        step "$name $version: $path"
        return
    done
    [ -z "$set_already" ] || die "$variable is $set_already, which is not $name $version"
    not_run="$not_run, $name $version"
}
old_shell RAXX_TEST_BASH32 bash 3.2 bash-3.2 bash32 bash3 /bin/bash
old_shell RAXX_TEST_ZSH51 zsh 5.1 zsh-5.1 zsh-5.1.1 zsh51

# ---- the tests ------------------------------------------------------------------------------------------------------------------

step 'shellcheck'
set -- shell/install.sh shell/raxx.bash tests/run.sh .ci/run
for file in tests/*.sh; do
    [ "$file" = tests/run.sh ] || set -- "$@" "$file"
done
shellcheck "$@"
# There is no shellcheck for zsh, but zsh itself can parse these.
for file in shell/*.zsh; do
    zsh -n "$file"
done

step 'cargo fmt --check'
cargo fmt --check

step 'cargo clippy --all-targets --locked -- -D warnings'
cargo clippy --all-targets --locked -- -D warnings

# Building cargo-deny takes longer than all tests together, so it runs only if it is already installed.
if cargo deny --version >/dev/null 2>&1; then
    step 'cargo deny --offline check bans licenses sources'
    cargo deny --offline check bans licenses sources
    step 'cargo deny check advisories'
    if cargo deny fetch db >/dev/null 2>&1; then
        cargo deny check advisories
    else
        not_run="$not_run, the advisories (their database could not be fetched)"
    fi
else
    not_run="$not_run, cargo deny (cargo install cargo-deny)"
fi

output=$(mktemp)
trap 'rm -f "$output"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Runs the tests, shows their output as it comes and saves it in $output. Fails if the tests fail.
run_tests() {
    step "$*"
    { "$@" 2>&1 || echo "run.sh: exit code $?"; } | tee "$output"
    ! grep -q '^run.sh: exit code ' "$output"
}

failed=
if cargo nextest --version >/dev/null 2>&1; then
    runner='cargo nextest'
    run_tests cargo nextest run --locked --no-fail-fast || failed=1
    passed=$(sed -n 's/.* tests run: \([0-9][0-9]*\) passed.*/\1/p' "$output" | tail -n 1)
else
    runner='cargo test'
    run_tests cargo test --locked --no-fail-fast || failed=1
    passed=$(sed -n 's/^test result: .* \([0-9][0-9]*\) passed.*/\1/p' "$output" | awk '{ all += $1 } END { print all + 0 }')
fi

if [ -n "$not_run" ]; then
    printf '\n%s\n' \
        '############################################################' \
        "##  NOT RUN:${not_run#,}" \
        '##  To set the paths of old shells: RAXX_TEST_BASH32, RAXX_TEST_ZSH51.' \
        '############################################################'
fi
if [ -n "$failed" ]; then verdict=FAILED; else verdict=PASSED; fi
printf '\nrun.sh: %s: %s tests passed (%s)%s\n' "$verdict" "${passed:-0}" "$runner" "${not_run:+; not run:${not_run#,}}"
[ -z "$failed" ]
