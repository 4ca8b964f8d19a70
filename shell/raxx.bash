# shellcheck shell=bash
#
# raxx for bash 3.2 and later. In .bashrc:  eval "$(raxx init bash)"
#
# Defines raxx(), gives this shell the variables that it lacks, and lets the first prompt start the checks. Prints nothing while the
# rc file runs. Holds no secret, so that it may be cached.
#
# Why it looks as it does:
# - The user's aliases are in force while this is read, so commands stand as `\builtin name` or `\command name`.
# - All names begin with __raxx_, locals too: `export NAME` of a snippet must never meet a local variable called NAME.
# - Code from raxx is read line by line, whole lines only, and never evaluated: a DEBUG trap would see the values in the text of the
#   command. A write that was cut short loses only its last line, a read-only variable only its own.
# - Text with values in it is never given to a here-string or here-document: bash before 5.1 writes those to a file in TMPDIR.
# - `set +x` comes before any value is at hand: xtrace would write the values to the terminal or a log.
# - No `local NAME=value`: with `set -k` that is an assignment to the environment of a `local` without arguments.
# - Lists are cut with ${list%% *}: no IFS, no globbing, no `"${array[@]}"`, which dies under `set -u` in bash 3.2 when it is empty.
# - A line's end and a quote stand in variables: with extquote off, $'\n' is four letters inside "${…}".
# - bash 3.2 is macOS's: no `exec {fd}<`, no `read -t 0`, no `local -`, no `source <(…)`.

# Agents copy the functions of a shell without its variables (Claude Code's snapshots), hence the names inside it and no helper.
function raxx {
  \builtin local __raxx_word __raxx_name __raxx_text __raxx_rest __raxx_value __raxx_names __raxx_refused __raxx_code __raxx_count
  \builtin local __raxx_line_end __raxx_quote __raxx_trace
  __raxx_word='' __raxx_name='' __raxx_text='' __raxx_rest='' __raxx_value='' __raxx_code=0 __raxx_count=0
  __raxx_names='@NAMES@' __raxx_refused=' @REFUSED_NAMES@ '
  __raxx_line_end=$'\n' __raxx_quote="'" __raxx_trace="${-//[!x]/}"

  # The checks of this shell wait for a first prompt that ran without them.
  if [[ "${__raxx_want-}" == next && "${1-}" != unset && -z "${BASH_EXECUTION_STRING-}" && "$-" == *i* ]] &&
    ((BASH_SUBSHELL == 0 && ${#FUNCNAME[@]} == 1)); then
    __raxx_want=''
    \builtin printf '%s\n' 'raxx: PROMPT_COMMAND was replaced after the raxx line of .bashrc, so this shell checks nothing by itself.' \
      '      Move that line to the end of .bashrc. For this shell, type: raxx load' >&2
  fi

  case "${1-}" in
    load | rotate | store | import | unset)
      for __raxx_word in "$@"; do
        if [[ "${__raxx_word}" == -h || "${__raxx_word}" == --help ]]; then
          \command raxx "$@"
          \builtin return
        fi
      done
      ;;
    *)
      \command raxx "$@"
      \builtin return
      ;;
  esac

  if [[ "$1" != unset ]]; then
    { \builtin set +x; } 2>/dev/null
    # bash 3.2 leaves the function at ^C, and with it the value that is stored by then, unless somebody handles the signal.
    if ((BASH_VERSINFO[0] < 5)); then
      __raxx_rest="$(\builtin trap -p INT)"
      \builtin trap ':' INT
    fi
    __raxx_text="$(\command raxx "$1" --shell bash "${@:2}")" || __raxx_code="$?"
    if ((BASH_VERSINFO[0] < 5)); then
      \builtin eval "\\builtin ${__raxx_rest:-trap - INT}"
      __raxx_rest=''
    fi
    case "${__raxx_code}" in
      # 0 and 1 (a credential failed) come with code, and so does what a signal has ended. Anything else comes with a message only.
      0 | 1 | 129 | 130 | 131 | 143)
        # This report is newer than the one that the background check is about to give.
        [[ "$1" == load && "$#" -gt 1 || -z "${__raxx_text}" ]] || __raxx_want=''
        if [[ -n "${__raxx_text}" ]] && ((BASH_SUBSHELL > 0)); then
          \builtin printf '%s\n' 'raxx: that ran in a subshell (a pipe?), so the shell that you type in does not have the values. Type: raxx load' >&2
        fi
        __raxx_rest="${__raxx_text}${__raxx_line_end}"
        ;;
      *) ;;
    esac
    if [[ "$1" == load ]] && ((__raxx_code <= 1)); then
      \builtin unset -v RAXX_OFF 2>/dev/null || \builtin :
    fi
    while [[ -n "${__raxx_rest}" ]]; do
      __raxx_word="${__raxx_rest%%"${__raxx_line_end}"*}"
      __raxx_rest="${__raxx_rest:${#__raxx_word}+1}"
      case "${__raxx_word}" in
        "export "*"="* | "unset "*) ;;
        *) \builtin continue ;;
      esac
      __raxx_name="${__raxx_word#* }"
      __raxx_name="${__raxx_name%%=*}"
      case "${__raxx_name}" in
        '' | [0123456789]* | *[!ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_]*) \builtin continue ;;
        *) ;;
      esac
      case "${__raxx_word}" in
        "unset "*) \builtin unset -v "${__raxx_name}" 2>/dev/null && \builtin continue ;;
        *)
          # 'it'\''s' is it's.
          __raxx_word="${__raxx_word#*=}"
          __raxx_value=''
          [[ ${#__raxx_word} -gt 1 && "${__raxx_word:0:1}${__raxx_word:${#__raxx_word}-1}" == "${__raxx_quote}${__raxx_quote}" ]] ||
            \builtin continue
          __raxx_word="${__raxx_word:1:${#__raxx_word}-2}"
          while [[ "${__raxx_word}" == *"${__raxx_quote}"* ]]; do
            __raxx_value="${__raxx_value}${__raxx_word%%"${__raxx_quote}"*}"
            __raxx_word="${__raxx_word#*"${__raxx_quote}"}"
            __raxx_value="${__raxx_value}${__raxx_word:1:1}"
            __raxx_word="${__raxx_word:3}"
          done
          \builtin export "${__raxx_name}=${__raxx_value}${__raxx_word}" 2>/dev/null && \builtin continue
          ;;
      esac
      \builtin printf 'raxx: %s is read-only in this shell and keeps its value\n' "${__raxx_name}" >&2
      __raxx_code=1
    done
    [[ -z "${__raxx_trace}" ]] || \builtin set -x
    \builtin return "${__raxx_code}"
  fi

  # unset: the emergency clear. No program is started, so that it works when raxx is gone, broken or hung.
  if (($# > 1)) && [[ "$# $2" != '2 --tmux' ]]; then
    \builtin printf '%s\n' 'raxx: unset takes no names, it clears every variable that raxx knows; --tmux: in the tmux server too' >&2
    \builtin return 2
  fi
  __raxx_want='' __raxx_said=''
  # What is started now must not inherit the answer that is on its way.
  if [[ "${__raxx_fd-}" == 6[0123456789] ]]; then
    \builtin eval "\\exec ${__raxx_fd}<&-" || \builtin :
  fi 2>/dev/null
  __raxx_fd=''
  __raxx_word=''
  __raxx_rest="${__raxx_names} ${__RAXX_NAMES-} "
  while [[ -n "${__raxx_rest}" ]]; do
    __raxx_name="${__raxx_rest%% *}"
    __raxx_rest="${__raxx_rest#* }"
    # $__RAXX_NAMES comes from the environment, and `unset 'a[$(command)]'` would run the command. The letters are spelt out because
    # [A-Z] takes more than those in some locales. No credential may have the name of what the shell itself needs.
    case "${__raxx_name}" in
      '' | [0123456789]* | *[!ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_]* | __[rR][aA][xX][xX]*) \builtin continue ;;
      *) ;;
    esac
    [[ "${__raxx_refused}${__raxx_word} " != *" ${__raxx_name} "* ]] || \builtin continue
    __raxx_word="${__raxx_word} ${__raxx_name}"
    if [[ -z "${!__raxx_name+set}" ]]; then
      \builtin continue
    elif \builtin unset -v "${__raxx_name}" 2>/dev/null; then
      __raxx_count=$((__raxx_count + 1))
    else
      \builtin printf 'raxx: %s is read-only in this shell and stays set: close the shell\n' "${__raxx_name}" >&2
      __raxx_code=1
    fi
  done
  \builtin unset -v __RAXX_NAMES
  # What is started from here, an agent for instance, does not load the values again.
  RAXX_OFF=1
  \builtin export RAXX_OFF 2>/dev/null || \builtin :
  if [[ -t 2 ]]; then
    __raxx_text='variables'
    ((__raxx_count != 1)) || __raxx_text='variable'
    \builtin printf 'raxx: cleared %d %s\n' "${__raxx_count}" "${__raxx_text}" >&2
    __raxx_text="${DIRENV_DIFF:+direnv}"
    [[ -z "${__MISE_DIFF-}" ]] || __raxx_text="${__raxx_text:+${__raxx_text} and }mise"
    [[ -z "${__SHADOWENV_DATA-}" ]] || __raxx_text="${__raxx_text:+${__raxx_text} and }shadowenv"
    if [[ -n "${__raxx_text}" ]]; then
      \builtin printf 'raxx: %s can set values again when you leave this directory. Once outside, type: raxx unset\n' "${__raxx_text}" >&2
    fi
  fi
  # After this shell is clear: a tmux that hangs must not keep it from that. tmux gets what it needs and no token.
  if [[ "${2-}" == --tmux ]]; then
    __raxx_rest="${__raxx_word# } "
    \builtin set -- -i "PATH=${PATH-}" "HOME=${HOME-}" "TERM=${TERM-}" "TMUX=${TMUX-}" "TMUX_TMPDIR=${TMUX_TMPDIR-}" tmux
    if __raxx_text="$(\command env "$@" list-sessions -F '#{session_id}' 2>/dev/null)"; then
      __raxx_text="${__raxx_text:+${__raxx_text}${__raxx_line_end}}"
      while [[ -n "${__raxx_rest# }" ]]; do
        # Out of what new sessions get, and out of what new panes of each session get.
        \builtin set -- "$@" set-environment -gu "${__raxx_rest%% *}" ';'
        __raxx_value="${__raxx_text}"
        while [[ -n "${__raxx_value}" ]]; do
          \builtin set -- "$@" set-environment -u -t "${__raxx_value%%"${__raxx_line_end}"*}" "${__raxx_rest%% *}" ';'
          __raxx_value="${__raxx_value#*"${__raxx_line_end}"}"
        done
        __raxx_rest="${__raxx_rest#* }"
      done
      \command env "$@" >/dev/null 2>&1 || \builtin :
    else
      \builtin printf '%s\n' 'raxx: no tmux server answers: only this shell is cleared' >&2
      __raxx_code=1
    fi
  fi
  \builtin return "${__raxx_code}"
}

# Takes a quoted word from the front of $__raxx_line into $__raxx_value: 'it'\''s' is it's.
function __raxx_unquote {
  __raxx_value=''
  [[ "${__raxx_line:0:1}" == "${__raxx_quote}" ]] || \builtin return 1
  __raxx_line="${__raxx_line:1}"
  while [[ "${__raxx_line}" == *"${__raxx_quote}"* ]]; do
    __raxx_value="${__raxx_value}${__raxx_line%%"${__raxx_quote}"*}"
    __raxx_line="${__raxx_line#*"${__raxx_quote}"}"
    [[ "${__raxx_line:0:1}${__raxx_line:2:1}" == "\\${__raxx_quote}" ]] || \builtin return 0
    __raxx_value="${__raxx_value}${__raxx_line:1:1}"
    __raxx_line="${__raxx_line:3}"
  done
  \builtin return 1
}

# Carries out the whole lines of $__raxx_text. Errors of the shell itself are of no use to the person at the prompt.
function __raxx_take {
  \builtin local __raxx_line __raxx_line_end __raxx_quote __raxx_name __raxx_value
  __raxx_line_end=$'\n' __raxx_quote="'"
  while [[ "${__raxx_text}" == *"${__raxx_line_end}"* ]]; do
    __raxx_line="${__raxx_text%%"${__raxx_line_end}"*}"
    __raxx_text="${__raxx_text:${#__raxx_line}+1}"
    case "${__raxx_line}" in
      "builtin printf '%s\\n' "*)
        __raxx_line="${__raxx_line#* * * }"
        if __raxx_unquote; then
          \builtin printf '%s\n' "${__raxx_value}" >&2
        fi
        \builtin continue
        ;;
      # \builtin test "x${NAME-}" != 'xOLD' || \builtin …
      "\\builtin test \"x\${"*)
        __raxx_name="${__raxx_line#*\{}"
        __raxx_name="${__raxx_name%%-*}"
        __raxx_is_name || \builtin continue
        __raxx_line="${__raxx_line#* != }"
        __raxx_unquote || \builtin continue
        \builtin test "x${!__raxx_name-}" = "${__raxx_value}" || \builtin continue
        __raxx_line="${__raxx_line#* \\builtin }"
        ;;
      *) ;;
    esac
    __raxx_name="${__raxx_line#* }"
    __raxx_name="${__raxx_name%%=*}"
    __raxx_is_name || \builtin continue
    case "${__raxx_line}" in
      "unset "*) \builtin unset -v "${__raxx_name}" 2>/dev/null || \builtin : ;;
      "export "*"="*)
        __raxx_line="${__raxx_line#*=}"
        __raxx_unquote || \builtin continue
        \builtin export "${__raxx_name}=${__raxx_value}" 2>/dev/null || \builtin continue
        # Where the line says so, too: the name is one of those that raxx put there.
        if [[ "${__raxx_line}" == " __RAXX_NAMES="* ]]; then
          \builtin export "__RAXX_NAMES=${__RAXX_NAMES:+${__RAXX_NAMES} }${__raxx_name}" 2>/dev/null || \builtin :
        fi
        ;;
      *) ;;
    esac
  done
}

# Whether $__raxx_name is a variable's name. The letters are spelt out because [A-Z] takes more than those in some locales.
function __raxx_is_name {
  case "${__raxx_name}" in
    '' | [0123456789]* | *[!ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_]*) \builtin return 1 ;;
    *) ;;
  esac
}

function __raxx_status {
  \builtin return "$1"
}

# Runs at each prompt until the checks are told. It stays defined after that: starship and bash-preexec keep a copy of PROMPT_COMMAND
# and would call it. The argument is the status that the next command of a string PROMPT_COMMAND is to see.
function __raxx_prompt {
  if [[ -n "${__raxx_want-}${__raxx_fd-}${__raxx_said-}" ]]; then
    # On the left of `||`, no ERR trap and no `set -e` is concerned.
    __raxx_step || \builtin :
    if [[ -z "${__raxx_want-}${__raxx_fd-}${__raxx_said-}" ]]; then
      __raxx_uninstall || \builtin :
    elif ((${#FUNCNAME[@]} == 1)); then
      # Something has replaced PROMPT_COMMAND while it ran.
      __raxx_install || \builtin :
    fi
  fi
  \builtin return "${1-0}"
}

# __raxx_want: `next`: start the checks at this prompt; a number: they run, and that is the descriptor of their pipe; empty: nothing is
# wanted. It starts at a prompt, not in the rc file: `bash -i -c command` never gets here and needs no check.
function __raxx_step {
  \builtin local __raxx_trace __raxx_text
  __raxx_trace="${-//[!x]/}" __raxx_text=''
  { \builtin set +x; } 2>/dev/null
  case "${RAXX_OFF-}" in
    '' | 0) ;;
    *) __raxx_want='' __raxx_said='' ;;
  esac
  if [[ -n "${__raxx_fd-}" ]]; then
    __raxx_collect
    __raxx_take
  fi
  if [[ -n "${__raxx_said-}" ]]; then
    \builtin printf '%s\n' "${__raxx_said}" >&2
    __raxx_said='' __raxx_want=''
  elif [[ "${__raxx_want-}" == next ]]; then
    __raxx_start
  fi
  [[ -z "${__raxx_trace}" ]] || \builtin set -x
}

function __raxx_start {
  \builtin local __raxx_sh __raxx_posix __raxx_functrace
  __raxx_want=''
  # Where raxx is gone, a distribution's command_not_found_handle must not write into the pipe.
  \builtin type -P raxx >/dev/null 2>&1 || \builtin return 0
  for __raxx_fd in 60 61 62 63 64 65 66 67 68 69 ''; do
    [[ -n "${__raxx_fd}" ]] || \builtin return 0
    { \builtin : <&"${__raxx_fd}"; } 2>/dev/null || \builtin break
  done
  # sh keeps the answer until it is whole, then leaves a process behind that writes it and may wait for its reader (a pipe takes
  # 16 KiB on macOS). ^C and ^Z at the prompt are not meant for any of this.
  # shellcheck disable=SC2016 # it is for sh to expand
  __raxx_sh='trap "" INT QUIT TSTP
    code="$(command raxx hook bash'"${__raxx_nested-}"')" && [ -n "$code" ] && { printf "%s
" "$code" & }'
  # A process substitution is no job: nothing in `jobs`, no "[1]+ Done". But in bash 5 a `wait` without arguments waits for it, so
  # there it ends at once. bash 3.2 asks for the process later, so there it says its number and stays.
  if ((BASH_VERSINFO[0] < 4)); then
    __raxx_sh="echo \"\$\$\"; ${__raxx_sh}"
  else
    __raxx_sh="{ ${__raxx_sh}; } &"
  fi
  # `<(…)` is a syntax error in posix mode before bash 5.1. Leaving that mode takes its variable away, which may be exported.
  __raxx_posix=''
  if [[ -o posix ]] && ((BASH_VERSINFO[0] * 100 + BASH_VERSINFO[1] < 501)); then
    __raxx_posix="$(\builtin declare -p POSIXLY_CORRECT 2>/dev/null) on"
    \builtin set +o posix
  fi
  # Where functions inherit a DEBUG trap, bash 5.0 loses its own input to the process and ends.
  __raxx_functrace="${-//[!T]/}"
  \builtin set +T
  # In an eval because of the posix mode, and because the number of a descriptor cannot be a variable before 4.1. `builtin exec` would
  # close it again.
  if \builtin eval "\\exec ${__raxx_fd}< <(\\exec sh -c \"\${__raxx_sh}\" </dev/null 2>/dev/null)"; then
    __raxx_want="${__raxx_fd}"
    __raxx_pid=''
  else
    __raxx_fd=''
  fi 2>/dev/null
  [[ -z "${__raxx_functrace}" ]] || \builtin set -T
  if [[ -n "${__raxx_posix}" ]]; then
    \builtin set -o posix
    [[ "${__raxx_posix}" != 'declare -x'* ]] || \builtin export POSIXLY_CORRECT
  fi
}

# Takes the hook's answer when it is there. Closes the pipe when nobody wants it any more: `raxx unset`, or the rc file was read again.
function __raxx_collect {
  if [[ "${__raxx_want-}" == "${__raxx_fd}" ]]; then
    # bash 3.2 cannot ask a pipe whether it has something to read. The others must not ask for the process: in a container whose
    # first process is no init it stays a zombie for ever.
    if ((BASH_VERSINFO[0] < 4)); then
      [[ -n "${__raxx_pid}" ]] || IFS='' \builtin read -r -u "${__raxx_fd}" __raxx_pid || \builtin :
      \builtin kill -0 "${__raxx_pid}" && \builtin return 0
    else
      \builtin read -r -t 0 -u "${__raxx_fd}" || \builtin return 0
    fi
    IFS='' \builtin read -r -d '' -u "${__raxx_fd}" __raxx_text || \builtin :
    __raxx_want=''
  fi
  \builtin eval "\\exec ${__raxx_fd}<&-"
  __raxx_fd=''
} 2>/dev/null

# Puts the hook into PROMPT_COMMAND, where it is not there yet. By way of a variable, because people export PROMPT_COMMAND, and a shell
# without raxx, started from this one, must not say "command not found" at every prompt. printf, because an assignment to a read-only
# PROMPT_COMMAND (as auditors like it) would end the reading of the rc file.
# shellcheck disable=SC2016,SC2128 # each prompt expands it; of a string there is only the first element
function __raxx_install {
  \builtin local __raxx_at __raxx_end __raxx_line_end
  __raxx_hook='__raxx_prompt' __raxx_line_end=$'\n'
  case "${PROMPT_COMMAND[*]-}" in
    *'"${__raxx_hook-:}"'*) \builtin return 0 ;;
    *) ;;
  esac
  # From bash 5.1 on, each element of an array sees $? and PIPESTATUS as the person's command left them, and a plain assignment
  # replaces only the first. An array is lost to child processes, so what is exported stays a string.
  if [[ -z "${PROMPT_COMMAND-}" ]]; then
    # For `PROMPT_COMMAND="$PROMPT_COMMAND;…"`, which people have in their rc files: a command that leaves $? and, unless that is a
    # failure, PIPESTATUS alone.
    \builtin printf -v PROMPT_COMMAND '%s' 'case $? in 0) ;; *) "${__raxx_keep-:}" "$?" && \:;; esac' || \builtin return 1
    __raxx_keep='__raxx_status'
  fi
  if ((BASH_VERSINFO[0] * 100 + BASH_VERSINFO[1] >= 501)) && [[ "${PROMPT_COMMAND+${PROMPT_COMMAND@a}}" != *[rx]* ]]; then
    # macOS's /etc/bashrc unsets the whole array where its first element is this and nothing more.
    [[ "${PROMPT_COMMAND-}" != shell_session_history_check ]] || PROMPT_COMMAND[0]='shell_session_history_check;'
    __raxx_end=0
    for __raxx_at in "${!PROMPT_COMMAND[@]}"; do
      __raxx_end="${__raxx_at}"
    done
    \builtin printf -v "PROMPT_COMMAND[$((__raxx_end + 1))]" '%s' '"${__raxx_hook-:}"'
    \builtin return
  fi
  # In a string it comes last, so that the others see PIPESTATUS. `&&` keeps an ERR trap from running and gives $? to what is added
  # behind it.
  __raxx_end="${PROMPT_COMMAND-}"
  while [[ "${__raxx_end}" == *[[:blank:]] ]]; do
    __raxx_end="${__raxx_end%?}"
  done
  case "${__raxx_end}" in
    '') ;;
    *';' | *'&' | *"${__raxx_line_end}") __raxx_end="${PROMPT_COMMAND}${__raxx_line_end}" ;;
    *) __raxx_end="${PROMPT_COMMAND};${__raxx_line_end}" ;;
  esac
  \builtin printf -v PROMPT_COMMAND '%s' "${__raxx_end}"'"${__raxx_hook-:}" "$?" && \:'
} 2>/dev/null

# Takes it out again, where it is still as it was put there.
# shellcheck disable=SC2016,SC2128
function __raxx_uninstall {
  \builtin local __raxx_at __raxx_end __raxx_line_end
  __raxx_line_end=$'\n'
  if ((BASH_VERSINFO[0] * 100 + BASH_VERSINFO[1] >= 501)); then
    for __raxx_at in "${!PROMPT_COMMAND[@]}"; do
      if [[ "${PROMPT_COMMAND[__raxx_at]}" == '"${__raxx_hook-:}"' ]]; then
        \builtin unset -v "PROMPT_COMMAND[${__raxx_at}]" 2>/dev/null || \builtin return 0
      fi
    done
  fi
  __raxx_end='"${__raxx_hook-:}" "$?" && \:'
  case "${PROMPT_COMMAND-}" in
    *"${__raxx_line_end}${__raxx_end}")
      __raxx_end="${PROMPT_COMMAND:0:${#PROMPT_COMMAND}-${#__raxx_end}-1}"
      \builtin printf -v PROMPT_COMMAND '%s' "${__raxx_end%;}" || \builtin return 0
      ;;
    *) ;;
  esac
  __raxx_end='case $? in 0) ;; *) "${__raxx_keep-:}" "$?" && \:;; esac'
  case "${PROMPT_COMMAND-}" in
    "${__raxx_end}"*)
      __raxx_end="${PROMPT_COMMAND:${#__raxx_end}}"
      while [[ "${__raxx_end}" == [[:space:]\;]* ]]; do
        __raxx_end="${__raxx_end:1}"
      done
      \builtin printf -v PROMPT_COMMAND '%s' "${__raxx_end}" || \builtin return 0
      ;;
    *) ;;
  esac
} 2>/dev/null

# What the rc file is read for, in an interactive shell only.
function __raxx_init {
  \builtin local __raxx_name __raxx_text __raxx_code __raxx_rest __raxx_trace
  __raxx_name='' __raxx_text='' __raxx_code=0 __raxx_rest='@NAMES@ ' __raxx_trace="${-//[!x]/}"
  \builtin set +x
  __raxx_said='' __raxx_want=''
  # From the environment it may be anything, and it is evaluated. A pipe of this shell is closed at the next prompt.
  [[ "${__raxx_fd-}" == 6[0123456789] ]] || __raxx_fd=''
  case "${RAXX_OFF-}" in
    '' | 0) ;;
    *)
      [[ -z "${__raxx_trace}" ]] || \builtin set -x
      \builtin return 0
      ;;
  esac

  # The checks of a shell that inherited raxx's values do not repeat what was said about them.
  __raxx_nested="${__RAXX_NAMES:+ --nested}"
  # A nested shell has inherited everything: no program is started.
  while [[ -n "${__raxx_rest}" ]]; do
    __raxx_name="${__raxx_rest%% *}"
    __raxx_rest="${__raxx_rest#* }"
    if [[ -n "${__raxx_name}" && -z "${!__raxx_name-}" ]]; then
      __raxx_text="$(\command raxx export bash --missing </dev/null 2>&1)" || __raxx_code="$?"
      case "${__raxx_code}" in
        0)
          __raxx_text="${__raxx_text}"$'\n'
          __raxx_take
          ;;
        # A broken configuration: said at the first prompt, where the checks would only say it again, one prompt later.
        2) __raxx_said="${__raxx_text}" ;;
        *) ;;
      esac
      \builtin break
    fi
  done

  __raxx_want=next
  __raxx_install || __raxx_want=''
  [[ -z "${__raxx_trace}" ]] || \builtin set -x
} >/dev/null 2>&1

if [[ "$-" == *i* ]]; then
  __raxx_init
fi
