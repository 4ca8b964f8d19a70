#!/usr/bin/env bash
# Usage: bash tests/bench.sh
# Measures the figures of docs/performance.md in one run, compared with a serial curl script, zoxide and direnv, and prints a table.
# Needs hyperfine, curl, zsh and python3. Some rows also need zoxide, direnv, or gnome-keyring and secret-tool; without them the row
# says what is not installed. All requests stay on loopback.
set -euo pipefail
cd "$(dirname "$0")/.."
for program in hyperfine curl zsh python3; do
  command -v "$program" >/dev/null || { echo "bench: $program is not installed" >&2; exit 2; }
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

# provider LATENCY_MS: starts a provider, and writes a configuration with its address to $work/provider.toml.
provider() {
  [[ -z $provider_pid ]] || kill "$provider_pid" 2>/dev/null || true
  rm -f "$work/provider.toml"
  sleep 3600 | target/debug/examples/provider "$1" "${tokens[@]}" >"$work/provider.toml" &
  provider_pid=$!
  until grep -q vault "$work/provider.toml" 2>/dev/null; do sleep 0.05; done
}
url() { sed -n 's/^base_url = "\(.*\)\/client\/v4"$/\1/p' "$work/provider.toml"; }
# config COUNT TIMEOUT [BACKEND]: writes a configuration with COUNT credentials, and exports all of them.
config() {
  { echo "timeout = \"$2\""; cat "$work/provider.toml"; } >"$work/config.toml"
  printf '[store]\nbackend = "%s"\npath = "%s"\nidentity = "%s"\n' \
    "${3:-secret-service}" "$work/store.age" "$work/identity.txt" >>"$work/config.toml"
  for i in $(seq "$1"); do
    printf '[[credential]]\nname = "BENCH_%d"\nprovider = "%s"\nstore = { service = "raxx-bench-%d", account = "bench" }\n' \
      "$i" "$( ((i % 2)) && echo github || echo cloudflare)" "$i" >>"$work/config.toml"
    export "BENCH_$i=$(token "$i")"
  done
  export RAXX_CONFIG=$work/config.toml
}
# median COMMAND…: prints the median time of each command in ms. A mean would not do: a SYN dropped on loopback costs a whole second.
median() {
  hyperfine --style none --shell none --ignore-failure --warmup 3 --runs "${runs:-30}" --export-json "$work/m.json" "$@" >/dev/null 2>&1
  python3 -c 'import json,sys; print(*["%.2f" % (r["median"]*1000) for r in json.load(open(sys.argv[1]))["results"]])' "$work/m.json"
}
# prompts HOME...: prints, for each directory of rc files, the median time in ms from the start of zsh, in its own terminal, to its
# first prompt. They alternate, so that other load on the machine affects all of them.
prompts() {
  python3 - "$@" <<'PY'
import os, pty, statistics, sys, time
def start(home):
    begun = time.perf_counter()
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvpe("zsh", ["zsh", "-d", "-i"], {**os.environ, "ZDOTDIR": home, "TERM": "xterm"})
    try:
        while os.read(terminal, 65536):
            pass
    except OSError:
        pass
    os.waitpid(pid, 0)
    os.close(terminal)
    return (time.perf_counter() - begun) * 1000
times = [[start(home) for home in sys.argv[1:]] for _ in range(155)][5:]
print(*["%.2f" % statistics.median(column) for column in zip(*times)])
PY
}
# times PLAIN OURS PEER NAME: prints the time that raxx adds to the plain shell, as a multiple of the time that the peer adds.
times() {
  python3 -c 'import sys; a, b, c = map(float, sys.argv[1:4]); print("%.2f × %s (+ %.1f and + %.1f ms)" % ((b - a) / (c - a), sys.argv[4], b - a, c - a))' "$@"
}
# more BEFORE AFTER: prints the difference in ms.
more() { python3 -c 'import sys; print("+ %.1f ms (%s ms)" % (float(sys.argv[2]) - float(sys.argv[1]), sys.argv[2]))' "$1" "$2"; }
row() { printf '| %s | %s | %s | %s |\n' "$@"; }

printf '| figure | bound | measured | compared with |\n|---|---|---|---|\n'

# The first prompt, for an rc file without raxx, one with raxx, and one each with the hooks of zoxide and direnv. The last precmd
# function exits the shell, so a run lasts from exec to the prompt.
stop='precmd_stop() { exit; }; precmd_functions+=(precmd_stop)'
echo "$stop" >"$work/plain/.zshrc"
# shellcheck disable=SC2016 # zsh expands it
printf 'eval "$(raxx init zsh)"\n%s\n' "$stop" >"$work/hooked/.zshrc"
peers=()
for peer in zoxide direnv; do
  command -v "$peer" >/dev/null || continue
  mkdir "$work/$peer"
  # shellcheck disable=SC2016 # zsh expands it
  case $peer in
    zoxide) printf 'eval "$(zoxide init zsh)"\n%s\n' "$stop" ;;
    direnv) printf 'eval "$(direnv hook zsh)"\n%s\n' "$stop" ;;
  esac >"$work/$peer/.zshrc"
  peers+=("$peer")
done
provider 100
config 4 10s
read -ra at < <(prompts "$work/plain" "$work/hooked" "${peers[@]/#/$work/}")
for i in "${!peers[@]}"; do
  bound='1.2 × zoxide'
  [[ ${peers[i]} == zoxide ]] || bound='0.35 × direnv'
  row "first prompt, all variables inherited: time that raxx adds, compared with ${peers[i]}" "$bound" \
    "$(times "${at[0]}" "${at[1]}" "${at[2 + i]}" "${peers[i]}")" "zsh alone: ${at[0]} ms"
done
[[ ${#peers[@]} == 2 ]] ||
  row 'first prompt, all variables inherited: time that raxx adds' '1.2 × zoxide, 0.35 × direnv' 'not measured: zoxide or direnv is not installed' ''

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
  export -f prompts
  XDG_RUNTIME_DIR=$(mktemp -d -p "$work")
  export work XDG_RUNTIME_DIR
  # shellcheck disable=SC2016 # expanded inside the session
  read -ra at < <(env -u DBUS_SESSION_BUS_ADDRESS dbus-run-session -- bash "$work/keyring.sh" \
    bash -c 'prompts "$@"' bash "$work/plain" "$work/hooked" "${peers[@]/#/$work/}" 2>/dev/null)
  against=''
  [[ ${peers[0]-} != zoxide ]] || against="; $(times "${at[0]}" "${at[1]}" "${at[2]}" zoxide)"
  row 'first prompt, four values read from the Secret Service' '2 × zoxide' "$(more "${at[0]}" "${at[1]}")$against" \
    "zsh alone: ${at[0]} ms"
else
  row 'first prompt, four values read from the Secret Service' '2 × zoxide' 'not measured: gnome-keyring or secret-tool is not installed' ''
fi

if command -v zoxide >/dev/null; then
  read -r ours theirs < <(runs=200 median "$raxx init zsh" "zoxide init zsh")
  row "\`raxx init zsh\`, compared with \`zoxide init zsh\`" '1.2 ×' \
    "$(python3 -c "print('%.2f' % ($ours / $theirs))") × ($ours ms)" "zoxide: $theirs ms"
else
  row "\`raxx init zsh\`, compared with \`zoxide init zsh\`" '1.2 ×' 'not measured: zoxide is not installed' ''
fi

cat >"$work/serial.sh" <<E2
for i in 1 2 3 4; do
  name=BENCH_\$i
  curl -sS --max-time 10 -o /dev/null -H "Authorization: Bearer \${!name}" "$(url)/user"
done
E2
read -r ours serial < <(median "$raxx check" "bash $work/serial.sh")
row "\`raxx check\`, 4 credentials" '110 ms' "$ours ms" "serial script: $serial ms"

# Commands that need no network: export from a store file with an identity, and those that read the last verdicts.
config 4 10s file
for i in 1 2 3 4; do
  name=BENCH_$i
  printf %s "${!name}" | "$raxx" store "$name" --stdin --no-check 2>/dev/null
done
read -r empty full < <(
  unset BENCH_1 BENCH_2 BENCH_3 BENCH_4
  mv "$work/store.age" "$work/kept.age"
  runs=200 median "$raxx export bash" | tr '\n' ' '
  mv "$work/kept.age" "$work/store.age"
  runs=200 median "$raxx export bash"
)
row "\`raxx export\`, four values from the unlocked store file, compared with none stored" '+ 5 ms' "$(more "$empty" "$full")" ''
row "\`raxx list\`" '10 ms' "$(runs=200 median "$raxx list") ms" ''
row "\`raxx prompt\`" '2 ms' "$(runs=200 median "$raxx prompt") ms" ''

config 200 10s
row "\`raxx check\`, 200 credentials" '200 ms' "$(median "$raxx check") ms" ''
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
row "\`raxx check\` when every provider hangs (timeout of 1 s)" 'timeout + 0.3 s' "$ours ms" "serial script: $serial ms"
row "peak memory of \`check\`, 200 credentials" '16 MB' "$memory MB" ''
row 'size of the release binary' '9 MB' "$(python3 -c 'import os,sys; print("%.1f" % (os.path.getsize(sys.argv[1])/1e6))' "$raxx") MB" ''
