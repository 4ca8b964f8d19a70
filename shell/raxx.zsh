# raxx for zsh 5.1 and later. In .zshrc:  eval "$(raxx init zsh)"
#
# Defines raxx(), gives this shell the variables that it lacks, and lets the first prompt start the checks. Prints nothing while the
# rc file runs: powerlevel10k's instant prompt warns about any output. Holds no secret, so that it may be cached.
#
# Why it looks as it does:
# - `eval` parses the whole text under the user's own options and aliases before the first line of it runs. So commands stand as
#   `\builtin \name` or `\command \name`, words in quotes, numbers too ('--help' is a global alias in bat's manual, and people have
#   `alias -g 1='…'`), and what depends on the options (`exec {fd}<`: not under `emulate sh`) stands in a nested eval.
# - All names begin with __raxx_, locals too: `export NAME` of a snippet must never meet a local variable called NAME.
# - Code from raxx is read line by line, whole lines only, and never evaluated: a DEBUG trap would see the values in the text of the
#   command. A write that was cut short loses only its last line, a read-only variable only its own.
# - `no_xtrace` comes before any value is at hand: `set -x` would write the values to the terminal or a log.
# - No $+functions, $commands or $parameters: they load zsh/parameter, and loading a module from an rc file can deadlock under
#   Rosetta in a login shell (jdx/mise, discussion 11187).

# Agents copy the functions of a shell without its variables (Claude Code's snapshots), hence the names inside it and no helper.
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
    # ^C is for raxx, which says what became of the work. Without a trap of its own, the function would end here.
    \builtin \trap ':' 'INT'
    __raxx_text="$(\command \raxx "$1" --shell 'zsh' "${@:2}")" || __raxx_code="$?"
    case "$__raxx_code" in
    # 0 and 1 (a credential failed) come with code, and so does what a signal has ended. Anything else comes with a message only.
    ('0'|'1'|'129'|'130'|'131'|'143') ;;
    (*) \builtin \return "$__raxx_code" ;;
    esac
    # This report is newer than the one that the background check is about to give.
    [[ "$1 $#" == 'load '<2-> || -z "$__raxx_text" ]] || \builtin \typeset -g __raxx_want=''
    if [[ -n "$__raxx_text" ]] && (( ZSH_SUBSHELL )); then
      \builtin \print -r -u2 -- 'raxx: that ran in a subshell (a pipe?), so the shell that you type in does not have the values. Type: raxx load'
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
      # Setting a read-only variable ends the function, unless it is a builtin in an eval that does it.
      case "$__raxx_word" in
      ('unset '*) \builtin \eval '\builtin \unset "$__raxx_name"' 2>/dev/null && \builtin \continue ;;
      (*) \builtin \eval '\builtin \export "$__raxx_name=$__raxx_value"' 2>/dev/null && \builtin \continue ;;
      esac
      \builtin \print -r -u2 -- "raxx: $__raxx_name is read-only in this shell and keeps its value"
      __raxx_code='1'
    done
    \builtin \return "$__raxx_code"
  fi

  # unset: the emergency clear. No program is started, so that it works when raxx is gone, broken or hung.
  if (( $# > 1 )) && [[ "$# $2" != '2 --tmux' ]]; then
    \builtin \print -r -u2 -- 'raxx: unset takes no names, it clears every variable that raxx knows; --tmux: in the tmux server too'
    \builtin \return '2'
  fi
  # What is started now must not inherit the answer that is on its way.
  if [[ "${__raxx_want-}" == <-> && "${(t)__raxx_want}" != *'export'* ]]; then
    \builtin \zle -F "$__raxx_want" 2>/dev/null
    \builtin \eval 'exec {__raxx_want}<&-' 2>/dev/null
  fi
  \builtin \typeset -g __raxx_want='' __raxx_said=''
  __raxx_word=''
  __raxx_names+=" ${__RAXX_NAMES-}"
  for __raxx_name in ${(us: :)__raxx_names}; do
    # $__RAXX_NAMES comes from the environment, and `unset 'a[$(command)]'` would run the command. No credential may have the name of
    # what the shell itself needs.
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
  # What is started from here, an agent for instance, does not load the values again.
  \builtin \eval '\builtin \export RAXX_OFF=1' 2>/dev/null
  if [[ -t '2' ]]; then
    (( __raxx_count == 1 )) && __raxx_text='variable' || __raxx_text='variables'
    \builtin \print -r -u2 -- "raxx: cleared $__raxx_count $__raxx_text"
    __raxx_words=(${DIRENV_DIFF:+'direnv'} ${__MISE_DIFF:+'mise'} ${__SHADOWENV_DATA:+'shadowenv'})
    (( ! ${#__raxx_words} )) ||
      \builtin \print -r -u2 -- "raxx: ${(j: and :)__raxx_words} can set values again when you leave this directory. Once outside, type: raxx unset"
  fi
  # After this shell is clear: a tmux that hangs must not keep it from that. tmux gets what it needs and no token.
  if [[ "${2-}" == '--tmux' ]]; then
    __raxx_words=('-i' "PATH=$PATH" "HOME=$HOME" "TERM=${TERM-}" "TMUX=${TMUX-}" "TMUX_TMPDIR=${TMUX_TMPDIR-}" 'tmux')
    if __raxx_text="$(\command \env "${__raxx_words[@]}" list-sessions -F '#{session_id}' 2>/dev/null)"; then
      __raxx_sessions=("${(@f)__raxx_text}")
      for __raxx_name in ${(s: :)__raxx_word}; do
        # Out of what new sessions get, and out of what new panes of each session get.
        __raxx_words+=('set-environment' '-gu' "$__raxx_name" ';')
        for __raxx_value in "${__raxx_sessions[@]:#}"; do
          __raxx_words+=('set-environment' '-u' '-t' "$__raxx_value" "$__raxx_name" ';')
        done
      done
      \command \env "${__raxx_words[@]}" &>/dev/null
    else
      \builtin \print -r -u2 -- 'raxx: no tmux server answers: only this shell is cleared'
      __raxx_code='1'
    fi
  fi
  \builtin \return "$__raxx_code"
}

# Carries out the whole lines of $__raxx_text. Errors of the shell itself are of no use to the person at the prompt.
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
      # Where the line says so, too: the name is one of those that raxx put there.
      [[ "$__raxx_words[3]" != '__RAXX_NAMES='* ]] ||
        \builtin \eval '\builtin \export "__RAXX_NAMES=${__RAXX_NAMES:+$__RAXX_NAMES }$__raxx_name"' 2>/dev/null
      ;;
    esac
  done
}

# At the first prompt, not in the rc file: `zsh -i -c command` never gets there and needs no check.
function __raxx_prompt {
  \builtin \emulate -L 'zsh'
  \builtin \setopt 'no_aliases' 'no_xtrace'
  \builtin \local __raxx_fd='' __raxx_ready=''
  case "${RAXX_OFF-}" in
  (''|'0') ;;
  (*)
    # What comes after all is not wanted: __raxx_done only closes it.
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
    # The prompt does not wait for another program to start: the line editor calls __raxx_begin as soon as it waits for a key, for
    # /dev/null can always be read. A command that was typed before that starts it, too.
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
  # Not wanted any more after `raxx load` or `raxx unset`.
  [[ "${__raxx_want-}" != 'next' || -n "${RAXX_OFF:#0}" ]] || __raxx_start
  \builtin \return '0'
}

# Starts the checks in the background.
function __raxx_start {
  \builtin \emulate -L 'zsh'
  \builtin \setopt 'no_aliases' 'no_xtrace'
  \builtin \local __raxx_fd='' __raxx_code=''
  \builtin \typeset -g __raxx_want=''
  # Where raxx is gone, a distribution's command_not_found_handler must not write into the pipe.
  \builtin \whence -p 'raxx' &>/dev/null || \builtin \return '0'
  # The hook leaves the terminal's session by itself, so ^C at the prompt does not reach it. sysopen, where there is one, keeps
  # the pipe from the commands that the user starts meanwhile. With `exec command` raxx takes the place of the second zsh, which
  # would hold the terminal open until the checks end. zsh 5.1 gives ^C to that process, so older ones call the function above.
  __raxx_code='exec </dev/null 2>/dev/null; [[ "$ZSH_VERSION" == (5.<9->|<6->.)* ]] && exec command raxx hook zsh ${__raxx_nested:+--nested}; raxx hook zsh ${__raxx_nested:+--nested}'
  \builtin \zmodload zsh/system 2>/dev/null &&
    \builtin \eval "builtin sysopen -r -o cloexec -u __raxx_fd <($__raxx_code)" 2>/dev/null ||
    \builtin \eval "exec {__raxx_fd}< <($__raxx_code)" 2>/dev/null ||
    \builtin \return '0'
  \builtin \typeset -g __raxx_want="$__raxx_fd"
  # Without the line editor (a shell inside Emacs) each prompt looks whether the answer is there.
  [[ ! -o 'zle' ]] || \builtin \zle -F "$__raxx_fd" '__raxx_done'
}

# Called by the line editor when the hook has ended, with the descriptor.
function __raxx_done {
  \builtin \emulate -L 'zsh'
  \builtin \setopt 'no_aliases' 'no_xtrace'
  \builtin \local __raxx_fd="$1" __raxx_text=''
  # Both at once, whatever happens: a descriptor left registered at its end makes the terminal unusable.
  \builtin \zle -F "$__raxx_fd" 2>/dev/null
  IFS='' \builtin \read -r -d '' -u "$__raxx_fd" __raxx_text
  \builtin \eval 'exec {__raxx_fd}<&-' 2>/dev/null
  # Not wanted any more: `raxx unset`, or the rc file was read again.
  [[ "${__raxx_want-}" == "$__raxx_fd" ]] || \builtin \return '0'
  \builtin \typeset -g __raxx_want=''
  case "${RAXX_OFF-}" in
  (''|'0') ;;
  (*) \builtin \return '0' ;;
  esac
  # Only words need a place above the prompt; to redraw it for values alone would show.
  [[ $'\n'"$__raxx_text" == *$'\n''builtin printf '* ]] && \builtin \zle -I 2>/dev/null
  __raxx_take
  \builtin \return '0'
}

# What the rc file is read for, in an interactive shell only.
function __raxx_init {
  \builtin \emulate -L 'zsh'
  \builtin \setopt 'no_aliases' 'no_xtrace'
  \builtin \local __raxx_name='' __raxx_text='' __raxx_names='@NAMES@' __raxx_off=''
  \builtin \local __raxx_dir="${${(M)XDG_DATA_HOME:#/*}:-$HOME/.local/share}/zsh/site-functions"
  \builtin \local -i __raxx_code

  # A pipe that nobody would read any more. What comes from the environment is none.
  [[ "${__raxx_want-}" != <-> || "${(t)__raxx_want}" == *'export'* || -o 'zle' ]] ||
    \builtin \eval 'exec {__raxx_want}<&-' 2>/dev/null
  [[ "${(t)__raxx_idle}" != *'export'* ]] || \builtin \unset __raxx_idle
  \builtin \unset __raxx_want __raxx_said
  \builtin \typeset -g __raxx_want='' __raxx_said=''
  case "${RAXX_OFF-}" in
  (''|'0') ;;
  (*) __raxx_off='1' ;;
  esac

  # The checks of a shell that inherited raxx's values do not repeat what was said about them.
  \builtin \typeset -g __raxx_nested="${__RAXX_NAMES:+1}"
  # A nested shell has inherited everything: no program is started.
  for __raxx_name in ${(s: :)__raxx_names}; do
    [[ -z "$__raxx_off${(P)__raxx_name}" ]] || \builtin \continue
    __raxx_text="$(\command \raxx export 'zsh' --missing </dev/null 2>&1)" || __raxx_code="$?"
    case "$__raxx_code" in
    ('0')
      __raxx_text+=$'\n'
      __raxx_take
      ;;
    # A broken configuration: said at the first prompt, where the checks would only say it again.
    ('2') __raxx_said="$__raxx_text" ;;
    esac
    \builtin \break
  done

  # Taken out and put back, so that reading the rc file again leaves one hook. It checks again, as a new terminal would.
  \builtin \typeset -ga precmd_functions
  precmd_functions=("${(@)precmd_functions:#__raxx_prompt}")
  if [[ -z "$__raxx_off" ]]; then
    precmd_functions+=('__raxx_prompt')
    __raxx_want='next'
  fi

  # Only an absolute path: the current directory may be anybody's.
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
