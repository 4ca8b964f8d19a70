# raxx for zsh 5.1 and later. In .zshrc:  eval "$(raxx init zsh)"
#
# Defines raxx(), gives this shell the variables that it lacks, and lets the first prompt start the checks. Prints nothing while the
# rc file runs: powerlevel10k's instant prompt warns about any output. Holds no secret, so that it may be cached.
#
# Why it looks as it does:
# - `eval` parses the whole text under the user's own options and aliases before the first line of it runs. So commands stand as
#   `\builtin name` or `\command name`, words as '--help' (bat's manual suggests a global alias of that name), and what depends on
#   the options (`exec {fd}<`: not under `emulate sh`) stands in a nested eval.
# - All names begin with __raxx_, locals too: `export NAME` of a snippet must never meet a local variable called NAME.
# - Code from raxx is taken line by line, whole lines only: each is one statement, a write that was cut short loses only its last
#   line, a read-only variable only its own. `builtin` before it: the user may have an alias or a function called export.
# - `no_xtrace` comes before any value is at hand: `set -x` would write the values to the terminal or a log.
# - No $+functions, $commands or $parameters: they load zsh/parameter, and loading a module from an rc file can deadlock under
#   Rosetta in a login shell (jdx/mise, discussion 11187).

# Agents copy the functions of a shell without its variables (Claude Code's snapshots), hence the names inside it and no helper.
function raxx {
  \builtin emulate -L zsh
  \builtin setopt no_aliases no_xtrace
  \builtin local __raxx_word='' __raxx_name='' __raxx_text='' __raxx_names='@NAMES@'
  \builtin local -i __raxx_code=0 __raxx_count=0

  case "${1-}" in
  ('load'|'rotate'|'unset')
    for __raxx_word in "$@"; do
      case "$__raxx_word" in
      ('-h'|'--help')
        \command raxx "$@"
        \builtin return
        ;;
      esac
    done
    ;;
  (*)
    \command raxx "$@"
    \builtin return
    ;;
  esac

  if [[ "$1" != 'unset' ]]; then
    # 0 and 1 (a credential failed) come with code; anything else comes with a message only.
    __raxx_text="$(\command raxx "$1" --shell zsh "${@:2}")" || __raxx_code=$?
    (( __raxx_code <= 1 )) || \builtin return $__raxx_code
    # This report is younger than the one on its way behind the prompt.
    [[ "$1 $#" == 'load '<2-> || -z "$__raxx_text" ]] || \builtin typeset -g __raxx_want=''
    if [[ -n "$__raxx_text" ]] && (( ZSH_SUBSHELL )); then
      \builtin print -r -u2 -- 'raxx: that ran in a subshell (a pipe?): the shell that you type in does not have the values'
    fi
    for __raxx_word in "${(@f)__raxx_text}"; do
      case "$__raxx_word" in
      ('export '*|'unset '*) ;;
      (*) \builtin continue ;;
      esac
      # Setting a read-only variable ends the function, unless it is a builtin in an eval that does it.
      \builtin eval "builtin $__raxx_word" 2>/dev/null && \builtin continue
      __raxx_name="${${__raxx_word#* }%%=*}"
      \builtin print -r -u2 -- "raxx: $__raxx_name is read-only in this shell and keeps its value"
      __raxx_code=1
    done
    \builtin return $__raxx_code
  fi

  # unset: the emergency clear. No program is started, so that it works when raxx is gone, broken or hung.
  if (( $# > 1 )) && [[ "$# $2" != '2 --tmux' ]]; then
    \builtin print -r -u2 -- 'raxx: unset takes no names, it clears every variable that raxx knows; --tmux: in the tmux server too'
    \builtin return 2
  fi
  \builtin typeset -g __raxx_want=''
  __raxx_word=''
  __raxx_names+=" ${__RAXX_NAMES-}"
  for __raxx_name in ${(us: :)__raxx_names}; do
    # $__RAXX_NAMES comes from the environment, and `unset 'a[$(command)]'` would run the command.
    case "$__raxx_name" in
    ([0-9]*|*[^A-Za-z0-9_]*) \builtin continue ;;
    esac
    __raxx_word+=" $__raxx_name"
    if [[ -z "${(Pt)__raxx_name}" ]]; then
      \builtin continue
    elif \builtin eval 'builtin unset "$__raxx_name"' 2>/dev/null; then
      (( ++__raxx_count ))
    else
      \builtin print -r -u2 -- "raxx: $__raxx_name is read-only in this shell and stays set: close the shell"
      __raxx_code=1
    fi
  done
  \builtin unset __RAXX_NAMES
  # After this shell is clear: a tmux that hangs must not keep it from that.
  if [[ "${2-}" == '--tmux' ]]; then
    if \command tmux show-environment -g >/dev/null 2>&1; then
      for __raxx_name in ${(s: :)__raxx_word}; do
        # Out of what new sessions get, and out of what new panes of this session get.
        \command tmux set-environment -gu "$__raxx_name" >/dev/null 2>&1 || \builtin :
        \command tmux set-environment -u "$__raxx_name" >/dev/null 2>&1 || \builtin :
      done
    else
      \builtin print -r -u2 -- 'raxx: no tmux server answers: only this shell is cleared'
      __raxx_code=1
    fi
  fi
  if [[ -t 2 ]]; then
    (( __raxx_count == 1 )) && __raxx_word='variable' || __raxx_word='variables'
    \builtin print -r -u2 -- "raxx: cleared $__raxx_count $__raxx_word"
  fi
  \builtin return $__raxx_code
}

# Carries out the whole lines of $__raxx_text. Errors of the shell itself are of no use to the person at the prompt.
function __raxx_take {
  \builtin emulate -L zsh
  \builtin setopt no_aliases no_xtrace
  \builtin local __raxx_line=''
  [[ "$__raxx_text" == *$'\n'* ]] || \builtin return 0
  for __raxx_line in "${(@f)__raxx_text%$'\n'*}"; do
    case "$__raxx_line" in
    ('builtin printf '*) \builtin eval "$__raxx_line" ;;
    ('\builtin test '*) \builtin eval "$__raxx_line" 2>/dev/null ;;
    ('export '*|'unset '*) \builtin eval "builtin $__raxx_line" 2>/dev/null ;;
    esac
  done
}

# At the first prompt, not in the rc file: `zsh -i -c command` never gets there and needs no check.
function __raxx_prompt {
  \builtin emulate -L zsh
  \builtin setopt no_aliases no_xtrace
  \builtin local __raxx_fd='' __raxx_ready='' __raxx_code=''
  case "${__raxx_want-}" in
  ('')
    precmd_functions=("${(@)precmd_functions:#__raxx_prompt}")
    ;;
  ('next')
    \builtin typeset -g __raxx_want=''
    # Where raxx is gone, a distribution's command_not_found_handler must not write into the pipe.
    \builtin whence -p raxx >/dev/null 2>&1 || \builtin return 0
    # The hook leaves the terminal's session by itself, so ^C at the prompt does not reach it. sysopen, where there is one, keeps
    # the pipe from the commands that the user starts meanwhile. With `exec command` raxx takes the place of the second zsh, which
    # would hold the terminal open until the checks end. zsh 5.1 gives ^C to that process, so older ones call the function above.
    __raxx_code='exec </dev/null 2>/dev/null; [[ "$ZSH_VERSION" == (5.<9->|<6->.)* ]] && exec command raxx hook zsh ${__raxx_nested:+--nested}; raxx hook zsh ${__raxx_nested:+--nested}'
    \builtin zmodload zsh/system 2>/dev/null &&
      \builtin eval "builtin sysopen -r -o cloexec -u __raxx_fd <($__raxx_code)" 2>/dev/null ||
      \builtin eval "exec {__raxx_fd}< <($__raxx_code)" 2>/dev/null ||
      \builtin return 0
    \builtin typeset -g __raxx_want="$__raxx_fd"
    # Without the line editor (a shell inside Emacs) each prompt looks whether the answer is there.
    if [[ -o zle ]]; then
      precmd_functions=("${(@)precmd_functions:#__raxx_prompt}")
      \builtin zle -F "$__raxx_fd" __raxx_done
    fi
    ;;
  (*)
    \builtin eval 'builtin zmodload zsh/zselect && builtin zselect -t 0 -a __raxx_ready -r "$__raxx_want"' 2>/dev/null &&
      __raxx_done "$__raxx_want"
    ;;
  esac
}

# Called by the line editor when the hook has ended, with the descriptor.
function __raxx_done {
  \builtin emulate -L zsh
  \builtin setopt no_aliases no_xtrace
  \builtin local __raxx_fd="$1" __raxx_text=''
  # Both at once, whatever happens: a descriptor left registered at its end makes the terminal unusable.
  \builtin zle -F "$__raxx_fd" 2>/dev/null
  IFS='' \builtin read -r -d '' -u "$__raxx_fd" __raxx_text
  \builtin eval 'exec {__raxx_fd}<&-' 2>/dev/null
  # Not wanted any more: `raxx unset`, or the rc file was read again.
  [[ "${__raxx_want-}" == "$__raxx_fd" ]] || \builtin return 0
  \builtin typeset -g __raxx_want=''
  # Only words need a place above the prompt; to redraw it for values alone would show.
  [[ $'\n'"$__raxx_text" == *$'\n''builtin printf '* ]] && \builtin zle -I 2>/dev/null
  __raxx_take
  \builtin return 0
}

# What the rc file is read for, in an interactive shell only.
function __raxx_init {
  \builtin emulate -L zsh
  \builtin setopt no_aliases no_xtrace
  \builtin local __raxx_name='' __raxx_text='' __raxx_names='@NAMES@'
  \builtin local __raxx_dir="${XDG_DATA_HOME:-$HOME/.local/share}/zsh/site-functions"

  # The checks of a shell that inherited raxx's values do not repeat what was said about them.
  \builtin typeset -g __raxx_nested="${__RAXX_NAMES:+1}"
  # A nested shell has inherited everything: no program is started.
  for __raxx_name in ${(s: :)__raxx_names}; do
    [[ -z "${(P)__raxx_name}" ]] || \builtin continue
    __raxx_text="$(\command raxx export zsh --missing </dev/null 2>/dev/null)" || __raxx_text=''
    __raxx_text+=$'\n'
    __raxx_take
    \builtin break
  done

  # Taken out and put back, so that reading the rc file again leaves one hook. It checks again, as a new terminal would.
  \builtin typeset -ga precmd_functions
  precmd_functions=("${(@)precmd_functions:#__raxx_prompt}" __raxx_prompt)
  \builtin typeset -g __raxx_want='next'

  if [[ -r "$__raxx_dir/_raxx" ]]; then
    (( ${fpath[(Ie)$__raxx_dir]} )) || fpath+=("$__raxx_dir")
    if \builtin typeset -f compdef >/dev/null; then
      \builtin autoload -Uz _raxx
      compdef _raxx raxx
    fi
  fi
} >/dev/null 2>&1

if [[ -o interactive ]]; then
  __raxx_init
fi
