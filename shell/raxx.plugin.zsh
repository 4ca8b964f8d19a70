# raxx for zsh's plugin managers (antidote, zinit, oh-my-zsh), by the Zsh Plugin Standard. It does the same as the
# `raxx setup` line in .zshrc; with both, there is still one hook. Prints nothing if raxx is not installed.
#
# As in raxx.zsh, the whole file is parsed with the user's options and aliases, so it uses `\builtin` and quotes.

# The directory of this file, with symlinks resolved: oh-my-zsh needs a symlink in its own tree. A manager that does not source
# the file itself sets its path in ZERO.
\builtin \typeset -g __raxx_plugin_dir="${${${(M)${ZERO-}:#/*/raxx.plugin.zsh}:-${(%):-%x}}:A:h}"
\builtin \typeset -ga __raxx_plugin_fpath

# 'next': .zshrc has just loaded raxx, before the first prompt.
if [[ "${__raxx_want-}" != 'next' ]] && \builtin \whence -p 'raxx' >/dev/null; then
  \builtin \typeset -ga __raxx_plugin_before
  __raxx_plugin_before=("${fpath[@]}")
  \builtin \eval "$(\command \raxx init zsh 2>/dev/null)"

  # Without install.sh, the completions are only in the checkout.
  function __raxx_plugin_complete {
    \builtin \emulate -L 'zsh'
    \builtin \setopt 'no_aliases'
    \builtin \local __raxx_dir="${__raxx_plugin_dir:h}/completions"
    if [[ ! -r "${${(M)XDG_DATA_HOME:#/*}:-$HOME/.local/share}/zsh/site-functions/_raxx" && -r "$__raxx_dir/_raxx" ]]; then
      (( ${fpath[(Ie)$__raxx_dir]} )) || fpath+=("$__raxx_dir")
      if \builtin \typeset -f 'compdef' >/dev/null; then
        \builtin \autoload -Uz '_raxx'
        \compdef '_raxx' 'raxx'
      fi
    fi
    # The entries that raxx.zsh and this file have added to fpath, for the unload function.
    __raxx_plugin_fpath+=("${(@)fpath:|__raxx_plugin_before}")
  }
  __raxx_plugin_complete
fi

# Removes raxx from this shell, but keeps the credentials, which are still needed if a newer version is loaded next. To clear them,
# run `raxx unset` first.
function raxx_plugin_unload {
  \builtin \emulate -L 'zsh'
  \builtin \setopt 'no_aliases'
  \builtin \local __raxx_watch='' __raxx_fd=''

  # A check is running: its descriptor must not outlive the function that reads it.
  for __raxx_watch in "${(@f)$(\builtin \zle -F -L 2>/dev/null)}"; do
    [[ "$__raxx_watch" == 'zle -F '<->' __raxx_'(begin|done) ]] || \builtin \continue
    __raxx_fd="${${__raxx_watch#zle -F }% *}"
    \builtin \zle -F "$__raxx_fd"
    \builtin \eval 'exec {__raxx_fd}<&-' 2>/dev/null
    [[ "${__raxx_want-}" != "$__raxx_fd" ]] || __raxx_want=''
  done
  # Without the line editor, no handler is registered for the descriptor.
  if [[ "${__raxx_want-}" == <-> ]]; then
    __raxx_fd="$__raxx_want"
    \builtin \eval 'exec {__raxx_fd}<&-' 2>/dev/null
  fi

  precmd_functions=("${(@)precmd_functions:#__raxx_*}")
  (( ${#precmd_functions} )) || \builtin \unset precmd_functions
  # If the array does not exist, quotes would create one empty element.
  preexec_functions=(${preexec_functions:#__raxx_*})
  (( ${#preexec_functions} )) || \builtin \unset preexec_functions
  fpath=("${(@)fpath:|__raxx_plugin_fpath}")
  if \builtin \typeset -f 'compdef' >/dev/null && [[ "${_comps[raxx]-}" == '_raxx' ]]; then
    compdef -d raxx
    \builtin \unfunction _raxx 2>/dev/null
  fi
  if \builtin \typeset -f __raxx_init >/dev/null; then
    \builtin \unfunction raxx
    \builtin \unset __RAXX_NAMES
  fi
  \builtin \unfunction -m '__raxx_*'
  \builtin \unset -m '__raxx_*'
  \builtin \unfunction raxx_plugin_unload
}
