#!/usr/bin/env bash
# Measures what docs/performance.md promises, in one run, beside a serial curl script and zoxide:  bash tests/bench.sh
# Needs hyperfine, curl, zsh, script (util-linux) and, for their rows, zoxide and gnome-keyring with secret-tool. Prints a
# table; what could not be measured is named. Nothing here leaves the loopback.
set -euo pipefail
cd "$(dirname "$0")/.."
for program in hyperfine curl zsh script python3; do
  command -v "$program" >/dev/null || { echo "bench: $program is missing: install it first" >&2; exit 2; }
done
cargo build --quiet --release
cargo build --quiet --example provider
raxx=$PWD/target/release/raxx
work=$(mktemp -d)
provider_pid=''
# shellcheck disable=SC2329 # called by the trap
clean() {
  [[ -z $provider_pid ]] || kill "$provider_pid" 2>/dev/null || true
  rm -rf "$work"
}
trap clean EXIT

export HOME=$work/home XDG_STATE_HOME=$work/state XDG_CONFIG_HOME=$work/home/.config XDG_DATA_HOME=$work/home/.local/share
export DBUS_SESSION_BUS_ADDRESS=unix:path=/nonexistent PATH=$PWD/target/release:$PATH
mkdir -p "$HOME" "$work/plain" "$work/hooked"
unset CLOUDFLARE_ACCESS_MGMT_TOKEN CF_WORKER_DEPLOY HEROKU_API_KEY GITHUB_API_SECRETS_TOKEN
token() { printf 'made-up-for-the-bench-%020d' "$1"; }
tokens=()
for i in $(seq 200); do tokens+=("$(token "$i")"); done

# provider LATENCY_MS: starts one and leaves the configuration of its address in $work/provider.toml.
provider() {
  [[ -z $provider_pid ]] || kill "$provider_pid" 2>/dev/null || true
  rm -f "$work/provider.toml"
  sleep 3600 | target/debug/examples/provider "$1" "${tokens[@]}" >"$work/provider.toml" &
  provider_pid=$!
  until grep -q vault "$work/provider.toml" 2>/dev/null; do sleep 0.05; done
}
url() { sed -n 's/^base_url = "\(.*\)\/client\/v4"$/\1/p' "$work/provider.toml"; }
# config COUNT TIMEOUT: one configuration with so many credentials, all set in the environment.
config() {
  { echo "timeout = \"$2\""; cat "$work/provider.toml"; } >"$work/config.toml"
  for i in $(seq "$1"); do
    printf '[[credential]]\nname = "BENCH_%d"\nprovider = "%s"\nstore = { service = "raxx-bench-%d", account = "bench" }\n' \
      "$i" "$( ((i % 2)) && echo github || echo cloudflare)" "$i" >>"$work/config.toml"
    export "BENCH_$i=$(token "$i")"
  done
  export RAXX_CONFIG=$work/config.toml
}
# median COMMAND…: the median time of each command in ms (a dropped SYN of the loopback costs a run a whole second).
median() {
  hyperfine --style none --shell none --ignore-failure --warmup 3 --runs "${runs:-30}" --export-json "$work/m.json" "$@" >/dev/null 2>&1
  python3 -c 'import json,sys; print(*["%.1f" % (r["median"]*1000) for r in json.load(open(sys.argv[1]))["results"]])' "$work/m.json"
}
row() { printf '| %s | %s | %s | %s |\n' "$@"; }

printf '| figure | bound | measured | beside it |\n|---|---|---|---|\n'

# The first prompt: the last precmd function ends the shell, so a run is from exec to the prompt.
stop='precmd_stop() { exit; }; precmd_functions+=(precmd_stop)'
echo "$stop" >"$work/plain/.zshrc"
# shellcheck disable=SC2016 # zsh expands it
printf 'eval "$(raxx init zsh)"\n%s\n' "$stop" >"$work/hooked/.zshrc"
provider 100
config 4 10s
# Means of runs that alternate: what else the machine does falls on both.
read -r plain hooked < <(runs=60 median "env ZDOTDIR=$work/plain script -qec zsh /dev/null" "env ZDOTDIR=$work/hooked script -qec zsh /dev/null")
row 'first prompt, all variables inherited, against the same shell without raxx' '+ 5 ms' \
  "+ $(python3 -c "print('%.1f' % ($hooked - $plain))") ms ($hooked ms)" "zsh alone: $plain ms"

if command -v gnome-keyring-daemon secret-tool dbus-run-session >/dev/null; then
  cat >"$work/keyring.sh" <<'INNER'
printf %s bench | gnome-keyring-daemon --unlock --foreground --components=secrets >/dev/null 2>&1 &
daemon=$!
for _ in $(seq 250); do
  dbus-send --session --print-reply --dest=org.freedesktop.DBus /org/freedesktop/DBus \
    org.freedesktop.DBus.GetNameOwner string:org.freedesktop.secrets >/dev/null 2>&1 && break
  sleep 0.02
done
for i in 1 2 3 4; do
  name=BENCH_$i
  printf %s "${!name}" | secret-tool store --label="$name" service "raxx-bench-$i" account bench
done
unset BENCH_1 BENCH_2 BENCH_3 BENCH_4
"$@"
kill "$daemon"
INNER
  export -f median
  XDG_RUNTIME_DIR=$(mktemp -d -p "$work")
  export work XDG_RUNTIME_DIR
  # shellcheck disable=SC2016 # expanded inside the session
  read -r plain hooked < <(env -u DBUS_SESSION_BUS_ADDRESS dbus-run-session -- bash "$work/keyring.sh" bash -c 'runs=60 median \
    "env ZDOTDIR=$work/plain script -qec zsh /dev/null" "env ZDOTDIR=$work/hooked script -qec zsh /dev/null"' 2>/dev/null)
  row 'first prompt, four values read from the Secret Service' '+ 20 ms' \
    "+ $(python3 -c "print('%.1f' % ($hooked - $plain))") ms ($hooked ms)" "zsh alone: $plain ms"
else
  row 'first prompt, four values read from the Secret Service' '+ 20 ms' 'not measured: gnome-keyring or secret-tool is missing' ''
fi

if command -v zoxide >/dev/null; then
  read -r ours theirs < <(runs=200 median "$raxx init zsh" "zoxide init zsh")
  row "\`raxx init zsh\` against \`zoxide init zsh\`" '1.2 ×' \
    "$(python3 -c "print('%.2f' % ($ours / $theirs))") × ($ours ms)" "zoxide: $theirs ms"
else
  row "\`raxx init zsh\` against \`zoxide init zsh\`" '1.2 ×' 'not measured: zoxide is missing' ''
fi

cat >"$work/serial.sh" <<E2
for i in 1 2 3 4; do
  name=BENCH_\$i
  curl -sS --max-time 10 -o /dev/null -H "Authorization: Bearer \${!name}" "$(url)/user"
done
E2
read -r ours serial < <(median "$raxx check" "bash $work/serial.sh")
row "\`raxx check\`, 4 credentials" '130 ms' "$ours ms" "serial script: $serial ms"

config 200 10s
row "\`raxx check\`, 200 credentials" '250 ms' "$(median "$raxx check") ms" ''
memory=$(python3 -c '
import resource, subprocess, sys
subprocess.run([sys.argv[1], "check"], stdout=subprocess.DEVNULL)
print("%.1f" % (resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024))' "$raxx")

provider 60000
config 4 1s
ours=$(runs=3 median "$raxx check")
sed -i.old 's/--max-time 10/--max-time 1/' "$work/serial.sh"
sed -i.old "s|http://[^/]*/user|$(url)/user|" "$work/serial.sh"
serial=$(runs=3 median "bash $work/serial.sh")
row 'every provider hangs (a timeout of 1 s here)' 'timeout + 0.3 s' "$ours ms" "serial script: $serial ms"
row "peak memory of \`check\`, 200 credentials" '20 MB' "$memory MB" ''
row 'size of the release binary' '8 MB' "$(python3 -c 'import os,sys; print("%.1f" % (os.path.getsize(sys.argv[1])/1e6))' "$raxx") MB" ''
