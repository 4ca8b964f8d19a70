#!/bin/sh
# Installs raxx for the person who runs it: builds the program, copies it and its completions, and has `raxx setup` add one
# marked line to the rc files of zsh and bash. POSIX sh: it runs in dash, busybox, and the bash 3.2 that is macOS's /bin/sh.
# shellcheck disable=SC2317,SC2329 # functions are passed by name
[ -z "${ZSH_VERSION-}" ] || emulate sh # somebody typed zsh instead of sh
set -uf
CDPATH=
unset -v GREP_OPTIONS IFS
umask 022
newline='
'
result=0

usage() {
    cat <<'USAGE'
Installs raxx, loads it in new terminals, and checks your credentials once.

usage: sh shell/install.sh [--binary PATH | --no-build] [--bin-dir DIR] [--dry-run]
       sh shell/install.sh --uninstall [--dry-run]
       sh shell/install.sh --status

  --binary PATH   install this raxx instead of building one with cargo
  --no-build      use the raxx that is already installed (by a package, for example)
  --bin-dir DIR   directory for the program [default: bin in $CARGO_INSTALL_ROOT, $CARGO_HOME or ~/.cargo]
  --uninstall     restore the rc files, remove the completions, the daily check and the program; list what stays
  --status        show what is installed; exit 1 if something is missing
  --dry-run       print what would be done, and do nothing
  -h, --help      print this help

With PROFILE=/dev/null in the environment, no rc file is changed. Without a C compiler, root gets one from apt-get or dnf.
USAGE
}

say() { printf '%s\n' "$*"; }
row() { printf '%-12s %s\n' "$1" "$2"; }
# Something could not be done: the rest goes on, and the script exits with 1.
complain() {
    printf 'install.sh: %s\n' "$*" >&2
    result=1
}
die() {
    complain "$*"
    exit 1
}
misused() {
    complain "$*; type: sh shell/install.sh --help"
    exit 2
}
# A path as a person writes it.
short() {
    case $1 in
        "$HOME"/*) printf '%s/%s' '~' "${1#"$HOME"/}" ;;
        *) printf '%s' "$1" ;;
    esac
}
absolute() {
    case $1 in
        /*) printf '%s\n' "$1" ;;
        *) printf '%s\n' "$PWD/$1" ;;
    esac
}
# The file at the end of a chain of links. (`readlink -f` is missing on older macOS.)
resolve() {
    at=$1
    hops=0
    while [ -L "$at" ] && [ "$hops" -lt 40 ]; do
        hops=$((hops + 1))
        link=$(readlink "$at") || return 1
        case $link in
            /*) at=$link ;;
            *) at=$(dirname -- "$at")/$link ;;
        esac
    done
    dir=$(cd -P -- "$(dirname -- "$at")" 2>/dev/null && pwd -P) && printf '%s/%s\n' "${dir%/}" "$(basename -- "$at")"
}
# cmp is missing on a minimal Fedora.
sum() { cksum <"$1"; }
same() { [ -f "$1" ] && [ -f "$2" ] && [ "$(sum "$1")" = "$(sum "$2")" ]; }

# ---- the record of what was installed where: KIND CHECKSUM LENGTH PATH a line; kinds: file, dir, bin, and rc (by raxx setup) ----

# each_entry KIND COMMAND: runs COMMAND PATH PROOF for each entry of that kind.
each_entry() {
    IFS=$newline
    for line in $record; do
        unset -v IFS
        size=${line#* * }
        proof=${line#* }
        [ "${line%% *}" != "$1" ] || "$2" "${line#* * * }" "${proof%% *} ${size%% *}"
    done
    unset -v IFS
}

# remember KIND PATH: there is one entry for a path, and one directory of the program.
remember() {
    proof='- -'
    [ "$1" != file ] || proof=$(sum "$2")
    record=$(printf '%s' "$record" | while IFS= read -r line; do
        if [ "${line%% *}" != "$1" ] || { [ "$1" != bin ] && [ "${line#* * * }" != "$2" ]; }; then say "$line"; fi
    done)
    record="$record${record:+$newline}$1 $proof $2$newline"
}

is_ours() {
    case $newline$record in
        *"${newline}file "*" $1$newline"*) return 0 ;;
    esac
    return 1
}

save_record() {
    make_directory "${receipt%/*}" && chmod 700 "${receipt%/*}" && { printf '%s' "$record" >"$receipt.new"; } 2>/dev/null &&
        mv -f "$receipt.new" "$receipt" && return
    rm -f "$receipt.new"
    complain "$(short "$receipt") cannot be written; --uninstall will not know what to remove"
}

# Directories that did not exist before are removed again together with the last file in them.
make_directory() {
    [ -d "$1" ] && return 0
    make_directory "$(dirname -- "$1")" && mkdir "$1" 2>/dev/null && remember dir "$1"
}

# place FROM TO MODE: a copy that is whole or absent, also over a program that is running.
place() {
    if ! same "$1" "$2" || [ -L "$2" ]; then
        make_directory "$(dirname -- "$2")" || return 1
        beside=$2.raxx-$$
        if ! { cp "$1" "$beside" 2>/dev/null && chmod "$3" "$beside" && same "$1" "$beside" && mv -f "$beside" "$2"; }; then
            rm -f "$beside"
            return 1
        fi
        beside=
    fi
    remember file "$2"
}

# ---- completions ----

has() { command -v "$1" >/dev/null; }

# Whether a shell is used here. Every Mac has a bash, and many people never start it.
uses() {
    case $system:$1:${SHELL-} in
        *:fish:*) has fish || [ -d "${XDG_CONFIG_HOME:-$HOME/.config}/fish" ] ;;
        *:zsh:* | Darwin:bash:*/bash) has "$1" || [ -e "${ZDOTDIR:-$HOME}/.zshrc" ] ;;
        Darwin:*) [ -e "$HOME/.bashrc" ] || [ -e "$HOME/.bash_profile" ] || [ -e "$HOME/.bash_login" ] ;;
        *) has bash || [ -e "$HOME/.bashrc" ] ;;
    esac
}

# bash-completion, which reads completions from files, needs bash 4.2; macOS has 3.2.
# shellcheck disable=SC2016 # bash expands it
bash_completes() { ! has bash || BASH_ENV='' bash -c '((BASH_VERSINFO[0] * 100 + BASH_VERSINFO[1] >= 402))'; }

# each_completion COMMAND: runs COMMAND SHELL FROM TO for each shell that is used.
each_completion() {
    data=${XDG_DATA_HOME:-$HOME/.local/share}
    if uses zsh; then "$1" zsh "$root/completions/_raxx" "$data/zsh/site-functions/_raxx"; fi
    if uses bash && bash_completes; then "$1" bash "$root/completions/raxx.bash" "$data/bash-completion/completions/raxx"; fi
    if uses fish; then "$1" fish "$root/completions/raxx.fish" "${XDG_CONFIG_HOME:-$HOME/.config}/fish/completions/raxx.fish"; fi
}

add_completion() {
    if [ -n "$dry" ]; then
        row completions "would be copied to $(short "$3")"
    elif place "$2" "$3" 644; then
        row completions "$(short "$3")"
    else
        complain "$(short "$3") cannot be written; $1 will not complete raxx"
    fi
}

show_completion() {
    if same "$2" "$3"; then
        row completions "$(short "$3")"
    else
        row completions "$(short "$3") is missing or of another version"
        result=1
    fi
}

# ---- the program ----

# older HAVE NEED: versions 1.2.3
older() {
    have_minor=${1#*.}
    need_minor=${2#*.}
    [ "${1%%.*}" -lt "${2%%.*}" ] && return 0
    [ "${1%%.*}" -eq "${2%%.*}" ] && [ "${have_minor%%.*}" -lt "${need_minor%%.*}" ]
}

find_cargo() {
    rustup="curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh"
    need=$(sed -n 's/^rust-version *= *"\([0-9.]*\)".*/\1/p' "$root/Cargo.toml")
    cargo=$(command -v cargo) || cargo=${CARGO_HOME:-$HOME/.cargo}/bin/cargo # this terminal is older than rustup
    [ -x "$cargo" ] || die "cargo is missing; raxx is built with Rust $need or newer. Install it, then run this again:$newline    $rustup"
    have=$(cd "$root" && "$cargo" --version 2>"$tmp/said") || die "cargo does not work: $(head -n 1 "$tmp/said"). Type: rustup default stable"
    have=${have#cargo }
    have=${have%%[!0-9.]*}
    case $have in
        *.*) ;;
        *) die "$cargo does not print its version" ;;
    esac
    ! older "$have" "$need" && return
    if has rustup; then rustup='rustup update stable'; fi
    die "cargo is $have, and raxx needs Rust $need or newer. Update it, then run this again:$newline    $rustup"
}

# cargo links with cc, and one of the libraries is partly written in C.
need_compiler() {
    if [ "$system" = Darwin ]; then
        # cc always exists there, but can open a dialog.
        xcode-select -p >/dev/null 2>&1 || die 'a C compiler is missing. Install it, then run this again: xcode-select --install'
        return
    fi
    has cc && return
    if has apt-get; then
        packages='apt-get install -y --no-install-recommends gcc libc6-dev'
    elif has dnf; then
        packages='dnf install -y gcc'
    else
        die 'a C compiler (the command cc) is missing; install one, then run this again'
    fi
    [ "$(id -u)" -eq 0 ] || die "a C compiler is missing. Install it, then run this again: sudo $packages"
    if [ -n "$dry" ]; then
        row compiler "would be installed: $packages"
        return
    fi
    row compiler "missing; installing it now: $packages"
    case $packages in apt-get*) apt-get update -qq ;; esac
    # shellcheck disable=SC2086 # several words
    DEBIAN_FRONTEND=noninteractive $packages </dev/null >/dev/null || die "$packages failed"
}

tracked_by_cargo() { grep -q '^"raxx ' "$1/.crates.toml" 2>/dev/null; }

build() {
    into=$cargo_root
    [ "$bin_dir" = "$cargo_root/bin" ] || into=$tmp/cargo
    force=
    # cargo does not overwrite a program that it did not install; this script can, if it did.
    if [ "$into" = "$cargo_root" ] && ! tracked_by_cargo "$into" && is_ours "$bin_dir/raxx"; then force=--force; fi
    [ "$into" != "$cargo_root" ] || make_directory "$bin_dir" || die "$(short "$bin_dir") cannot be created"
    # In the checkout, so that its toolchain file counts. On the PATH, or cargo warns that it is not.
    # shellcheck disable=SC2086 # one word or none
    (cd "$root" && PATH=$(dirname -- "$cargo"):$PATH:$into/bin "$cargo" install --locked --path . --root "$into" $force) ||
        die 'cargo could not build raxx (see above); no rc file was changed'
    if [ "$into" = "$cargo_root" ]; then remember file "$bin_dir/raxx"; else binary=$into/bin/raxx; fi
}

# Whether a program is a raxx that can edit rc files.
can_set_up() { [ -x "$1" ] && "$1" setup --help 2>/dev/null | grep -q 'raxx setup'; }

# ---- the three jobs ----

install() {
    if [ -n "$binary" ]; then
        [ -f "$binary" ] || die "$binary: no such file"
        # A program for another architecture fails here, before anything is changed.
        can_set_up "$binary" || die "$binary is not a raxx that runs here; tried: $binary setup --help"
    elif [ -n "$no_build" ]; then
        can_set_up "$bin_dir/raxx" || die "there is no raxx with a setup command in $(short "$bin_dir") or on the PATH"
    else
        find_cargo
        need_compiler
    fi
    known=$binary
    [ -z "$no_build" ] || known=$bin_dir/raxx
    # A damaged rc file is refused before anything is changed.
    [ -z "$known" ] || "$known" setup --dry-run >/dev/null || die 'nothing was changed; fix that, then run this again'
    if [ -n "$dry" ]; then
        from="built by cargo ${have-} and"
        [ -z "$binary" ] || from="copied from $(short "$binary") and"
        if [ -n "$no_build" ]; then row program "$(short "$bin_dir/raxx")"; else row program "would be $from installed as $(short "$bin_dir/raxx")"; fi
        each_completion add_completion
        if [ -n "$no_build" ]; then "$known" setup --dry-run; else row 'rc files' 'one marked line would be added to each, by: raxx setup'; fi
        return
    fi
    [ -n "$known" ] || build
    if [ -n "$binary" ]; then
        place "$binary" "$bin_dir/raxx" 755 || die "$(short "$bin_dir/raxx") cannot be written; no rc file was changed"
    fi
    row program "$(short "$bin_dir/raxx")"
    each_completion add_completion
    if uses bash && ! bash_completes; then row completions 'none for bash, which is older than 4.2'; fi
    remember bin "$bin_dir"
    save_record
    loads=1
    "$bin_dir/raxx" setup --yes || loads='' result=1
    [ "${PROFILE-}" != /dev/null ] || loads=
    first_check
}

first_check() {
    say "$newline\$ raxx check"
    "$bin_dir/raxx" check
    verdict=$?
    [ "$verdict" -ne 130 ] || exit 130
    say "${newline}raxx is installed${loads:+, and each new terminal loads it}. What to type next:"
    login_shell=${SHELL-}
    login_shell=${login_shell##*/}
    case $loads$login_shell in
        1zsh | 1bash) say "    exec $login_shell" ;;
    esac
    again='raxx check'
    if [ -z "$loads" ] && ! has raxx; then again="$(short "$bin_dir/raxx") check"; fi
    # 2: a mistake in the configuration, which the check has named.
    [ "$verdict" -ne 1 ] || say '    raxx store NAME'
    [ "$verdict" -eq 0 ] || say "    $again"
    [ "$verdict" -ne 1 ] || say 'NAME is one of the above: raxx asks for its value, verifies it and stores it. What each FAIL needs: docs/runbook.md'
    other=$(command -v raxx) || other=$bin_dir/raxx
    same "$other" "$bin_dir/raxx" || say "Warning: another raxx comes first on this PATH: $other"
}

# remove_block FILE: for a machine without a program that does it. All other bytes stay as they are, and so do links.
remove_block() {
    [ -f "$1" ] && [ -r "$1" ] || return 0
    found=$(LC_ALL=C tr '\000' '\001' <"$1" | LC_ALL=C awk '
        /^[ \t]*# >>> raxx >>>/ { opened++; first = NR; note = /newline before/ ? "newline" : /and this file/ ? "file" : "-"; next }
        /^[ \t]*# <<< raxx <<</ { closed++; last = NR; next }
        opened > closed && !/raxx init/ { foreign = 1 }
        END {
            whole = opened == 1 && closed == 1 && !foreign && last > first && last < first + 3
            if (opened + closed) print whole ? first " " last " " note : "damaged"
        }')
    [ -n "$found" ] || return 0
    # shellcheck disable=SC2086 # three words
    set -- "$1" $found
    # shellcheck disable=SC2012 # the mode of one file: root can write to what has no w bit
    mode=$(ls -ldL "$1" | cut -c 2-10)
    if [ $# -ne 4 ] || [ "${mode#*w}" = "$mode" ] || [ ! -w "$1" ]; then
        complain "$1: read-only, or the raxx block in it is damaged; delete the block yourself"
    elif [ -n "$dry" ]; then
        row "$(short "$1")" "would lose lines $2-$3"
    else
        : >"$tmp/before"
        [ "$2" -eq 1 ] || head -n "$(($2 - 1))" "$1" >"$tmp/before"
        tail -n "+$(($3 + 1))" "$1" >"$tmp/rest"
        size=$(($(wc -c <"$tmp/before")))
        if [ "$4" = newline ] && [ ! -s "$tmp/rest" ]; then size=$((size - 1)); fi
        { [ "$size" -le 0 ] || head -c "$size" "$tmp/before"; cat "$tmp/rest"; } >"$tmp/new"
        if ! cp "$1" "$tmp/old" || ! same "$1" "$tmp/old"; then die "$tmp cannot be written; nothing more was changed"; fi
        trap '' HUP INT TERM
        if cat "$tmp/new" >"$1" && same "$tmp/new" "$1"; then
            if [ "$4" = file ] && [ ! -s "$1" ]; then rm -f "$(resolve "$1")"; fi
            row "$(short "$1")" 'no longer loads raxx'
        else
            cat "$tmp/old" >"$1"
            complain "$1: it could not be written; delete lines $2-$3 yourself"
        fi
        set_traps
    fi
}

uninstall() {
    program=$bin_dir/raxx
    can_set_up "$program" || program=$(command -v raxx) || program=
    if [ -n "$program" ] && can_set_up "$program"; then
        "$program" setup --undo --yes ${dry:+--dry-run}
        case $? in
            0) ;;
            2) die 'nothing was changed; fix that, then run this again' ;;
            *) result=1 ;;
        esac
    elif [ "${PROFILE-}" != /dev/null ]; then
        for file in "${ZDOTDIR:-$HOME}/.zshrc" "$HOME/.zshrc" "$HOME/.bashrc" "$HOME/.bash_profile" "$HOME/.bash_login" "$HOME/.profile"; do
            remove_block "$file"
        done
        each_entry rc remove_block
    fi
    left=
    # Before the program is removed, which alone removes all of it.
    remove_checks
    each_entry file remove_file
    # Deepest first: the record has them in the order in which they were created.
    directories=
    each_entry dir note_directory
    if [ -z "$dry" ]; then
        [ "$result" -ne 0 ] || rm -f "$receipt"
        IFS=$newline
        # shellcheck disable=SC2086 # a list
        rmdir $directories 2>/dev/null
        unset -v IFS
    fi
    say_what_stays
}

# Lists the schedulers that start the daily check and what removes it, as PLACE|COMMAND. They are found also without the program.
daily_checks() {
    timer=raxx-session-bootstrap.timer
    if crontab -l 2>/dev/null | grep -q '^# >>> raxx >>>'; then say 'your crontab|crontab -e'; fi
    for units in "$HOME/.config" "${XDG_CONFIG_HOME:-$HOME/.config}"; do
        [ ! -e "$units/systemd/user/$timer" ] || say "$(short "$units/systemd/user/$timer")|systemctl --user disable --now $timer"
    done | uniq
    agent=$HOME/Library/LaunchAgents/app.raxx.session-bootstrap.plist
    [ ! -e "$agent" ] || say "$(short "$agent")|launchctl bootout gui/$(id -u)/app.raxx.session-bootstrap"
}

remove_checks() {
    checks=$(daily_checks)
    [ -n "$checks" ] || return 0
    instead=
    # A program that is not this script's stays, and so does its daily check.
    if [ -x "$bin_dir/raxx" ] && ! is_ours "$bin_dir/raxx"; then
        instead="$(short "$bin_dir/raxx") schedule uninstall"
    elif [ -x "$bin_dir/raxx" ] && [ -n "$dry" ]; then
        say "$checks" | while IFS='|' read -r place _; do row 'would remove' "the daily check ($place)"; done
        return
    elif [ -x "$bin_dir/raxx" ]; then
        "$bin_dir/raxx" schedule uninstall 2>&1 || complain 'the daily check could not be removed'
    fi
    left=$(daily_checks | while IFS='|' read -r place fix; do
        say "    $place    the daily check; to remove it, type: ${instead:-$fix}"
    done)
    left=$left${left:+$newline}
}

note_directory() { directories=$1$newline$directories; }

# remove_file PATH PROOF
remove_file() {
    [ -e "$1" ] || [ -L "$1" ] || return 0
    prefix=${1%/bin/raxx}
    tracked=
    if [ "$prefix" != "$1" ] && tracked_by_cargo "$prefix"; then tracked=1; fi
    if [ -z "$tracked" ] && [ "$(sum "$1" 2>/dev/null)" != "$2" ]; then
        left="$left    $(short "$1")    changed since this script installed it$newline"
    elif [ -n "$dry" ]; then
        row 'would remove' "$(short "$1")"
    elif { [ -n "$tracked" ] && cargo uninstall --quiet --root "$prefix" raxx 2>/dev/null && [ ! -e "$1" ]; } || rm -f "$1"; then
        row removed "$(short "$1")"
    else
        complain "$(short "$1") could not be removed"
    fi
}

stays() { [ ! -e "$1" ] || left="$left    $(short "$1")    $2$newline"; }

say_what_stays() {
    for program in "$bin_dir/raxx" "$cargo_root/bin/raxx" "$(command -v raxx)"; do
        case $left in
            *" $(short "$program") "*) continue ;;
        esac
        is_ours "$program" || stays "$program" 'not installed by this script'
    done
    config=${RAXX_CONFIG:-${XDG_CONFIG_HOME:-$HOME/.config}/raxx}
    identity=${XDG_CONFIG_HOME:-$HOME/.config}/raxx/identity.txt
    opens='the identity that opens store.age: keep both files'
    if [ -e "$config/identity.txt" ]; then
        stays "$config" "your configuration, and $opens"
    else
        stays "$config" 'your configuration'
        stays "$identity" "$opens"
    fi
    stays "${XDG_STATE_HOME:-$HOME/.local/state}/raxx" 'the results of earlier checks; no secrets'
    stays "${RAXX_BOOTSTRAP_STATE_FILE:-$HOME/.raxx-session-bootstrap-last-validated}" 'the time of the last check without a FAIL'
    stays "${XDG_DATA_HOME:-$HOME/.local/share}/raxx/store.age" 'your tokens, encrypted'
    say "What stays: your tokens in the store, raxx in the shells that are open${left:+, and}"
    printf '%s' "$left"
}

show_status() {
    program=$bin_dir/raxx
    version=$("$program" --version 2>/dev/null) || result=1
    row program "$(short "$program") (${version:-missing, or it does not run})"
    each_completion show_completion
    if can_set_up "$program"; then
        "$program" setup --status || result=1
    else
        row 'rc files' 'not checked, because raxx is missing; to install it: sh shell/install.sh'
    fi
}

# ---- start ----

set_traps() {
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 143' TERM
}

job=install binary='' no_build='' dry='' bin_dir=''
while [ $# -gt 0 ]; do
    option=$1
    shift
    case $option in
        --binary=* | --bin-dir=*) set -- "${option#*=}" "$@" ;;
    esac
    case $option in
        --binary | --binary=* | --bin-dir | --bin-dir=*)
            [ -n "${1-}" ] || misused "${option%%=*} needs a path"
            case $option in
                --binary*) binary=$(absolute "$1") ;;
                *) bin_dir=$(absolute "$1") ;;
            esac
            shift
            ;;
        --no-build) no_build=1 ;;
        --dry-run) dry=1 ;;
        --uninstall | --status)
            [ "$job" = install ] || misused "$option cannot be used with --$job"
            job=${option#--}
            ;;
        -h | --help)
            usage
            exit 0
            ;;
        *) misused "unknown argument: $option" ;;
    esac
done
[ -z "$binary" ] || [ -z "$no_build" ] || misused '--binary cannot be used with --no-build'
[ "$job" = install ] || [ -z "$binary$no_build" ] || misused "--binary and --no-build cannot be used with --$job"

case ${HOME-} in
    /*) ;;
    *) die 'HOME is not an absolute path; set it to your home directory, then run this again' ;;
esac
[ "$HOME" = / ] || HOME=${HOME%/}
[ -d "$HOME" ] || die "HOME is $HOME, which is not a directory"
# sudo on macOS keeps HOME: root would own the files of the person's home from then on.
# shellcheck disable=SC2012 # one name, its owner
if [ "$(id -u)" -eq 0 ] && [ "${SUDO_UID:-0}" != 0 ] && [ "$(ls -ldn "$HOME/" | awk '{ print $3 }')" = "$SUDO_UID" ]; then
    die 'run this as yourself, without sudo: it does not need root'
fi

script=$(resolve "$0") || script=
root=$(dirname -- "$(dirname -- "$script")")
grep -q '^name = "raxx"' "$root/Cargo.toml" 2>/dev/null || die 'run this in a checkout of raxx: sh shell/install.sh'

has cksum || die 'the command cksum (coreutils) is missing; install it, then run this again'
system=$(uname -s)
cargo_root=$(absolute "${CARGO_INSTALL_ROOT:-${CARGO_HOME:-$HOME/.cargo}}")
receipt=${XDG_STATE_HOME:-$HOME/.local/state}/raxx/installed
record=
[ ! -r "$receipt" ] || record=$(cat "$receipt")$newline
use_bin_dir() { bin_dir=$1; }
if [ -z "$bin_dir" ]; then
    bin_dir=$cargo_root/bin
    if [ "$job" != install ]; then
        each_entry bin use_bin_dir
    elif [ -n "$no_build" ] && [ ! -x "$bin_dir/raxx" ] && has raxx; then
        bin_dir=$(dirname -- "$(command -v raxx)")
    fi
fi
bin_dir=${bin_dir%/}
# Each of these is one line of an rc file or of the record.
for name in HOME XDG_DATA_HOME XDG_CONFIG_HOME XDG_STATE_HOME ZDOTDIR CARGO_HOME CARGO_INSTALL_ROOT bin_dir; do
    eval "value=\${$name-}"
    # shellcheck disable=SC2154 # eval sets it
    case $value in
        *"$newline"*) die "$(printf '%s' "$name" | sed 's/bin_dir/--bin-dir/') contains a newline; choose another directory" ;;
    esac
done
case $bin_dir in
    *:*) die "$bin_dir: a directory whose name contains a colon cannot be on the PATH; choose another one" ;;
esac

tmp=$(umask 077 && mktemp -d) || die 'no temporary directory could be created (is the disk full?)'
beside=
trap 'rm -rf "$tmp" ${beside:+"$beside"}' EXIT
set_traps

case $job in
    install) install ;;
    uninstall) uninstall ;;
    status) show_status ;;
esac
exit "$result"
