# raxx for zsh 5.1 and later. In .zshrc:  eval "$(raxx init zsh)"
#
# Defines raxx(), sets the variables that this shell lacks, and lets the first prompt start the checks. Prints nothing while the rc
# file runs: powerlevel10k's instant prompt warns about any output. Contains no secret, so it can be cached.
#
# Why the code looks like this:
# - `eval` parses the whole text with the user's options and aliases before the first line runs. So commands are written as
#   `\builtin
# ame` or `\command
# ame`, words are quoted, even numbers ('--help' is a global alias in bat's manual, and people
#   define `alias -g 1='…'`), and code that depends on options (`exec {fd}<` fails under `emulate sh`) is in a nested eval.
# - All names start with __raxx_, even locals: the `export NAME` of a snippet must never hit a local variable called NAME.
# - Code from raxx is read line by line, complete lines only, and never evaluated: a DEBUG trap would see the values in the command
#   text. A truncated write loses only its last line, and a read-only variable only its own line.
# - `no_xtrace` comes before any value is read: `set -x` would write the values to the terminal or a log.
# - No $+functions, $commands or $parameters: they load zsh/parameter, and loading a module from an rc file can deadlock under
#   Rosetta in a login shell (jdx/mise, discussion 11187).

# Agents copy a shell's functions without its variables (Claude Code's snapshots), so the names are inside and there is no helper.
function raxx {
  \builtin \emulate -L 'zsh'
  \builtin \setopt 'no_aliases' 'no_xtrace'
  \builtin \local __raxx_word='' __raxx_name='' __raxx_value='' __raxx_text='' __raxx_names='@NAMES@'
  \builtin \local __raxx_refused=' @REFUSED_NAMES@ '
  \builtin \local -i __raxx_code __raxx_count
  \builtin \local -a __raxx_words __raxx_sessions

  case "${1-}" in
  ('load'|'rotate'|'store'|'import'|'unset')
    for __raxx_word in "$@"; do
      case "$__raxx_word" in
      ('-h'|'--help')
        \command \raxx "$@"
        \builtin \return
        ;;
      esac
    done
    ;;
  (*)
    \command \raxx "$@"
    \builtin \return
    ;;
  esac

  if [[ "$1" != 'unset' ]]; then
    # raxx handles ^C and reports the result. Without a trap of its own, the function would end here.
    \builtin \trap ':' 'INT'
    __raxx_text="$(\command \raxx "$1" --shell 'zsh' "${@:2}")" || __raxx_code="$?"
    case "$__raxx_code" in
    # Exit codes 0 and 1 (a credential failed) come with code, and so do those of a signal. All others come only with a message.
    ('0'|'1'|'129'|'130'|'131'|'143') ;;
    (*) \builtin \return "$__raxx_code" ;;
    esac
    # This report is newer than the one of the background check.
    [[ "$1 $#" == 'load '<2-> || -z "$__raxx_text" ]] || \builtin \typeset -g __raxx_want=''
    if [[ -n "$__raxx_text" ]] && (( ZSH_SUBSHELL )); then
      \builtin \print -r -u2 -- 'raxx: this ran in a subshell (a pipe?), so your shell does not have the values. Type: raxx load'
    fi
    if [[ "$1" == 'load' ]] && (( __raxx_code <= 1 )); then
      \builtin \eval '\builtin \unset RAXX_OFF' 2>/dev/null
    fi
    for __raxx_word in "${(@f)__raxx_text}"; do
      case "$__raxx_word" in
      ('export '*'='*|'unset '*) ;;
      (*) \builtin \continue ;;
      esac
      __raxx_words=("${(@z)__raxx_word}")
      __raxx_name="${__raxx_words[2]%%=*}"
      __raxx_value="${(Q)__raxx_words[2]#*=}"
      case "$__raxx_name" in
      (''|[0-9]*|*[^A-Za-z0-9_]*) \builtin \continue ;;
      esac
      # Setting a read-only variable ends the function, unless a builtin does it in an eval.
      case "$__raxx_word" in
      ('unset '*) \builtin \eval '\builtin \unset "$__raxx_name"' 2>/dev/null && \builtin \continue ;;
      (*) \builtin \eval '\builtin \export "$__raxx_name=$__raxx_value"' 2>/dev/null && \builtin \continue ;;
      esac
      \builtin \print -r -u2 -- "raxx: $__raxx_name is read-only in this shell and keeps its value"
      __raxx_code='1'
    done
    \builtin \return "$__raxx_code"
  fi

  # unset: the emergency clear. It starts no program, so it works even if raxx is missing, broken or hung.
  if (( $# > 1 )) && [[ "$# $2" != '2 --tmux' ]]; then
    \builtin \print -r -u2 -- 'raxx: unset takes no names: it clears every variable that raxx manages; --tmux clears them in tmux too'
    \builtin \return '2'
  fi
  # Programs started from now on must not inherit the pipe with the answer.
  if [[ "${__raxx_want-}" == <-> && "${(t)__raxx_want}" != *'export'* ]]; then
    \builtin \zle -F "$__raxx_want" 2>/dev/null
    \builtin \eval 'exec {__raxx_want}<&-' 2>/dev/null
  fi
  \builtin \typeset -g __raxx_want='' __raxx_said=''
  __raxx_word=''
  __raxx_names+=" ${__RAXX_NAMES-}"
  for __raxx_name in ${(us: :)__raxx_names}; do
    # $__RAXX_NAMES comes from the environment, and `unset 'a[$(command)]'` would run the command. No credential can have a name
    # that the shell itself needs.
    case "$__raxx_name" in
    ([0-9]*|*[^A-Za-z0-9_]*|__[rR][aA][xX][xX]*) \builtin \continue ;;
    esac
    [[ "$__raxx_refused" != *" $__raxx_name "* ]] || \builtin \continue
    case "${(Pt)__raxx_name}" in
    (*'special'*|*'tied'*|'array'*|'association'*) \builtin \continue ;;
    esac
    __raxx_word+=" $__raxx_name"
    if [[ -z "${(Pt)__raxx_name}" ]]; then
      \builtin \continue
    elif \builtin \eval '\builtin \unset "$__raxx_name"' 2>/dev/null; then
      (( ++__raxx_count ))
    else
      \builtin \print -r -u2 -- "raxx: $__raxx_name is read-only in this shell and stays set: close the shell"
      __raxx_code='1'
    fi
  done
  \builtin \unset __RAXX_NAMES
  # Programs started from here, such as an agent, do not load the values again.
  \builtin \eval '\builtin \export RAXX_OFF=1' 2>/dev/null
  if [[ -t '2' ]]; then
    (( __raxx_count == 1 )) && __raxx_text='variable' || __raxx_text='variables'
    \builtin \print -r -u2 -- "raxx: cleared $__raxx_count $__raxx_text"
    __raxx_words=(${DIRENV_DIFF:+'direnv'} ${__MISE_DIFF:+'mise'} ${__SHADOWENV_DATA:+'shadowenv'})
    (( ! ${#__raxx_words} )) ||
      \builtin \print -r -u2 -- "raxx: ${(j: and :)__raxx_words} can set values again when you leave this directory. Once outside, type: raxx unset"
  fi
  # After clearing this shell, so that a hung tmux cannot prevent that. tmux gets what it needs and no token.
  if [[ "${2-}" == '--tmux' ]]; then
    __raxx_words=('-i' "PATH=$PATH" "HOME=$HOME" "TERM=${TERM-}" "TMUX=${TMUX-}" "TMUX_TMPDIR=${TMUX_TMPDIR-}" 'tmux')
    if __raxx_text="$(\command \env "${__raxx_words[@]}" list-sessions -F '#{session_id}' 2>/dev/null)"; then
      __raxx_sessions=("${(@f)__raxx_text}")
      for __raxx_name in ${(s: :)__raxx_word}; do
        # Removes the name for new sessions, and for new panes of each session.
        __raxx_words+=('set-environment' '-gu' "$__raxx_name" ';')
        for __raxx_value in "${__raxx_sessions[@]:#}"; do
          __raxx_words+=('set-environment' '-u' '-t' "$__raxx_value" "$__raxx_name" ';')
        done
      done
      \command \env "${__raxx_words[@]}" &>/dev/null
    else
      \builtin \print -r -u2 -- 'raxx: no tmux server responded: only this shell was cleared'
      __raxx_code='1'
    fi
  fi
  \builtin \return "$__raxx_code"
}

# Executes the complete lines of $__raxx_text. The shell's own errors are hidden: they do not help the user.
function __raxx_take {
  \builtin \emulate -L 'zsh'
  \builtin \setopt 'no_aliases' 'no_xtrace'
  \builtin \local __raxx_line='' __raxx_name='' __raxx_value=''
  \builtin \local -a __raxx_words
  [[ "$__raxx_text" == *$'\n'* ]] || \builtin \return '0'
  for __raxx_line in "${(@f)__raxx_text%$'\n'*}"; do
    case "$__raxx_line" in
    ('export '*'='*|'unset '*|'builtin printf '*|'\builtin test "x${'*'-}" != '*) ;;
    (*) \builtin \continue ;;
    esac
    __raxx_words=("${(@z)__raxx_line}")
    # builtin printf '%s\n' 'text' >&2
    if [[ "$__raxx_words[1]" == 'builtin' ]]; then
      \builtin \print -r -u2 -- "${(Q)__raxx_words[4]}"
      \builtin \continue
    fi
    # \builtin test "x${NAME-}" != 'xOLD' || \builtin …
    if [[ "$__raxx_words[2]" == 'test' ]]; then
      __raxx_name="${${__raxx_words[3]#*\{}%-*}"
      case "$__raxx_name" in
      (''|[0-9]*|*[^A-Za-z0-9_]*) \builtin \continue ;;
      esac
      [[ "x${(P)__raxx_name}" == "${(Q)__raxx_words[5]}" ]] || \builtin \continue
      __raxx_words=("${(@)__raxx_words[8,-1]}")
    fi
    __raxx_name="${__raxx_words[2]%%=*}"
    __raxx_value="${(Q)__raxx_words[2]#*=}"
    case "$__raxx_name" in
    (''|[0-9]*|*[^A-Za-z0-9_]*) \builtin \continue ;;
    esac
    case "$__raxx_words[1]" in
    ('unset') \builtin \eval '\builtin \unset "$__raxx_name"' 2>/dev/null ;;
    ('export')
      \builtin \eval '\builtin \export "$__raxx_name=$__raxx_value"' 2>/dev/null || \builtin \continue
      # If the line also sets __RAXX_NAMES, raxx exported this variable.
      [[ "$__raxx_words[3]" != '__RAXX_NAMES='* ]] ||
        \builtin \eval '\builtin \export "__RAXX_NAMES=${__RAXX_NAMES:+$__RAXX_NAMES }$__raxx_name"' 2>/dev/null
      ;;
    esac
  done
}

# Runs at the first prompt, not in the rc file: `zsh -i -c command` has no prompt and needs no check.
function __raxx_prompt {
  \builtin \emulate -L 'zsh'
  \builtin \setopt 'no_aliases' 'no_xtrace'
  \builtin \local __raxx_fd='' __raxx_ready=''
  case "${RAXX_OFF-}" in
  (''|'0') ;;
  (*)
    # A late answer is discarded: __raxx_done only closes the pipe.
    [[ "${__raxx_want-}" != <-> || -o 'zle' ]] || \builtin \eval 'exec {__raxx_want}<&-' 2>/dev/null
    \builtin \typeset -g __raxx_want='' __raxx_said=''
    ;;
  esac
  if [[ -n "${__raxx_said-}" ]]; then
    \builtin \print -r -u2 -- "$__raxx_said"
    \builtin \typeset -g __raxx_want='' __raxx_said=''
  fi
  case "${__raxx_want-}" in
  ('')
    precmd_functions=("${(@)precmd_functions:#__raxx_prompt}")
    ;;
  ('next')
    # The prompt does not wait for another program to start: the line editor calls __raxx_begin as soon as it waits for a key, because
    # /dev/null is always readable. A command typed before that starts the checks too.
    if [[ "${__raxx_idle-}" == <-> ]]; then
      precmd_functions=("${(@)precmd_functions:#__raxx_prompt}")
    elif [[ -o 'zle' ]] && \builtin \eval 'exec {__raxx_fd}</dev/null' 2>/dev/null; then
      precmd_functions=("${(@)precmd_functions:#__raxx_prompt}")
      \builtin \typeset -ga preexec_functions
      preexec_functions=("${(@)preexec_functions:#__raxx_begin}" '__raxx_begin')
      \builtin \typeset -g __raxx_idle="$__raxx_fd"
      \builtin \zle -F "$__raxx_fd" '__raxx_begin'
    else
      __raxx_start
    fi
    ;;
  (*)
    \builtin \eval 'builtin zmodload zsh/zselect && builtin zselect -t 0 -a __raxx_ready -r "$__raxx_want"' 2>/dev/null &&
      __raxx_done "$__raxx_want"
    ;;
  esac
}

# Called once: by the line editor at the first prompt, or before the first command.
function __raxx_begin {
  \builtin \emulate -L 'zsh'
  \builtin \setopt 'no_aliases' 'no_xtrace'
  preexec_functions=("${(@)preexec_functions:#__raxx_begin}")
  (( ${#preexec_functions} )) || \builtin \unset preexec_functions
  if [[ "${__raxx_idle-}" == <-> ]]; then
    \builtin \zle -F "$__raxx_idle" 2>/dev/null
    \builtin \eval 'exec {__raxx_idle}<&-' 2>/dev/null
  fi
  \builtin \typeset -g __raxx_idle=''
  # Canceled by `raxx load` or `raxx unset`.
  [[ "${__raxx_want-}" != 'next' || -n "${RAXX_OFF:#0}" ]] || __raxx_start
  \builtin \return '0'
}

# Starts the checks in the background.
function __raxx_start {
  \builtin \emulate -L 'zsh'
  \builtin \setopt 'no_aliases' 'no_xtrace'
  \builtin \local __raxx_fd='' __raxx_code=''
  \builtin \typeset -g __raxx_want=''
  # If raxx is missing, a distribution's command_not_found_handler must not write into the pipe.
  \builtin \whence -p 'raxx' &>/dev/null || \builtin \return '0'
  # The hook leaves the terminal's session, so ^C at the prompt does not reach it. sysopen, if available, hides the pipe from commands
  # that the user starts meanwhile. `exec command` replaces the second zsh, which would keep the terminal open until the checks end.
  # zsh 5.1 sends ^C to that process, so older versions call the function above.
  __raxx_code='exec </dev/null 2>/dev/null; [[ "$ZSH_VERSION" == (5.<9->|<6->.)* ]] && exec command raxx hook zsh ${__raxx_nested:+--nested}; raxx hook zsh ${__raxx_nested:+--nested}'
  \builtin \zmodload zsh/system 2>/dev/null &&
    \builtin \eval "builtin sysopen -r -o cloexec -u __raxx_fd <($__raxx_code)" 2>/dev/null ||
    \builtin \eval "exec {__raxx_fd}< <($__raxx_code)" 2>/dev/null ||
    \builtin \return '0'
  \builtin \typeset -g __raxx_want="$__raxx_fd"
  # Without the line editor (a shell inside Emacs) each prompt polls for the answer.
  [[ ! -o 'zle' ]] || \builtin \zle -F "$__raxx_fd" '__raxx_done'
}

# Called by the line editor, with the descriptor, when the hook has ended.
function __raxx_done {
  \builtin \emulate -L 'zsh'
  \builtin \setopt 'no_aliases' 'no_xtrace'
  \builtin \local __raxx_fd="$1" __raxx_text=''
  # Always both: a descriptor that stays registered after its end makes the terminal unusable.
  \builtin \zle -F "$__raxx_fd" 2>/dev/null
  IFS='' \builtin \read -r -d '' -u "$__raxx_fd" __raxx_text
  \builtin \eval 'exec {__raxx_fd}<&-' 2>/dev/null
  # Canceled by `raxx unset`, or because the rc file was read again.
  [[ "${__raxx_want-}" == "$__raxx_fd" ]] || \builtin \return '0'
  \builtin \typeset -g __raxx_want=''
  case "${RAXX_OFF-}" in
  (''|'0') ;;
  (*) \builtin \return '0' ;;
  esac
  # Only text needs space above the prompt; redrawing it just for values would be visible.
  [[ $'\n'"$__raxx_text" == *$'\n''builtin printf '* ]] && \builtin \zle -I 2>/dev/null
  __raxx_take
  \builtin \return '0'
}

# Called when the rc file is read, in interactive shells only.
function __raxx_init {
  \builtin \emulate -L 'zsh'
  \builtin \setopt 'no_aliases' 'no_xtrace'
  \builtin \local __raxx_name='' __raxx_text='' __raxx_names='@NAMES@' __raxx_off=''
  \builtin \local __raxx_dir="${${(M)XDG_DATA_HOME:#/*}:-$HOME/.local/share}/zsh/site-functions"
  \builtin \local -i __raxx_code

  # Closes a pipe that would never be read. A variable from the environment is not a descriptor of this shell.
  [[ "${__raxx_want-}" != <-> || "${(t)__raxx_want}" == *'export'* || -o 'zle' ]] ||
    \builtin \eval 'exec {__raxx_want}<&-' 2>/dev/null
  [[ "${(t)__raxx_idle}" != *'export'* ]] || \builtin \unset __raxx_idle
  \builtin \unset __raxx_want __raxx_said
  \builtin \typeset -g __raxx_want='' __raxx_said=''
  case "${RAXX_OFF-}" in
  (''|'0') ;;
  (*) __raxx_off='1' ;;
  esac

  # In a shell that inherited raxx's values, the checks do not repeat what was already reported.
  \builtin \typeset -g __raxx_nested="${__RAXX_NAMES:+1}"
  # A nested shell has inherited everything, so no program is started.
  for __raxx_name in ${(s: :)__raxx_names}; do
    [[ -z "$__raxx_off${(P)__raxx_name}" ]] || \builtin \continue
    __raxx_text="$(\command \raxx export 'zsh' --missing </dev/null 2>&1)" || __raxx_code="$?"
    case "$__raxx_code" in
    ('0')
      __raxx_text+=$'\n'
      __raxx_take
      ;;
    # A broken configuration is reported at the first prompt; the checks would only report it again.
    ('2') __raxx_said="$__raxx_text" ;;
    esac
    \builtin \break
  done

  # Removed and added again, so that reading the rc file again leaves one hook. It checks again, like a new terminal.
  \builtin \typeset -ga precmd_functions
  precmd_functions=("${(@)precmd_functions:#__raxx_prompt}")
  if [[ -z "$__raxx_off" ]]; then
    precmd_functions+=('__raxx_prompt')
    __raxx_want='next'
  fi

  # Absolute paths only: anyone can write to the current directory.
  if [[ "$__raxx_dir" == /* && -r "$__raxx_dir/_raxx" ]]; then
    (( ${fpath[(Ie)$__raxx_dir]} )) || fpath+=("$__raxx_dir")
    if \builtin \typeset -f 'compdef' >/dev/null; then
      \builtin \autoload -Uz '_raxx'
      \compdef '_raxx' 'raxx'
    fi
  fi
} &>/dev/null

if [[ -o 'interactive' ]]; then
  __raxx_init
fi
