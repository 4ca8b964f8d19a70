# shellcheck shell=bash
#
# raxx for bash 3.2 and later. In .bashrc:  eval "$(raxx init bash)"
#
# Defines raxx(), sets the variables that this shell lacks, and lets the first prompt start the checks. Prints nothing while the rc
# file runs. Contains no secret, so it can be cached.
#
# Why the code looks like this:
# - The user's aliases are active while this is read, so commands are written as `\builtin name` or `\command name`.
# - All names start with __raxx_, even locals: the `export NAME` of a snippet must never hit a local variable called NAME.
# - Code from raxx is read line by line, complete lines only, and never evaluated: a DEBUG trap would see the values in the command
#   text. A truncated write loses only its last line, and a read-only variable only its own line.
# - Text with values is never passed to a here-string or here-document: bash before 5.1 writes those to a file in TMPDIR.
# - `set +x` comes before any value is read: xtrace would write the values to the terminal or a log.
# - No `local NAME=value`: with `set -k` that is an assignment to the environment of a `local` without arguments.
# - Lists are split with ${list%% *}: no IFS, no globbing, no `"${array[@]}"`, which fails under `set -u` in bash 3.2 if it is empty.
# - The newline and the quote are in variables: with extquote off, $'\n' is four letters inside "${…}".
# - bash 3.2 is macOS's: no `exec {fd}<`, no `read -t 0`, no `local -`, no `source <(…)`.

# Agents copy a shell's functions without its variables (Claude Code's snapshots), so the names are inside and there is no helper.
function raxx {
  \builtin local __raxx_word __raxx_name __raxx_text __raxx_rest __raxx_value __raxx_names __raxx_refused __raxx_code __raxx_count
  \builtin local __raxx_line_end __raxx_quote __raxx_trace
  __raxx_word='' __raxx_name='' __raxx_text='' __raxx_rest='' __raxx_value='' __raxx_code=0 __raxx_count=0
  __raxx_names='@NAMES@' __raxx_refused=' @REFUSED_NAMES@ '
  __raxx_line_end=$'\n' __raxx_quote="'" __raxx_trace="${-//[!x]/}"

  # The checks still wait for the first prompt, but a prompt came without them.
  if [[ "${__raxx_want-}" == next && "${1-}" != unset && -z "${BASH_EXECUTION_STRING-}" && "$-" == *i* ]] &&
    ((BASH_SUBSHELL == 0 && ${#FUNCNAME[@]} == 1)); then
    __raxx_want=''
    \builtin printf '%s\n' 'raxx: PROMPT_COMMAND was replaced after the raxx line of .bashrc, so this shell runs no checks.' \
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
    # At ^C, bash 3.2 would end the function and lose a value that was just stored, unless the signal is handled.
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
      # Exit codes 0 and 1 (a credential failed) come with code, and so do those of a signal. All others come only with a message.
      0 | 1 | 129 | 130 | 131 | 143)
        # This report is newer than the one of the background check.
        [[ "$1" == load && "$#" -gt 1 || -z "${__raxx_text}" ]] || __raxx_want=''
        if [[ -n "${__raxx_text}" ]] && ((BASH_SUBSHELL > 0)); then
          \builtin printf '%s\n' 'raxx: this ran in a subshell (a pipe?), so your shell does not have the values. Type: raxx load' >&2
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

  # unset: the emergency clear. It starts no program, so it works even if raxx is missing, broken or hung.
  if (($# > 1)) && [[ "$# $2" != '2 --tmux' ]]; then
    \builtin printf '%s\n' 'raxx: unset takes no names: it clears every variable that raxx manages; --tmux clears them in tmux too' >&2
    \builtin return 2
  fi
  __raxx_want='' __raxx_said=''
  # Programs started from now on must not inherit the pipe with the answer.
  if [[ "${__raxx_fd-}" == 6[0123456789] ]]; then
    \builtin eval "\\exec ${__raxx_fd}<&-" || \builtin :
  fi 2>/dev/null
  __raxx_fd=''
  __raxx_word=''
  __raxx_rest="${__raxx_names} ${__RAXX_NAMES-} "
  while [[ -n "${__raxx_rest}" ]]; do
    __raxx_name="${__raxx_rest%% *}"
    __raxx_rest="${__raxx_rest#* }"
    # $__RAXX_NAMES comes from the environment, and `unset 'a[$(command)]'` would run the command. The letters are spelled out because
    # [A-Z] matches more than those in some locales. No credential can have a name that the shell itself needs.
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
  # Programs started from here, such as an agent, do not load the values again.
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
  # After clearing this shell, so that a hung tmux cannot prevent that. tmux gets what it needs and no token.
  if [[ "${2-}" == --tmux ]]; then
    __raxx_rest="${__raxx_word# } "
    \builtin set -- -i "PATH=${PATH-}" "HOME=${HOME-}" "TERM=${TERM-}" "TMUX=${TMUX-}" "TMUX_TMPDIR=${TMUX_TMPDIR-}" tmux
    if __raxx_text="$(\command env "$@" list-sessions -F '#{session_id}' 2>/dev/null)"; then
      __raxx_text="${__raxx_text:+${__raxx_text}${__raxx_line_end}}"
      while [[ -n "${__raxx_rest# }" ]]; do
        # Removes the name for new sessions, and for new panes of each session.
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
      \builtin printf '%s\n' 'raxx: no tmux server responded: only this shell was cleared' >&2
      __raxx_code=1
    fi
  fi
  \builtin return "${__raxx_code}"
}

# Moves a quoted word from the start of $__raxx_line to $__raxx_value: 'it'\''s' is it's.
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

# Executes the complete lines of $__raxx_text. The shell's own errors are hidden: they do not help the user.
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
        # If the line also sets __RAXX_NAMES, raxx exported this variable.
        if [[ "${__raxx_line}" == " __RAXX_NAMES="* ]]; then
          \builtin export "__RAXX_NAMES=${__RAXX_NAMES:+${__RAXX_NAMES} }${__raxx_name}" 2>/dev/null || \builtin :
        fi
        ;;
      *) ;;
    esac
  done
}

# Whether $__raxx_name is a variable name. The letters are spelled out because [A-Z] matches more than those in some locales.
function __raxx_is_name {
  case "${__raxx_name}" in
    '' | [0123456789]* | *[!ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_]*) \builtin return 1 ;;
    *) ;;
  esac
}

function __raxx_status {
  \builtin return "$1"
}

# Runs at each prompt until the result of the checks was shown. It stays defined after that: starship and bash-preexec keep a copy of
# PROMPT_COMMAND and would call it. The argument is the exit status for the next command of a string PROMPT_COMMAND.
function __raxx_prompt {
  if [[ -n "${__raxx_want-}${__raxx_fd-}${__raxx_said-}" ]]; then
    # On the left of `||`, neither an ERR trap nor `set -e` applies.
    __raxx_step || \builtin :
    if [[ -z "${__raxx_want-}${__raxx_fd-}${__raxx_said-}" ]]; then
      __raxx_uninstall || \builtin :
    elif ((${#FUNCNAME[@]} == 1)); then
      # Another command has replaced PROMPT_COMMAND while it ran.
      __raxx_install || \builtin :
    fi
  fi
  \builtin return "${1-0}"
}

# __raxx_want: `next`: start the checks at this prompt; a number: they run, and this is the descriptor of their pipe; empty: nothing
# to do. They start at a prompt, not in the rc file: `bash -i -c command` has no prompt and needs no check.
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
  # If raxx is missing, a distribution's command_not_found_handle must not write into the pipe.
  \builtin type -P raxx >/dev/null 2>&1 || \builtin return 0
  for __raxx_fd in 60 61 62 63 64 65 66 67 68 69 ''; do
    [[ -n "${__raxx_fd}" ]] || \builtin return 0
    { \builtin : <&"${__raxx_fd}"; } 2>/dev/null || \builtin break
  done
  # sh collects the whole answer, then leaves a process behind that writes it and may wait for a reader (a pipe holds 16 KiB on
  # macOS). ^C and ^Z at the prompt must not affect any of this.
  # shellcheck disable=SC2016 # sh expands it
  __raxx_sh='trap "" INT QUIT TSTP
    code="$(command raxx hook bash'"${__raxx_nested-}"')" && [ -n "$code" ] && { printf "%s
" "$code" & }'
  # A process substitution is not a job: nothing in `jobs`, no "[1]+ Done". But in bash 5 a `wait` without arguments waits for it, so
  # there sh exits at once. bash 3.2 tests later whether the process is alive, so there sh prints its process ID and keeps running.
  if ((BASH_VERSINFO[0] < 4)); then
    __raxx_sh="echo \"\$\$\"; ${__raxx_sh}"
  else
    __raxx_sh="{ ${__raxx_sh}; } &"
  fi
  # `<(…)` is a syntax error in posix mode before bash 5.1. Leaving that mode unsets its variable, which may be exported.
  __raxx_posix=''
  if [[ -o posix ]] && ((BASH_VERSINFO[0] * 100 + BASH_VERSINFO[1] < 501)); then
    __raxx_posix="$(\builtin declare -p POSIXLY_CORRECT 2>/dev/null) on"
    \builtin set +o posix
  fi
  # If functions inherit a DEBUG trap, bash 5.0 loses its own input to the process and exits.
  __raxx_functrace="${-//[!T]/}"
  \builtin set +T
  # In an eval because of the posix mode, and because a descriptor number cannot be in a variable before 4.1. `builtin exec` would
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

# Reads the hook's answer once it is there. Closes the pipe if the answer is no longer wanted: after `raxx unset`, or if the rc file
# was read again.
function __raxx_collect {
  if [[ "${__raxx_want-}" == "${__raxx_fd}" ]]; then
    # bash 3.2 cannot test whether a pipe has input. Newer versions must not test the process instead: in a container whose first
    # process is not an init, it stays a zombie forever.
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

# Adds the hook to PROMPT_COMMAND, unless it is already there. It goes through a variable because people export PROMPT_COMMAND, and a
# child shell without raxx must not print "command not found" at every prompt. printf is used because an assignment to a read-only
# PROMPT_COMMAND (as auditors set it) would stop the rc file.
# shellcheck disable=SC2016,SC2128 # each prompt expands it; a string has only the first element
function __raxx_install {
  \builtin local __raxx_at __raxx_end __raxx_line_end
  __raxx_hook='__raxx_prompt' __raxx_line_end=$'\n'
  case "${PROMPT_COMMAND[*]-}" in
    *'"${__raxx_hook-:}"'*) \builtin return 0 ;;
    *) ;;
  esac
  # Since bash 5.1, each element of an array sees $? and PIPESTATUS as the user's command left them, and a plain assignment replaces
  # only the first. Child processes do not inherit arrays, so an exported variable stays a string.
  if [[ -z "${PROMPT_COMMAND-}" ]]; then
    # For `PROMPT_COMMAND="$PROMPT_COMMAND;…"`, which people have in their rc files: a command that preserves $? and, unless that is
    # a failure, PIPESTATUS.
    \builtin printf -v PROMPT_COMMAND '%s' 'case $? in 0) ;; *) "${__raxx_keep-:}" "$?" && \:;; esac' || \builtin return 1
    __raxx_keep='__raxx_status'
  fi
  if ((BASH_VERSINFO[0] * 100 + BASH_VERSINFO[1] >= 501)) && [[ "${PROMPT_COMMAND+${PROMPT_COMMAND@a}}" != *[rx]* ]]; then
    # macOS's /etc/bashrc unsets the whole array if its first element is exactly this.
    [[ "${PROMPT_COMMAND-}" != shell_session_history_check ]] || PROMPT_COMMAND[0]='shell_session_history_check;'
    __raxx_end=0
    for __raxx_at in "${!PROMPT_COMMAND[@]}"; do
      __raxx_end="${__raxx_at}"
    done
    \builtin printf -v "PROMPT_COMMAND[$((__raxx_end + 1))]" '%s' '"${__raxx_hook-:}"'
    \builtin return
  fi
  # In a string it comes last, so that the other commands see PIPESTATUS. `&&` prevents an ERR trap and passes $? to commands that are
  # appended later.
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

# Removes the hook again, if it is still the way it was added.
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

# Called when the rc file is read, in interactive shells only.
function __raxx_init {
  \builtin local __raxx_name __raxx_text __raxx_code __raxx_rest __raxx_trace
  __raxx_name='' __raxx_text='' __raxx_code=0 __raxx_rest='@NAMES@ ' __raxx_trace="${-//[!x]/}"
  \builtin set +x
  __raxx_said='' __raxx_want=''
  # A value from the environment could be anything, and it would be evaluated. A pipe of this shell is closed at the next prompt.
  [[ "${__raxx_fd-}" == 6[0123456789] ]] || __raxx_fd=''
  case "${RAXX_OFF-}" in
    '' | 0) ;;
    *)
      [[ -z "${__raxx_trace}" ]] || \builtin set -x
      \builtin return 0
      ;;
  esac

  # In a shell that inherited raxx's values, the checks do not repeat what was already reported.
  __raxx_nested="${__RAXX_NAMES:+ --nested}"
  # A nested shell has inherited everything, so no program is started.
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
        # A broken configuration is reported at the first prompt; the checks would only report it again, one prompt later.
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
