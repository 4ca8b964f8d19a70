#!/bin/sh
# Everything that is tested, with one command: sh tests/run.sh
# Installs what the tests need where it may; names it where it may not. POSIX sh.
set -eu
cd -- "$(dirname -- "$0")/.."

step() { printf '\n== %s\n' "$*"; }

die() {
    printf 'run.sh: %s\n' "$*" >&2
    exit 1
}

# ---- what the tests need --------------------------------------------------------------------------------------------------------

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
# need COMMAND APT DNF BREW: the package of each manager, or `-` where COMMAND comes with the system.
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
need shellcheck shellcheck ShellCheck shellcheck
# The Secret Service, for real; macOS has its Keychain.
if [ "$(uname -s)" != Darwin ]; then
    need dbus-run-session dbus dbus-daemon -
    need gnome-keyring-daemon gnome-keyring gnome-keyring -
    need secret-tool libsecret-tools libsecret -
    # The schedulers: what is written for them is read by themselves.
    need crontab cron cronie -
    need systemd-analyze systemd systemd -
    need keyctl keyutils keyutils -
fi

as_root=
may=1
if [ "$manager" != brew ] && [ "$(id -u)" -ne 0 ]; then
    as_root=sudo
    sudo -n true 2>/dev/null || may=
fi

if [ -n "$packages" ]; then
    line="$manager install -y$packages"
    case $manager in
        apt-get) line="$manager install -y --no-install-recommends$packages" ;;
        brew) line="brew install$packages" ;;
    esac
    [ -n "$may" ] || die "the tests need what is missing here:$commands. Type this, then run this again: ${as_root:+sudo }$line"
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
[ -z "$missing" ] || die "the tests need what is missing here:$missing; install that and run this again"

# rustup was run, but this terminal is older.
command -v cargo >/dev/null || PATH=$PATH:${CARGO_HOME:-$HOME/.cargo}/bin
command -v cargo >/dev/null ||
    die "the tests need cargo. Type this, then run this again: curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh"
for part in rustfmt clippy; do
    case $part in
        rustfmt) cargo fmt --version >/dev/null 2>&1 && continue ;;
        clippy) cargo clippy --version >/dev/null 2>&1 && continue ;;
    esac
    step "rustup component add $part"
    rustup component add "$part" || die "the tests need $part, which comes with rustup (rustup component add $part)"
done

# ---- the tests ------------------------------------------------------------------------------------------------------------------

step 'shellcheck'
set -- shell/install.sh shell/raxx.bash tests/run.sh .ci/run
for file in tests/*.sh; do
    [ "$file" = tests/run.sh ] || set -- "$@" "$file"
done
shellcheck "$@"
# It knows no zsh; zsh itself at least reads these.
for file in shell/*.zsh; do
    zsh -n "$file"
done

step 'cargo fmt --check'
cargo fmt --check

step 'cargo clippy --all-targets --locked -- -D warnings'
cargo clippy --all-targets --locked -- -D warnings

step 'cargo test --locked'
cargo test --locked
