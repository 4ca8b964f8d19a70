# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_raxx_global_optspecs
    string join \n color= h/help V/version
end

function __fish_raxx_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_raxx_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_raxx_using_subcommand
    set -l cmd (__fish_raxx_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c raxx -n "__fish_raxx_needs_command" -l color -d 'When to use colors' -r -f -a "auto\t''
always\t''
never\t''"
complete -c raxx -n "__fish_raxx_needs_command" -s h -l help -d 'Print help'
complete -c raxx -n "__fish_raxx_needs_command" -s V -l version -d 'Print version'
complete -c raxx -n "__fish_raxx_needs_command" -f -a "check" -d 'Check every credential with its provider now'
complete -c raxx -n "__fish_raxx_needs_command" -f -a "load" -d 'Check, then export the values that work into this shell'
complete -c raxx -n "__fish_raxx_needs_command" -f -a "unset" -d 'Unset the credentials in this shell'
complete -c raxx -n "__fish_raxx_needs_command" -f -a "list" -d 'Show the last verdict of each credential, without checking'
complete -c raxx -n "__fish_raxx_needs_command" -f -a "setup" -d 'Load raxx in new terminals: add a line to the rc files of zsh and bash'
complete -c raxx -n "__fish_raxx_needs_command" -f -a "store" -d 'Prompt for a value, verify it with its provider, and store it'
complete -c raxx -n "__fish_raxx_needs_command" -f -a "rotate" -d 'Replace a token: show how, then verify, store and load the new one'
complete -c raxx -n "__fish_raxx_needs_command" -f -a "forget" -d 'Delete a value from the secret store'
complete -c raxx -n "__fish_raxx_needs_command" -f -a "import" -d 'Find values in the environment and in shell files, and store them'
complete -c raxx -n "__fish_raxx_needs_command" -f -a "unlock" -d 'Unlock the GNOME keyring, or the store file for 12 hours'
complete -c raxx -n "__fish_raxx_needs_command" -f -a "lock" -d 'Lock the store file'
complete -c raxx -n "__fish_raxx_needs_command" -f -a "init" -d 'Print the shell integration, for an rc file: eval "$(raxx init zsh)"'
complete -c raxx -n "__fish_raxx_needs_command" -f -a "export" -d 'Print an export line for each value found, for `eval`'
complete -c raxx -n "__fish_raxx_needs_command" -f -a "completions" -d 'Print the completion script for a shell'
complete -c raxx -n "__fish_raxx_needs_command" -f -a "prompt" -d 'Print a status segment for a shell prompt; nothing if all is well'
complete -c raxx -n "__fish_raxx_needs_command" -f -a "schedule" -d 'Check every day, and send an alert when a credential fails'
complete -c raxx -n "__fish_raxx_using_subcommand check" -l prometheus -d 'Write the verdicts as Prometheus metrics, for the node exporter\'s textfile collector' -r -F
complete -c raxx -n "__fish_raxx_using_subcommand check" -l color -d 'When to use colors' -r -f -a "auto\t''
always\t''
never\t''"
complete -c raxx -n "__fish_raxx_using_subcommand check" -s q -l quiet -d 'Print only failures'
complete -c raxx -n "__fish_raxx_using_subcommand check" -l json -d 'Print the report as JSON'
complete -c raxx -n "__fish_raxx_using_subcommand check" -l alert -d 'Print nothing; send an alert on failure (Slack by default)'
complete -c raxx -n "__fish_raxx_using_subcommand check" -l test -d 'Send a test alert and report whether it was delivered'
complete -c raxx -n "__fish_raxx_using_subcommand check" -l strict -d 'Exit with 1 on warnings too'
complete -c raxx -n "__fish_raxx_using_subcommand check" -s h -l help -d 'Print help'
complete -c raxx -n "__fish_raxx_using_subcommand load" -l color -d 'When to use colors' -r -f -a "auto\t''
always\t''
never\t''"
complete -c raxx -n "__fish_raxx_using_subcommand load" -s h -l help -d 'Print help'
complete -c raxx -n "__fish_raxx_using_subcommand unset" -l color -d 'When to use colors' -r -f -a "auto\t''
always\t''
never\t''"
complete -c raxx -n "__fish_raxx_using_subcommand unset" -l tmux -d 'Also unset them in tmux\'s environment, so that new panes start without them'
complete -c raxx -n "__fish_raxx_using_subcommand unset" -s h -l help -d 'Print help'
complete -c raxx -n "__fish_raxx_using_subcommand list" -l history -d 'Show when the verdict of this credential changed' -r -f -a "(command raxx names 2>/dev/null)"
complete -c raxx -n "__fish_raxx_using_subcommand list" -l color -d 'When to use colors' -r -f -a "auto\t''
always\t''
never\t''"
complete -c raxx -n "__fish_raxx_using_subcommand list" -l json -d 'Print the list as JSON'
complete -c raxx -n "__fish_raxx_using_subcommand list" -s h -l help -d 'Print help'
complete -c raxx -n "__fish_raxx_using_subcommand setup" -l shell -d 'Only this shell [default: each shell used on this machine]' -r -f -a "zsh\t''
bash\t''"
complete -c raxx -n "__fish_raxx_using_subcommand setup" -l color -d 'When to use colors' -r -f -a "auto\t''
always\t''
never\t''"
complete -c raxx -n "__fish_raxx_using_subcommand setup" -s y -l yes -d 'Do not ask for confirmation'
complete -c raxx -n "__fish_raxx_using_subcommand setup" -l dry-run -d 'Show what would change, and change nothing'
complete -c raxx -n "__fish_raxx_using_subcommand setup" -l undo -d 'Remove the lines'
complete -c raxx -n "__fish_raxx_using_subcommand setup" -l status -d 'Show which rc files load raxx; exit 1 if one does not'
complete -c raxx -n "__fish_raxx_using_subcommand setup" -s h -l help -d 'Print help'
complete -c raxx -n "__fish_raxx_using_subcommand store" -l color -d 'When to use colors' -r -f -a "auto\t''
always\t''
never\t''"
complete -c raxx -n "__fish_raxx_using_subcommand store" -l stdin -d 'Read the value from standard input'
complete -c raxx -n "__fish_raxx_using_subcommand store" -l no-check -d 'Store it without verifying it'
complete -c raxx -n "__fish_raxx_using_subcommand store" -l repair -d 'Recreate an old Keychain item so that macOS stops asking for permission'
complete -c raxx -n "__fish_raxx_using_subcommand store" -s h -l help -d 'Print help'
complete -c raxx -n "__fish_raxx_using_subcommand rotate" -l color -d 'When to use colors' -r -f -a "auto\t''
always\t''
never\t''"
complete -c raxx -n "__fish_raxx_using_subcommand rotate" -l stdin -d 'Read the value from standard input'
complete -c raxx -n "__fish_raxx_using_subcommand rotate" -l no-check -d 'Store it without verifying it'
complete -c raxx -n "__fish_raxx_using_subcommand rotate" -l open -d 'Open the provider\'s token page in the browser'
complete -c raxx -n "__fish_raxx_using_subcommand rotate" -s h -l help -d 'Print help'
complete -c raxx -n "__fish_raxx_using_subcommand forget" -l color -d 'When to use colors' -r -f -a "auto\t''
always\t''
never\t''"
complete -c raxx -n "__fish_raxx_using_subcommand forget" -s y -l yes -d 'Do not ask for confirmation'
complete -c raxx -n "__fish_raxx_using_subcommand forget" -s h -l help -d 'Print help'
complete -c raxx -n "__fish_raxx_using_subcommand import" -l color -d 'When to use colors' -r -f -a "auto\t''
always\t''
never\t''"
complete -c raxx -n "__fish_raxx_using_subcommand import" -l no-check -d 'Store the values without verifying them'
complete -c raxx -n "__fish_raxx_using_subcommand import" -s h -l help -d 'Print help'
complete -c raxx -n "__fish_raxx_using_subcommand unlock" -l color -d 'When to use colors' -r -f -a "auto\t''
always\t''
never\t''"
complete -c raxx -n "__fish_raxx_using_subcommand unlock" -l stdin -d 'Read the password from standard input'
complete -c raxx -n "__fish_raxx_using_subcommand unlock" -s h -l help -d 'Print help'
complete -c raxx -n "__fish_raxx_using_subcommand lock" -l color -d 'When to use colors' -r -f -a "auto\t''
always\t''
never\t''"
complete -c raxx -n "__fish_raxx_using_subcommand lock" -s h -l help -d 'Print help'
complete -c raxx -n "__fish_raxx_using_subcommand init" -l color -d 'When to use colors' -r -f -a "auto\t''
always\t''
never\t''"
complete -c raxx -n "__fish_raxx_using_subcommand init" -s h -l help -d 'Print help'
complete -c raxx -n "__fish_raxx_using_subcommand export" -l color -d 'When to use colors' -r -f -a "auto\t''
always\t''
never\t''"
complete -c raxx -n "__fish_raxx_using_subcommand export" -l missing -d 'Only variables that are unset or have a rejected value'
complete -c raxx -n "__fish_raxx_using_subcommand export" -s h -l help -d 'Print help'
complete -c raxx -n "__fish_raxx_using_subcommand completions" -l color -d 'When to use colors' -r -f -a "auto\t''
always\t''
never\t''"
complete -c raxx -n "__fish_raxx_using_subcommand completions" -s h -l help -d 'Print help'
complete -c raxx -n "__fish_raxx_using_subcommand prompt" -l color -d 'When to use colors' -r -f -a "auto\t''
always\t''
never\t''"
complete -c raxx -n "__fish_raxx_using_subcommand prompt" -s h -l help -d 'Print help'
complete -c raxx -n "__fish_raxx_using_subcommand schedule; and not __fish_seen_subcommand_from install uninstall status" -l color -d 'When to use colors' -r -f -a "auto\t''
always\t''
never\t''"
complete -c raxx -n "__fish_raxx_using_subcommand schedule; and not __fish_seen_subcommand_from install uninstall status" -s h -l help -d 'Print help'
complete -c raxx -n "__fish_raxx_using_subcommand schedule; and not __fish_seen_subcommand_from install uninstall status" -f -a "install" -d 'Install the daily check in this machine\'s scheduler'
complete -c raxx -n "__fish_raxx_using_subcommand schedule; and not __fish_seen_subcommand_from install uninstall status" -f -a "uninstall" -d 'Remove the daily check'
complete -c raxx -n "__fish_raxx_using_subcommand schedule; and not __fish_seen_subcommand_from install uninstall status" -f -a "status" -d 'Show where it is installed, the result of the last run, and the time of the next'
complete -c raxx -n "__fish_raxx_using_subcommand schedule; and __fish_seen_subcommand_from install" -l at -d 'Time of day' -r
complete -c raxx -n "__fish_raxx_using_subcommand schedule; and __fish_seen_subcommand_from install" -l via -d 'Scheduler to use [default: the system\'s own]' -r -f -a "launchd\t''
systemd\t''
cron\t''"
complete -c raxx -n "__fish_raxx_using_subcommand schedule; and __fish_seen_subcommand_from install" -l color -d 'When to use colors' -r -f -a "auto\t''
always\t''
never\t''"
complete -c raxx -n "__fish_raxx_using_subcommand schedule; and __fish_seen_subcommand_from install" -l utc -d 'The time is in UTC (default)'
complete -c raxx -n "__fish_raxx_using_subcommand schedule; and __fish_seen_subcommand_from install" -l local -d 'The time is in this machine\'s time zone'
complete -c raxx -n "__fish_raxx_using_subcommand schedule; and __fish_seen_subcommand_from install" -l print -d 'Print what would be installed, and install nothing'
complete -c raxx -n "__fish_raxx_using_subcommand schedule; and __fish_seen_subcommand_from install" -s h -l help -d 'Print help'
complete -c raxx -n "__fish_raxx_using_subcommand schedule; and __fish_seen_subcommand_from uninstall" -l color -d 'When to use colors' -r -f -a "auto\t''
always\t''
never\t''"
complete -c raxx -n "__fish_raxx_using_subcommand schedule; and __fish_seen_subcommand_from uninstall" -s h -l help -d 'Print help'
complete -c raxx -n "__fish_raxx_using_subcommand schedule; and __fish_seen_subcommand_from status" -l color -d 'When to use colors' -r -f -a "auto\t''
always\t''
never\t''"
complete -c raxx -n "__fish_raxx_using_subcommand schedule; and __fish_seen_subcommand_from status" -s h -l help -d 'Print help'
complete -c raxx -n "__fish_raxx_using_subcommand init" -f -a "zsh bash"
complete -c raxx -n "__fish_raxx_using_subcommand export" -f -a "zsh bash sh"
complete -c raxx -n "__fish_raxx_using_subcommand completions" -f -a "zsh bash fish"
complete -c raxx -n "__fish_raxx_using_subcommand check load list store rotate forget export" -f -a "(command raxx names 2>/dev/null)"
complete -c raxx -n "__fish_raxx_using_subcommand check load list" -f -a "infisical"
