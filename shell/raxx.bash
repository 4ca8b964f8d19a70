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
# - Code from raxx is taken line by line, whole lines only: each is one statement, a write that was cut short loses only its last
#   line, a read-only variable only its own. `builtin` before it: the user may have an alias or a function called export.
# - Text with values in it is never given to a here-string or here-document: bash before 5.1 writes those to a file in TMPDIR.
# - `set +x` comes before any value is at hand: xtrace would write the values to the terminal or a log.
# - Lists are cut with ${list%% *}: no IFS, no globbing, no `"${array[@]}"`, which dies under `set -u` in bash 3.2 when it is empty.
# - A line's end stands in a variable: with extquote off, $'\n' is four letters inside "${…}".
# - bash 3.2 is macOS's: no `exec {fd}<`, no `read -t 0`, no `local -`, no `source <(…)`.

# Agents copy the functions of a shell without its variables (Claude Code's snapshots), hence the names inside it and no helper.
function raxx {
  \builtin local __raxx_word='' __raxx_name='' __raxx_text='' __raxx_rest='' __raxx_names='@NAMES@'
  \builtin local __raxx_code=0 __raxx_count=0 __raxx_line_end=$'\n' __raxx_trace="${-//[!x]/}"

  case "${1-}" in
    load | rotate | unset)
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
    # 0 and 1 (a credential failed) come with code; anything else comes with a message only.
    __raxx_text="$(\command raxx "$1" --shell bash "${@:2}")" || __raxx_code="$?"
    if ((__raxx_code <= 1)); then
      # This report is younger than the one on its way behind the prompt.
      [[ "$1" == load && "$#" -gt 1 || -z "${__raxx_text}" ]] || __raxx_want=''
      if [[ -n "${__raxx_text}" ]] && ((BASH_SUBSHELL > 0)); then
        \builtin printf '%s\n' 'raxx: that ran in a subshell (a pipe?): the shell that you type in does not have the values' >&2
      fi
      __raxx_rest="${__raxx_text}${__raxx_line_end}"
    fi
    while [[ -n "${__raxx_rest}" ]]; do
      __raxx_word="${__raxx_rest%%"${__raxx_line_end}"*}"
      __raxx_rest="${__raxx_rest:${#__raxx_word}+1}"
      case "${__raxx_word}" in
        "export "* | "unset "*)
          \builtin eval "\\builtin ${__raxx_word}" 2>/dev/null && \builtin continue
          __raxx_name="${__raxx_word#* }"
          \builtin printf 'raxx: %s is read-only in this shell and keeps its value\n' "${__raxx_name%%=*}" >&2
          __raxx_code=1
          ;;
        *) ;;
      esac
    done
    [[ -z "${__raxx_trace}" ]] || \builtin set -x
    \builtin return "${__raxx_code}"
  fi

  # unset: the emergency clear. No program is started, so that it works when raxx is gone, broken or hung.
  if (($# > 1)) && [[ "$# $2" != '2 --tmux' ]]; then
    \builtin printf '%s\n' 'raxx: unset takes no names, it clears every variable that raxx knows; --tmux: in the tmux server too' >&2
    \builtin return 2
  fi
  __raxx_want=''
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
    # [A-Z] takes more than those in some locales.
    case "${__raxx_name}" in
      '' | [0123456789]* | *[!ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_]*) \builtin continue ;;
      *) ;;
    esac
    __raxx_word="${__raxx_word} ${__raxx_name}"
    if [[ -z "${!__raxx_name+set}" ]]; then
      \builtin continue
    elif \builtin unset -v "${__raxx_name}" 2>/dev/null; then
      __raxx_count=$((__raxx_count + 1))
    elif [[ " ${__raxx_text} " != *" ${__raxx_name} "* ]]; then
      \builtin printf 'raxx: %s is read-only in this shell and stays set: close the shell\n' "${__raxx_name}" >&2
      __raxx_text="${__raxx_text} ${__raxx_name}"
      __raxx_code=1
    fi
  done
  \builtin unset -v __RAXX_NAMES
  # After this shell is clear: a tmux that hangs must not keep it from that.
  if [[ "${2-}" == --tmux ]]; then
    __raxx_rest="${__raxx_word# } "
    if \command tmux show-environment -g >/dev/null 2>&1; then
      while [[ -n "${__raxx_rest# }" ]]; do
        # Out of what new sessions get, and out of what new panes of this session get.
        \command tmux set-environment -gu "${__raxx_rest%% *}" >/dev/null 2>&1 || \builtin :
        \command tmux set-environment -u "${__raxx_rest%% *}" >/dev/null 2>&1 || \builtin :
        __raxx_rest="${__raxx_rest#* }"
      done
    else
      \builtin printf '%s\n' 'raxx: no tmux server answers: only this shell is cleared' >&2
      __raxx_code=1
    fi
  fi
  if [[ -t 2 ]]; then
    __raxx_word='variables'
    ((__raxx_count != 1)) || __raxx_word='variable'
    \builtin printf 'raxx: cleared %d %s\n' "${__raxx_count}" "${__raxx_word}" >&2
  fi
  \builtin return "${__raxx_code}"
}

# Carries out the whole lines of $__raxx_text. Errors of the shell itself are of no use to the person at the prompt.
function __raxx_take {
  \builtin local __raxx_line='' __raxx_line_end=$'\n'
  while [[ "${__raxx_text}" == *"${__raxx_line_end}"* ]]; do
    __raxx_line="${__raxx_text%%"${__raxx_line_end}"*}"
    __raxx_text="${__raxx_text:${#__raxx_line}+1}"
    case "${__raxx_line}" in
      "builtin printf "*) \builtin eval "\\${__raxx_line}" || \builtin : ;;
      "\\builtin test "*) \builtin eval "${__raxx_line}" 2>/dev/null || \builtin : ;;
      "export "* | "unset "*) \builtin eval "\\builtin ${__raxx_line}" 2>/dev/null || \builtin : ;;
      *) ;;
    esac
  done
}

# Runs before each prompt. __raxx_want: `next`: start the checks at this prompt; a number: they run, and that is the descriptor of
# their pipe; empty: nothing is wanted. It starts at a prompt, not in the rc file: `bash -i -c command` never gets here and needs no
# check. It stays defined when there is nothing left to do: starship and bash-preexec keep a copy of PROMPT_COMMAND and would call it.
function __raxx_prompt {
  \builtin local __raxx_status="$?" __raxx_trace="${-//[!x]/}" __raxx_text=''
  if [[ -n "${__raxx_want-}${__raxx_fd-}" ]]; then
    { \builtin set +x; } 2>/dev/null
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
  fi
  # In a string PROMPT_COMMAND, what comes after this sees this status.
  \builtin return "${__raxx_status}"
}

function __raxx_start {
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
  \builtin local __raxx_sh='trap "" INT QUIT TSTP
    code="$(command raxx hook bash'"${__raxx_nested-}"')" && [ -n "$code" ] && { printf "%s\n" "$code" & }'
  # A process substitution is no job: nothing in `jobs`, no "[1]+ Done". But in bash 5 a `wait` without arguments waits for it, so
  # there it ends at once. bash 3.2 asks for the process later, so there it says its number and stays.
  if ((BASH_VERSINFO[0] < 4)); then
    __raxx_sh="echo \"\$\$\"; ${__raxx_sh}"
  else
    __raxx_sh="{ ${__raxx_sh}; } &"
  fi
  # `<(…)` is a syntax error in posix mode before bash 5.1. Leaving that mode takes its variable away, which may be exported.
  \builtin local __raxx_posix=''
  if [[ -o posix ]] && ((BASH_VERSINFO[0] * 100 + BASH_VERSINFO[1] < 501)); then
    __raxx_posix="$(\builtin declare -p POSIXLY_CORRECT 2>/dev/null) on"
    \builtin set +o posix
  fi
  # In an eval for that reason, and because the number of a descriptor cannot be a variable before 4.1. `builtin exec` would close it
  # again.
  if \builtin eval "\\exec ${__raxx_fd}< <(\\exec sh -c \"\${__raxx_sh}\" </dev/null 2>/dev/null)"; then
    __raxx_want="${__raxx_fd}"
    __raxx_pid=''
  else
    __raxx_fd=''
  fi 2>/dev/null
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

# What the rc file is read for, in an interactive shell only.
function __raxx_init {
  \builtin local __raxx_name='' __raxx_text='' __raxx_code=0 __raxx_rest='@NAMES@ ' __raxx_trace="${-//[!x]/}"
  \builtin set +x
  __raxx_said=''
  # From the environment it may be anything, and it is evaluated. A pipe of this shell is closed at the next prompt.
  [[ "${__raxx_fd-}" == 6[0123456789] ]] || __raxx_fd=''

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

  # In front, because what stands there may end in `;`. An assignment to an array sets its first element, which bash before 5.1 runs
  # alone; the others may hold the hook where somebody put something in front of it. printf, because an assignment to a read-only
  # PROMPT_COMMAND (as auditors like it) would end the reading of the rc file. By way of a variable, because people export
  # PROMPT_COMMAND, and a shell without raxx, started from this one, must not say "command not found" at every prompt.
  __raxx_hook='__raxx_prompt'
  # shellcheck disable=SC2016 # each prompt expands it
  case "${PROMPT_COMMAND[*]-}" in
    *'"${__raxx_hook-:}"'*) ;;
    *) \builtin printf -v PROMPT_COMMAND '%s' '"${__raxx_hook-:}"' "${PROMPT_COMMAND:+;${PROMPT_COMMAND}}" || \builtin : ;;
  esac
  __raxx_want=next
  [[ -z "${__raxx_trace}" ]] || \builtin set -x
} >/dev/null 2>&1

if [[ "$-" == *i* ]]; then
  __raxx_init
fi
