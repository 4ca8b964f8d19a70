#!/bin/sh
# Installs raxx for the person who runs it, without root: the binary, its completions, and one line in the rc file of zsh and of
# bash. POSIX sh: it runs under dash, busybox and the bash 3.2 that is macOS's /bin/sh.
# shellcheck disable=SC2317,SC2329 # functions are handed over by name
[ -z "${ZSH_VERSION-}" ] || emulate sh # somebody typed zsh in the place of sh
set -uf
CDPATH=
unset -v GREP_OPTIONS IFS
umask 022

usage() {
    cat <<'USAGE'
Installs raxx, hooks it into new terminals, and checks your credentials once.

usage: sh shell/install.sh [--binary PATH | --no-build] [--bin-dir DIR] [--dry-run]
       sh shell/install.sh --uninstall [--dry-run]
       sh shell/install.sh --status

  --binary PATH   install this raxx instead of building one with cargo
  --no-build      use the raxx that is installed already (by a package, say): completions and rc lines only
  --bin-dir DIR   where the binary goes (else: bin in $CARGO_INSTALL_ROOT, $CARGO_HOME or ~/.cargo)
  --uninstall     give the rc files their old bytes back, remove the completions, the daily check and the binary, say what stays
  --status        say what is in place; exit 1 if something is missing
  --dry-run       say what would be done and do nothing
  -h, --help      this text

PROFILE=/dev/null in the environment: no rc file is touched.
USAGE
}

# ---- words ------------------------------------------------------------------------------------------------------------------------

result=0
hooked=1 # until an rc file could not be written, or was not to be
newline='
'

say() { printf '%s\n' "$*"; }

# One line about something that could not be done; the rest goes on, and the script ends with 1.
complain() {
    printf 'install.sh: %s\n' "$*" >&2
    result=1
}

die() {
    printf 'install.sh: %s\n' "$*" >&2
    exit 1
}

misused() {
    printf 'install.sh: %s (try: sh shell/install.sh --help)\n' "$*" >&2
    exit 2
}

# A path as a person would write it.
short() {
    case $1 in
        "$HOME"/*) printf '%s/%s' '~' "${1#"$HOME"/}" ;;
        *) printf '%s' "$1" ;;
    esac
}

row() { printf '%-12s %s\n' "$1" "$2"; }

# ---- files ------------------------------------------------------------------------------------------------------------------------

# The file at the end of a chain of links, under its real directory. (`readlink -f` is missing on older macOS.)
resolve() {
    at=$1
    hops=0
    while [ -L "$at" ]; do
        hops=$((hops + 1))
        [ "$hops" -le 40 ] || return 1
        link=$(readlink "$at") || return 1
        case $link in
            /*) at=$link ;;
            *) at=$(dirname -- "$at")/$link ;;
        esac
    done
    dir=$(cd -P -- "$(dirname -- "$at")" 2>/dev/null && pwd -P) || return 1
    printf '%s/%s\n' "${dir%/}" "$(basename -- "$at")"
}

# A checksum and a length; two files with the same ones are the same to this script (cmp is no part of a small Fedora).
sum() { cksum <"$1"; }

same() { [ -f "$1" ] && [ -f "$2" ] && [ "$(sum "$1")" = "$(sum "$2")" ]; }

# Says why a file cannot be written, or fails if it can be. For root `-w` is always true: a file without any w bit, and one in a
# store that a package manager owns, are meant to be left alone all the same.
unwritable() {
    if [ -z "$1" ]; then
        echo 'its directory does not exist'
        return 0
    fi
    case $1 in
        /nix/store/* | /gnu/store/*)
            echo 'read-only, made by a package manager'
            return 0
            ;;
    esac
    if [ -e "$1" ]; then
        # shellcheck disable=SC2012 # one name, its mode
        mode=$(LC_ALL=C ls -ldL "$1" | cut -c 2-10)
        case $mode in
            *w*) [ -w "$1" ] && return 1 ;;
        esac
        echo 'read-only'
        return 0
    fi
    [ -w "$(dirname -- "$1")" ] && return 1
    echo 'its directory is read-only'
}

# put FILE COMMAND...: FILE (no link any more) gets what COMMAND prints. Rewritten in place, so that mode, owner and hard links live on;
# but only when the new bytes and a copy of the old ones lie whole beside it, so that a full disk shows before FILE is opened.
put() {
    file=$1
    shift
    beside=$(mktemp -d "$(dirname -- "$file")/.raxx-install-XXXXXX" 2>/dev/null) || beside=$(mktemp -d "$tmp/XXXXXX") || return 1
    written=1
    if "$@" 2>/dev/null >"$beside/new" && [ "$("$@" | cksum)" = "$(sum "$beside/new")" ]; then
        if [ ! -e "$file" ]; then
            { cat "$beside/new" >"$file"; } 2>/dev/null && same "$beside/new" "$file" && written=0
            [ "$written" -eq 0 ] || rm -f "$file"
        elif cp -p "$file" "$beside/old" 2>/dev/null && same "$file" "$beside/old"; then
            trap '' HUP INT TERM
            { cat "$beside/new" >"$file"; } 2>/dev/null && same "$beside/new" "$file" && written=0
            [ "$written" -eq 0 ] || put_back "$file"
            set_traps
        fi
    fi
    [ -z "$beside" ] || rm -rf "$beside"
    beside=
    return "$written"
}

put_back() {
    same "$beside/old" "$1" && return
    { cat "$beside/old" >"$1"; } 2>/dev/null
    # The room for the old bytes may be gone as well; a rename needs none.
    if same "$beside/old" "$1" || mv -f "$beside/old" "$1" 2>/dev/null; then return; fi
    complain "$1 could not be written; its old bytes are in $beside/old"
    beside=
}

# ---- the block in an rc file --------------------------------------------------------------------------------------------------------

opening='# >>> raxx >>>'
closing='# <<< raxx <<<'

# A word in shell quotes; what lies under $HOME is written so, for rc files that are shared between machines.
quoted() {
    rest=${1#"$HOME"/}
    case $rest in
        /* | *[!A-Za-z0-9/._-]*) printf "'%s'" "$(printf '%s' "$1" | LC_ALL=C sed "s/'/'\\\\''/g")" ;;
        *) printf '"%s/%s"' "\$HOME" "$rest" ;;
    esac
}

# hook_line SHELL (zsh, bash, login): the one line. The login file of bash is read by sh and by desktops too, and often reads .bashrc
# itself, so its line asks first: is this an interactive bash that was not started as sh? ($BASH does not tell: a login bash sets it to
# the shell of the account, which may be zsh.) It is always the shell that starts that looks whether the directory is on its PATH: here one could
# only guess.
hook_line() {
    path_part=
    case $bin_dir in
        /bin | /usr/bin | /usr/local/bin) ;;
        *)
            word=$(quoted "$bin_dir")
            path_part="case :\${PATH}: in *:$word:*) ;; *) PATH=\${PATH}:$word ;; esac; "
            ;;
    esac
    shell=$1
    [ "$1" = login ] && shell=bash
    line="${path_part}if command -v raxx >/dev/null; then eval \"\$(raxx init $shell)\"; fi"
    [ "$1" = login ] && line="case \${BASH_VERSION:+\${0##*/}}:\$- in *bash:*i*) declare -F raxx >/dev/null || { $line; } ;; esac"
    printf '%s\n' "$line"
}

# block SHELL NOTE: the three lines. NOTE says what --uninstall has to take away beside them.
block() {
    printf "%s added by raxx's shell/install.sh; its --uninstall removes these lines%s\n" "$opening" "$2"
    hook_line "$1"
    printf '%s\n' "$closing"
}
with_newline=' and the newline before them'
with_file=' and this file if nothing else is in it'

# Only bytes: NUL would make grep call the file binary, an encoding would make sed stumble.
lines_of() { LC_ALL=C tr '\000' '\001' <"$1"; }

# inspect FILE: sets `state` to none, block or damaged. Of a block, `first` and `last` are its line numbers and `note` is what its
# first line says; of a damaged file, `trouble` is the line number and the mend.
inspect() {
    state=none first='' last='' note='' trouble=''
    [ -e "$1" ] || return 0
    if [ ! -f "$1" ] || [ ! -r "$1" ]; then
        state=damaged
        trouble='1: this is no file that can be read; put a regular file there'
        return 0
    fi
    marks=$(lines_of "$1" | LC_ALL=C grep -n -e '^[[:blank:]]*# >>> raxx >>>' -e '^[[:blank:]]*# <<< raxx <<<')
    IFS=$newline
    for mark in $marks; do
        number=${mark%%:*}
        case $mark in
            *"$opening"*)
                if [ -n "$last" ]; then
                    trouble="$number: a second raxx block begins here (the first is lines $first-$last); delete one of the two"
                elif [ -n "$first" ]; then
                    trouble="$number: a raxx block begins here, but the one of line $first has no end; delete line $first and what is left of that block"
                else
                    first=$number
                    case $mark in
                        *"$with_newline"*) note=$with_newline ;;
                        *"$with_file"*) note=$with_file ;;
                    esac
                fi
                ;;
            *)
                if [ -n "$last" ]; then
                    trouble="$number: a raxx block ends here a second time (the block is lines $first-$last); delete line $number"
                elif [ -z "$first" ]; then
                    trouble="$number: a raxx block ends here that has not begun; delete line $number and what is left of the block"
                else
                    last=$number
                fi
                ;;
        esac
        [ -z "$trouble" ] || break
    done
    unset -v IFS
    if [ -z "$trouble" ] && [ -n "$first" ]; then
        if [ -z "$last" ]; then
            trouble="$first: a raxx block begins here and does not end; delete line $first and what is left of the block"
        elif [ $((last - first)) -gt 2 ]; then
            trouble="$first: lines that are not raxx's stand in the raxx block (lines $first-$last); move them out of it"
        elif [ $((last - first)) -eq 2 ] && ! lines_of "$1" | sed -n "$((first + 1))p" | LC_ALL=C grep -q 'raxx init'; then
            trouble="$((first + 1)): this line in the raxx block is not raxx's; move it out of the block"
        fi
    fi
    [ -z "$first" ] || state=block
    [ -z "$trouble" ] || state=damaged
}

before() { [ "$first" -le 1 ] || head -n "$((first - 1))" "$1"; }
after() { tail -n "+$((last + 1))" "$1"; }

# `$(...)` drops a final newline, so what is left is the last byte of a line that does not end.
ends_without_newline() { [ -s "$1" ] && [ -n "$(tail -c 1 "$1" | LC_ALL=C tr '\000' '\001')" ]; }

# The bytes of FILE with the block in it, and without it; `inspect FILE` has been before.
with_block() {
    if [ "$state" = block ]; then
        before "$1" && block "$2" "$note" && after "$1"
    elif [ ! -e "$1" ]; then
        block "$2" "$with_file"
    elif ends_without_newline "$1"; then
        cat "$1" && echo && block "$2" "$with_newline"
    else
        cat "$1" && block "$2" ''
    fi
}

without_block() {
    # The newline is only ours to take while nothing was written after the block.
    if [ "$note" = "$with_newline" ] && [ "$(after "$1" | wc -c)" -eq 0 ]; then
        length=$(($(before "$1" | wc -c) - 1))
        [ "$length" -le 0 ] || head -c "$length" "$1"
    else
        before "$1" && after "$1"
    fi
}

# Is the block of FILE, byte for byte, the one that would be written now?
is_current() {
    [ "$state" = block ] && [ "$(with_block "$1" "$2" | cksum)" = "$(sum "$1")" ]
}

# ---- which rc files ---------------------------------------------------------------------------------------------------------------

# .zshenv may set ZDOTDIR without exporting it, so zsh is asked; what .zshenv itself prints comes before the mark.
set_zshrc() {
    found=
    if command -v zsh >/dev/null; then
        # shellcheck disable=SC2016 # zsh expands it
        found=$(zsh -c 'print -rn -- "raxx-zdotdir:${ZDOTDIR-}:"' </dev/null 2>/dev/null)
        case $found in
            *raxx-zdotdir:*:)
                found=${found##*raxx-zdotdir:}
                found=${found%:}
                ;;
            *) found=${ZDOTDIR-} ;;
        esac
    else
        found=${ZDOTDIR-}
    fi
    case $found in
        /*) zshrc=${found%/}/.zshrc ;;
        *) zshrc=$HOME/.zshrc ;;
    esac
}

# The first of these is what bash reads as a login shell, and only that one.
bash_login_file() {
    for name in .bash_profile .bash_login .profile; do
        [ -e "$HOME/$name" ] || [ -L "$HOME/$name" ] || continue
        printf '%s\n' "$HOME/$name"
        return
    done
    printf '%s\n' "$HOME/.bash_profile"
}

# each_rc COMMAND: COMMAND SHELL FILE for each rc file that is to have the block.
each_rc() {
    [ "${PROFILE-}" = /dev/null ] && return 0
    if uses zsh; then "$1" zsh "$zshrc"; fi
    if uses bash; then
        "$1" bash "$HOME/.bashrc"
        # The terminals of macOS open login shells, which do not read .bashrc.
        login=$(bash_login_file)
        if [ "$system" = Darwin ] && [ "$(resolve "$login")" != "$(resolve "$HOME/.bashrc")" ]; then "$1" login "$login"; fi
    fi
}

uses() {
    case $system:$1 in
        # Every Mac has a bash, and many people never start it. New files would be in their way.
        Darwin:bash)
            case ${SHELL-} in
                */bash) return 0 ;;
            esac
            has_bash_files
            return
            ;;
    esac
    command -v "$1" >/dev/null && return 0
    case $1 in
        zsh) [ -e "$zshrc" ] ;;
        bash) [ -e "$HOME/.bashrc" ] ;;
        fish) [ -d "${XDG_CONFIG_HOME:-$HOME/.config}/fish" ] ;;
    esac
}

has_bash_files() {
    for name in .bashrc .bash_profile .bash_login; do
        if [ -e "$HOME/$name" ] || [ -L "$HOME/$name" ]; then return 0; fi
    done
    # rustup makes a .profile of one line whatever the shell is.
    [ -e "$HOME/.profile" ] && LC_ALL=C grep -qv -e '^[[:blank:]]*$' -e '^\. .*/env"\{0,1\}$' "$HOME/.profile" 2>/dev/null
}

# bash-completion, which reads completions from files, needs bash 4.2; macOS has 3.2.
# shellcheck disable=SC2016 # bash expands it
bash_completes() { ! command -v bash >/dev/null || BASH_ENV='' bash -c '((BASH_VERSINFO[0] * 100 + BASH_VERSINFO[1] >= 402))'; }

refuse_damaged() {
    inspect "$2"
    [ "$state" = damaged ] || return 0
    printf 'install.sh: %s:%s, then run this again\n' "$2" "$trouble" >&2
    damaged=1
}

# Everything that could make a half-done job is looked at before the first change.
refuse_all_damaged() {
    damaged=0
    "$1" refuse_damaged
    [ "$damaged" -eq 0 ] || die 'nothing was changed'
}

add_block() {
    real=$(resolve "$2") || real=
    inspect "$2"
    if is_current "$2" "$1"; then
        row "$(short "$2")" 'has the line already'
        remember rc "$2"
        return
    fi
    if [ -n "$dry" ]; then
        row "$(short "$2")" 'would get these lines:'
        with_block "$2" "$1" | LC_ALL=C sed -n "/^$opening/,/^$closing/p"
        return
    fi
    if why=$(unwritable "$real"); then
        hand_over "$1" "$2" "$why"
    elif put "$real" with_block "$real" "$1"; then
        row "$(short "$2")" "got the line"
        remember rc "$2"
    else
        hand_over "$1" "$2" 'it could not be written (is the disk full?) and is as it was'
    fi
}

hand_over() {
    where=$(short "$2")
    [ -z "$real" ] || [ "$real" = "$2" ] || where="$where ($real)"
    spot='at its end'
    [ "$state" = none ] || spot="in the place of its lines $first-$last"
    complain "$where: $3; put these lines $spot yourself, where that file is made:"
    hooked=
    block "$1" "$note" >&2
}

remove_block() {
    real=$(resolve "$2") || return 0
    inspect "$real"
    [ "$state" = block ] || return 0
    if [ -n "$dry" ]; then
        row "$(short "$2")" "would lose lines $first-$last"
        return
    fi
    if why=$(unwritable "$real"); then
        complain "$2:$first: $why; delete lines $first-$last yourself, where that file is made"
    elif put "$real" without_block "$real"; then
        row "$(short "$2")" 'is as it was'
        if [ "$note" = "$with_file" ] && [ ! -s "$real" ]; then rm -f "$real"; fi
    else
        complain "$2:$first: it could not be written (is the disk full?) and is as it was; delete lines $first-$last yourself"
    fi
}

# Wherever a block may be: also in files that this run would not write to.
each_old_rc() {
    [ "${PROFILE-}" = /dev/null ] && return 0
    seen=$newline
    for candidate in "$zshrc" "$HOME/.zshrc" "$HOME/.bashrc" "$HOME/.bash_profile" "$HOME/.bash_login" "$HOME/.profile"; do
        once "$1" "$candidate"
    done
    visit=$1
    each_entry rc visit_recorded
}

visit_recorded() { once "$visit" "$1"; }

once() {
    target=$(resolve "$2") || return 0
    case $seen in
        *"$newline$target$newline"*) return 0 ;;
    esac
    seen=$seen$target$newline
    "$1" - "$2"
}

# ---- what this script put where -----------------------------------------------------------------------------------------------------

# One line for each thing: `KIND CHECKSUM LENGTH PATH`. Without it --uninstall could not tell the file that it put there from
# another's. Kinds: file, dir, rc, and bin, the directory of the binary that the rc lines speak of.
remember() {
    proof='- -'
    [ "$1" = file ] && proof=$(sum "$2")
    entry="$1 $proof $2"
    case $newline$record in
        *"$newline$entry$newline"*) return 0 ;;
    esac
    kept=
    each_entry '' keep_entry "$1" "$2"
    record=$kept$entry$newline
}

# keep_entry PATH PROOF KIND NEW-KIND NEW-PATH
keep_entry() {
    case $3 in
        "$4") [ "$1" = "$5" ] || [ "$3" = bin ] || kept="$kept$3 $2 $1$newline" ;;
        *) kept="$kept$3 $2 $1$newline" ;;
    esac
}

# each_entry KIND COMMAND ARGUMENT...: COMMAND PATH PROOF KIND ARGUMENT... for each thing of that kind, or of every kind.
each_entry() {
    wanted=$1
    called=$2
    shift 2
    IFS=$newline
    for line in $record; do
        unset -v IFS
        kind=${line%% *}
        thing=${line#* }
        size=${thing#* }
        where=${size#* }
        if [ -z "$wanted" ] || [ "$kind" = "$wanted" ]; then
            "$called" "$where" "${thing%% *} ${size%% *}" "$kind" "$@"
        fi
    done
    unset -v IFS
}

save_record() {
    [ "$record" != "$recorded" ] || return 0
    directory=$(dirname -- "$receipt")
    if make_directory "$directory" && chmod 700 "$directory" && put "$receipt" printf '%s' "$record"; then return; fi
    complain "$(short "$receipt") could not be written; --uninstall will not know what to remove"
}

# Directories that were not there before go again with the last file in them.
make_directory() {
    [ -d "$1" ] && return 0
    make_directory "$(dirname -- "$1")" || return 1
    mkdir "$1" 2>/dev/null || return 1
    remember dir "$1"
}

# place FROM TO MODE: a copy that is never half there, also over a program that is running.
place() {
    if same "$1" "$2" && [ ! -L "$2" ]; then
        remember file "$2"
        return 0
    fi
    make_directory "$(dirname -- "$2")" || return 1
    beside=$2.raxx-$$
    if cp "$1" "$beside" 2>/dev/null && chmod "$3" "$beside" && same "$1" "$beside" && mv -f "$beside" "$2"; then
        beside=
        remember file "$2"
    else
        rm -f "$beside"
        beside=
        return 1
    fi
}

# each_completion COMMAND: COMMAND SHELL FROM TO, for the shells that are used.
each_completion() {
    data=${XDG_DATA_HOME:-$HOME/.local/share}
    if uses zsh; then "$1" zsh "$root/completions/_raxx" "$data/zsh/site-functions/_raxx"; fi
    if uses bash && bash_completes; then "$1" bash "$root/completions/raxx.bash" "$data/bash-completion/completions/raxx"; fi
    if uses fish; then "$1" fish "$root/completions/raxx.fish" "${XDG_CONFIG_HOME:-$HOME/.config}/fish/completions/raxx.fish"; fi
}

add_completion() {
    if [ -n "$dry" ]; then
        row completions "would go to $(short "$3")"
    elif place "$2" "$3" 644; then
        row completions "$(short "$3")"
    else
        complain "$(short "$3") could not be written; $1 will not complete raxx"
    fi
}

# ---- the binary -------------------------------------------------------------------------------------------------------------------

# older HAVE NEED: versions 1.2.3
older() {
    have_minor=${1#*.}
    need_minor=${2#*.}
    [ "${1%%.*}" -lt "${2%%.*}" ] && return 0
    [ "${1%%.*}" -eq "${2%%.*}" ] && [ "${have_minor%%.*}" -lt "${need_minor%%.*}" ]
}

rustup_line="curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh"

find_cargo() {
    need=$(sed -n 's/^rust-version *= *"\([0-9.]*\)".*/\1/p' "$root/Cargo.toml")
    cargo=$(command -v cargo) || cargo=${CARGO_HOME:-$HOME/.cargo}/bin/cargo # rustup was run, but this terminal is older
    [ -x "$cargo" ] || die "cargo is missing, and raxx is built with it (Rust $need or newer). Type this, then run this again:$newline    $rustup_line"
    have=$(cd "$root" && "$cargo" --version 2>"$tmp/said") || die "cargo does not work: $(head -n 1 "$tmp/said"). Type: rustup default stable"
    have=${have#cargo }
    have=${have%%[!0-9.]*}
    case $have in
        *.*) ;;
        *) die "$cargo does not say its version" ;;
    esac
    if older "$have" "$need"; then
        update=$rustup_line
        if command -v rustup >/dev/null; then update='rustup update stable'; fi
        die "cargo is $have, and raxx needs Rust $need or newer. Type this, then run this again:$newline    $update"
    fi
}

# cargo links with cc and one of the libraries is partly written in C.
need_compiler() {
    if [ "$system" = Darwin ]; then
        # cc is always there, but may only open a dialog.
        xcode-select -p >/dev/null 2>&1 || die 'a C compiler is missing. Type this, then run this again: xcode-select --install'
        return
    fi
    command -v cc >/dev/null && return 0
    if command -v apt-get >/dev/null; then
        packages='apt-get install -y --no-install-recommends gcc libc6-dev'
    elif command -v dnf >/dev/null; then
        packages='dnf install -y gcc'
    else
        die 'a C compiler (the command cc) is missing; install one and run this again'
    fi
    [ "$(id -u)" -eq 0 ] || die "a C compiler is missing. Type this, then run this again: sudo $packages"
    say "a C compiler is missing: $packages"
    [ -n "$dry" ] && return 0
    case $packages in apt-get*) apt-get update -qq ;; esac
    # shellcheck disable=SC2086 # words of our own
    DEBIAN_FRONTEND=noninteractive $packages </dev/null >/dev/null || die "$packages failed"
}

tracked_by_cargo() { grep -q '^"raxx ' "$1/.crates.toml" 2>/dev/null; }

is_ours() {
    case $newline$record in
        *"${newline}file "*" $1$newline"*) return 0 ;;
    esac
    return 1
}

build() {
    into=$cargo_root
    [ "$bin_dir" = "$cargo_root/bin" ] || into=$tmp/cargo
    force=
    # cargo will not write over a binary that it has not put there; this script may, if it has.
    if [ "$into" = "$cargo_root" ] && ! tracked_by_cargo "$into" && is_ours "$bin_dir/raxx"; then force=--force; fi
    [ "$into" != "$cargo_root" ] || make_directory "$bin_dir" || die "$(short "$bin_dir") cannot be made"
    # In the checkout, so that its toolchain file counts, not the one of the current directory. On PATH, or cargo warns that it is not.
    # shellcheck disable=SC2086 # one word or none
    (cd "$root" && PATH=$(dirname -- "$cargo"):$PATH:$into/bin "$cargo" install --locked --path . --root "$into" $force) ||
        die 'cargo could not build raxx (see above); no rc file was touched'
    [ "$into" = "$cargo_root" ] || binary=$into/bin/raxx
    [ "$into" != "$cargo_root" ] || remember file "$bin_dir/raxx"
}

install_binary() {
    if [ -n "$dry" ]; then
        if [ -n "$no_build" ]; then
            row binary "would stay: $(short "$bin_dir/raxx")"
        elif [ -n "$binary" ]; then
            row binary "would be copied from $(short "$binary") to $(short "$bin_dir/raxx")"
        else
            row binary "would be built by cargo $have and go to $(short "$bin_dir/raxx")"
        fi
        return
    fi
    if [ -z "$no_build" ]; then
        [ -n "$binary" ] || build
        if [ -n "$binary" ]; then
            place "$binary" "$bin_dir/raxx" 755 || die "$(short "$bin_dir/raxx") could not be written; no rc file was touched"
        fi
    fi
    row binary "$(short "$bin_dir/raxx")"
}

# ---- the three jobs -----------------------------------------------------------------------------------------------------------------

install() {
    if [ -n "$binary" ]; then
        [ -f "$binary" ] || die "$binary: no such file"
        # A foreign architecture or a text file shows here, before anything is changed.
        "$binary" --version >/dev/null 2>&1 || die "$binary does not run as raxx (tried: $binary --version)"
    elif [ -n "$no_build" ]; then
        [ -x "$bin_dir/raxx" ] || die "there is no raxx in $(short "$bin_dir"), nor on the PATH"
    else
        find_cargo
    fi
    if [ "${PROFILE-}" != /dev/null ] && [ -e "$zshrc" ] && [ "$(resolve "$zshrc")" = "$(resolve "$HOME/.bashrc")" ]; then
        die "$(short "$zshrc") and ~/.bashrc are one file, where the line of one shell breaks the other; make two of it, or set PROFILE=/dev/null"
    fi
    refuse_all_damaged each_rc
    [ -n "$binary$no_build" ] || need_compiler

    install_binary
    each_completion add_completion
    if uses bash && ! bash_completes; then row completions 'none for bash, which is older than 4.2'; fi
    each_rc add_block
    if [ "$system" = Darwin ] && [ "${PROFILE-}" != /dev/null ] && ! uses bash; then
        row bash 'has no rc file here, so none was made. To use raxx in bash too, add this line to ~/.bash_profile:'
        hook_line login
    fi
    remember bin "$bin_dir"
    [ -n "$dry" ] || save_record
    if [ "${PROFILE-}" = /dev/null ]; then
        say "No rc file was touched (PROFILE=/dev/null). The line for zsh, and with bash in the place of zsh for bash:"
        hook_line zsh
        hooked=
    fi
    [ -n "$dry" ] || first_check
}

first_check() {
    say ''
    say '$ raxx check'
    "$bin_dir/raxx" check
    verdict=$?
    [ "$verdict" -ne 130 ] || exit 130
    say ''
    again='raxx check'
    if [ -z "$hooked" ] && ! command -v raxx >/dev/null; then again="$(short "$bin_dir/raxx") check"; fi
    say "raxx is installed${hooked:+, and each new terminal is checked}. What to type next:"
    login_shell=${SHELL-}
    login_shell=${login_shell##*/}
    case $hooked$login_shell in
        1zsh | 1bash) say "    exec $login_shell" ;;
    esac
    # 2: the configuration is at fault, and the check has said where.
    [ "$verdict" -ne 1 ] || say '    raxx store NAME'
    [ "$verdict" -eq 0 ] || say "    $again"
    [ "$verdict" -ne 1 ] || say 'NAME is one of the above; it asks for the value, proves it and stores it. What each FAIL wants: docs/runbook.md'
    beware
}

# What would keep raxx out of a terminal although all is in place.
beware() {
    other=$(command -v raxx)
    if [ -n "$other" ] && [ "$(resolve "$other")" != "$(resolve "$bin_dir/raxx")" ]; then
        say "Beware: another raxx comes first on this PATH: $other"
    fi
    login=$(bash_login_file)
    if [ -n "$hooked" ] && [ "$system" != Darwin ] && [ "$login_shell" = bash ] && ! grep -q bashrc "$login" 2>/dev/null; then
        say "Beware: a login bash (ssh, tmux) reads $(short "$login"), which does not read ~/.bashrc. To have raxx there too, add to it:"
        # shellcheck disable=SC2016 # the words to add
        say '    if [ -n "${BASH_VERSION-}" ]; then . ~/.bashrc; fi'
    fi
}

uninstall() {
    refuse_all_damaged each_old_rc
    each_old_rc remove_block
    left=
    # Before its program goes, which alone takes it out whole.
    take_out_checks
    each_entry file remove_file
    # Deepest first: the record has them in the order in which they were made.
    directories=
    each_entry dir note_directory
    if [ -z "$dry" ]; then
        [ "$result" -ne 0 ] || rm -f "$receipt"
        IFS=$newline
        # shellcheck disable=SC2086 # a list
        rmdir $directories 2>/dev/null
        unset -v IFS
    fi
    what_stays
}

# each_check COMMAND: COMMAND PLACE MEND for each scheduler that starts the daily check. It is looked for here, so that it is found
# also where the program is gone.
each_check() {
    if crontab -l 2>/dev/null | grep -q '^# >>> raxx >>>'; then "$1" 'your crontab' 'crontab -e'; fi
    timer=systemd/user/raxx-session-bootstrap.timer
    stop='systemctl --user disable --now raxx-session-bootstrap.timer'
    [ ! -e "$HOME/.config/$timer" ] || "$1" "$(short "$HOME/.config/$timer")" "$stop"
    units=${XDG_CONFIG_HOME:-$HOME/.config}
    [ "$units" = "$HOME/.config" ] || [ ! -e "$units/$timer" ] || "$1" "$(short "$units/$timer")" "$stop"
    agent=$HOME/Library/LaunchAgents/app.raxx.session-bootstrap.plist
    [ ! -e "$agent" ] || "$1" "$(short "$agent")" "launchctl bootout gui/$(id -u)/app.raxx.session-bootstrap"
}

take_out_checks() {
    checks=
    each_check note_check
    [ -n "$checks" ] || return 0
    going=
    # A program that is not this script's stays, and so may the check that it makes.
    if [ -x "$bin_dir/raxx" ] && is_ours "$bin_dir/raxx"; then going=1; fi
    if [ -n "$going" ] && [ -n "$dry" ]; then
        printf '%s' "$checks"
        return 0
    fi
    if [ -n "$going" ] && ! "$bin_dir/raxx" schedule uninstall 2>&1; then complain 'the daily check could not be taken out'; fi
    each_check keep_check
}

note_check() { checks=$checks$(row 'would remove' "the daily check ($1)")$newline; }

keep_check() {
    mend=$2
    if [ -x "$bin_dir/raxx" ] && [ -z "$going" ]; then mend="$(short "$bin_dir/raxx") schedule uninstall"; fi
    left="$left    $1    the daily check; to take it out: $mend$newline"
}

note_directory() { directories=$1$newline$directories; }

# remove_file PATH PROOF
remove_file() {
    [ -e "$1" ] || [ -L "$1" ] || return 0
    prefix=${1%/bin/raxx}
    tracked=
    if [ "$prefix" != "$1" ] && tracked_by_cargo "$prefix"; then tracked=1; fi
    if [ -z "$tracked" ] && [ "$(sum "$1" 2>/dev/null)" != "$2" ]; then
        left="$left    $(short "$1")    changed since this script put it there$newline"
    elif [ -n "$dry" ]; then
        row 'would remove' "$(short "$1")"
    elif { [ -n "$tracked" ] && cargo uninstall --quiet --root "$prefix" raxx 2>/dev/null && [ ! -e "$1" ]; } || rm -f "$1"; then
        row removed "$(short "$1")"
    else
        complain "$(short "$1") could not be removed"
    fi
}

what_stays() {
    for program in "$bin_dir/raxx" "$cargo_root/bin/raxx" "$(command -v raxx)"; do
        if [ ! -e "$program" ] || is_ours "$program"; then continue; fi
        case $left in
            *" $(short "$program") "*) ;;
            *) left="$left    $(short "$program")    not put there by this script$newline" ;;
        esac
    done
    config=${RAXX_CONFIG:-${XDG_CONFIG_HOME:-$HOME/.config}/raxx}
    identity=${XDG_CONFIG_HOME:-$HOME/.config}/raxx/identity.txt
    opens='the identity that opens store.age: keep it with that file'
    kept='your configuration'
    if [ -e "$config/identity.txt" ]; then
        kept="$kept, and $opens"
    elif [ -e "$identity" ]; then
        left="$left    $(short "$identity")    $opens$newline"
    fi
    [ -e "$config" ] && left="$left    $(short "$config")    $kept$newline"
    state_dir=${XDG_STATE_HOME:-$HOME/.local/state}/raxx
    [ -e "$state_dir" ] && left="$left    $(short "$state_dir")    what it remembers of each check; no secrets$newline"
    stamp=${RAXX_BOOTSTRAP_STATE_FILE:-$HOME/.raxx-session-bootstrap-last-validated}
    [ -e "$stamp" ] && left="$left    $(short "$stamp")    when all was last good$newline"
    file=${XDG_DATA_HOME:-$HOME/.local/share}/raxx/store.age
    [ -e "$file" ] && left="$left    $(short "$file")    your tokens, encrypted$newline"
    say "What stays: your tokens in the store, raxx in the shells that are open${left:+, and}"
    printf '%s' "$left"
}

show_status() {
    program=$bin_dir/raxx
    if [ -x "$program" ]; then
        row binary "$(short "$program") ($("$program" --version 2>/dev/null || echo 'does not run'))"
    else
        row binary "not in $(short "$bin_dir")"
        result=1
    fi
    each_completion status_completion
    each_rc status_rc
}

status_completion() {
    if same "$2" "$3"; then
        row completions "$(short "$3")"
    elif [ -e "$3" ]; then
        row completions "$(short "$3") is not this version's"
        result=1
    else
        row completions "not in $(short "$(dirname -- "$3")")"
        result=1
    fi
}

status_rc() {
    inspect "$2"
    if is_current "$2" "$1"; then
        row "$(short "$2")" "has the line (line $((first + 1)))"
        return
    fi
    result=1
    case $state in
        none) row "$(short "$2")" 'does not have the line' ;;
        block) row "$(short "$2")" "has another line than this version writes (line $((first + 1)))" ;;
        damaged) row "$(short "$2"):${trouble%%:*}" "${trouble#*: }" ;;
    esac
}

# ---- start ------------------------------------------------------------------------------------------------------------------------

set_traps() {
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 143' TERM
}

absolute() {
    case $1 in
        /*) printf '%s\n' "$1" ;;
        *) printf '%s\n' "$PWD/$1" ;;
    esac
}

job=install binary='' no_build='' dry='' bin_dir=''
choose() {
    [ "$job" = install ] || misused "$1 does not go with --$job"
    job=${1#--}
}
while [ $# -gt 0 ]; do
    option=$1
    shift
    case $option in
        --binary=* | --bin-dir=*) set -- "${option#*=}" "$@" ;;
        --binary | --bin-dir) [ $# -gt 0 ] || misused "$option wants a path" ;;
    esac
    case $option in
        --binary | --binary=*)
            [ -n "$1" ] || misused "--binary wants a path"
            binary=$(absolute "$1")
            shift
            ;;
        --bin-dir | --bin-dir=*)
            [ -n "$1" ] || misused "--bin-dir wants a directory"
            bin_dir=$1
            shift
            ;;
        --no-build) no_build=1 ;;
        --dry-run) dry=1 ;;
        --uninstall | --status) choose "$option" ;;
        -h | --help)
            usage
            exit 0
            ;;
        *) misused "unknown argument: $option" ;;
    esac
done
[ -z "$binary" ] || [ -z "$no_build" ] || misused '--binary does not go with --no-build'
[ "$job" = install ] || [ -z "$binary$no_build" ] || misused "--binary and --no-build do not go with --$job"

case ${HOME-} in
    /*) ;;
    *) die 'HOME is not set to a directory; set it to yours and run this again' ;;
esac
[ "$HOME" = / ] || HOME=${HOME%/}
[ -d "$HOME" ] || die "HOME is $HOME, which is no directory"
# Each directory is written on one line of an rc file or of the receipt.
no_newline() {
    case $2 in
        *"$newline"*) die "$1 contains a newline, which raxx cannot write into an rc file; choose another directory" ;;
    esac
}
no_newline HOME "$HOME"
no_newline XDG_DATA_HOME "${XDG_DATA_HOME-}"
no_newline XDG_CONFIG_HOME "${XDG_CONFIG_HOME-}"
no_newline XDG_STATE_HOME "${XDG_STATE_HOME-}"
if [ "$job" = install ]; then
    no_newline --bin-dir "$bin_dir"
    no_newline CARGO_INSTALL_ROOT "${CARGO_INSTALL_ROOT-}"
    no_newline CARGO_HOME "${CARGO_HOME-}"
    no_newline ZDOTDIR "${ZDOTDIR-}"
fi
# sudo on macOS keeps HOME: root would own the files of the person's home from then on.
# shellcheck disable=SC2012 # one name, its owner
if [ "$(id -u)" -eq 0 ] && [ "${SUDO_UID:-0}" != 0 ] && [ "$(ls -ldn "$HOME/" | awk '{ print $3 }')" = "$SUDO_UID" ]; then
    die 'run this as yourself, without sudo: it needs no root'
fi

script=$(resolve "$0") || script=
root=$(dirname -- "$(dirname -- "$script")")
grep -q '^name = "raxx"' "$root/Cargo.toml" 2>/dev/null ||
    die 'this script works from a checkout of raxx; there, type: sh shell/install.sh'

receipt=${XDG_STATE_HOME:-$HOME/.local/state}/raxx/installed
record=
[ ! -r "$receipt" ] || record=$(cat "$receipt")$newline
recorded=$record

system=$(uname -s)
[ -z "$bin_dir" ] || bin_dir=$(absolute "$bin_dir")
cargo_root=$(absolute "${CARGO_INSTALL_ROOT:-${CARGO_HOME:-$HOME/.cargo}}")
use_bin_dir() { bin_dir=$1; }
if [ -z "$bin_dir" ]; then
    bin_dir=$cargo_root/bin
    if [ "$job" != install ]; then
        each_entry bin use_bin_dir
    elif [ -n "$no_build" ] && [ ! -x "$bin_dir/raxx" ] && command -v raxx >/dev/null; then
        bin_dir=$(dirname -- "$(command -v raxx)")
    fi
fi
bin_dir=${bin_dir%/}
case $bin_dir in
    *:*) die "$bin_dir: a directory with a colon in its name cannot stand on the PATH" ;;
esac

set_zshrc
if [ "$job" = install ]; then
    no_newline ZDOTDIR "$zshrc"
    no_newline "the binary's directory" "$bin_dir"
fi

tmp=$(umask 077 && mktemp -d) || die 'no temporary directory could be made (is the disk full?)'
beside=
trap 'rm -rf "$tmp" ${beside:+"$beside"}' EXIT
set_traps

case $job in
    install) install ;;
    uninstall) uninstall ;;
    status) show_status ;;
esac
exit "$result"
