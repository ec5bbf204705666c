#!/usr/bin/env bash
# Jobs per second of Gauntlet and of what people use instead, measured one after the other on this machine.
#
#   bench/peers.sh [--jobs N] [--json]
#
# Python peers live in a virtual environment under .deps/peers. GNU parallel, Slurm and munge are Debian packages, which are
# installed where this is root's; Slurm is a cluster of one node of its own, unless a controller answers. What could not be
# measured is listed with its reason.
#
# Durability, the class of each figure: what is on disk when a job counts as done.
#   D0 nothing   D1 saved every so often   D2 written at once, not synced   D3 synced before it is acknowledged
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

jobs=2000 json=0
while [ $# -gt 0 ]; do
  case "$1" in
    --jobs) jobs=${2:?--jobs needs a number}; shift 2 ;;
    --json) json=1; shift ;;
    *) echo "peers.sh: '$1' is unknown; allowed are --jobs N and --json" >&2; exit 2 ;;
  esac
done
[[ $jobs =~ ^[1-9][0-9]*$ ]] || { echo "peers.sh: --jobs '$jobs' is no number of jobs" >&2; exit 2; }

venv=.deps/peers
rows=$(mktemp)
scratch=$(mktemp -d)
slurm_cluster=tests/support/slurm-cluster own_slurm=
end() {
  [ -z "$own_slurm" ] || "$slurm_cluster" down "$own_slurm" >/dev/null 2>&1 || true
  rm -rf "$rows" "$scratch"
}
trap end EXIT
cores=$(nproc)

say() { printf 'peers.sh: %s\n' "$*" >&2; }
row() { printf '%s\t%s\t%s\t%s\t%s\n' "$@" >>"$rows"; }        # system, what a job is, class, jobs, jobs/s
missing() { printf '%s\t%s\t\t\t%s\n' "$1" "not measured" "$2" >>"$rows"; }
seconds() { date +%s.%N; }
rate() { awk -v n="$1" -v a="$2" -v b="$3" 'BEGIN {printf "%.0f", n / (b - a)}'; }

python() { # installs what is missing into the virtual environment, then runs a peer's measurement
  [ -x "$venv/bin/python" ] || python3 -m venv "$venv"
  "$venv/bin/python" -c "import $1" 2>/dev/null || "$venv/bin/pip" install --quiet "$2" >&2 || return 1
  "$venv/bin/python" bench/peers.py "$1" "$jobs" 2>/dev/null | tail -n 1
}

debian() { # program package...
  command -v "$1" >/dev/null && return
  [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 1
  say "installing ${*:2}"
  DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${@:2}" >&2
}

gauntlet() {
  [ -x build/bin/gauntlet ] || { missing gauntlet "build/bin/gauntlet is missing: run ./dev build"; return; }
  local figures
  figures=$(build/bin/gauntlet bench coordinator --jobs "$((jobs * 50))" --workdir "$scratch" --json 2>"$scratch/words") ||
    { missing gauntlet "$(tail -n 1 "$scratch/words")"; return; }
  figure() { jq -r ".figures | $1 | round" <<<"$figures"; }
  row gauntlet "no-op over TCP, 8 agents, 3 metric rows" D3 "$((jobs * 25))" "$(figure .noop_jobs_per_s)"
  row gauntlet "the same, one at a time" D3 5000 "$(figure '1000000 / .closed_loop_p50_us')"
  row gauntlet "process 'true', with its log and exit code" D3 20000 "$(figure .process_jobs_per_s)"
  row posix_spawn "process 'true', no record of it" D0 20000 "$(figure .spawns_per_s)"
}

bare() {
  local start
  start=$(seconds)
  seq "$jobs" | xargs -P "$cores" -I _ true
  row xargs "process 'true', no record of it" D0 "$jobs" "$(rate "$jobs" "$start" "$(seconds)")"
}

gnu_parallel() {
  debian parallel parallel || { missing "GNU parallel" "not installed (Debian package parallel)"; return; }
  local start
  start=$(seconds)
  seq "$jobs" | parallel --will-cite -n 0 -j "$cores" --joblog "$scratch/joblog" true
  row "GNU parallel" "process 'true', --joblog" D2 "$jobs" "$(rate "$jobs" "$start" "$(seconds)")"
}

slurm() {
  if ! sinfo >/dev/null 2>&1; then
    debian slurmctld slurm-wlm munge || { missing Slurm "not installed (Debian packages slurm-wlm and munge)"; return; }
    own_slurm=$scratch/slurm
    "$slurm_cluster" up "$own_slurm" 1 >"$scratch/words" 2>&1 ||
      { missing Slurm "$(tail -n 1 "$scratch/words")"; return; }
    export SLURM_CONF=$own_slurm/slurm.conf
  fi
  local n=$((jobs < 1000 ? jobs : 1000)) start
  start=$(seconds)
  sbatch --wait --quiet --output=/dev/null --array="1-$n" --wrap true
  row Slurm "array of 'true'" D1 "$n" "$(rate "$n" "$start" "$(seconds)")"
}

python_peer() { # name module package what class
  local measured
  if measured=$(python "$2" "$3"); then row "$1" "$4" "$5" "$(cut -f1 <<<"$measured")" "$(cut -f2 <<<"$measured")"
  else missing "$1" "its package $3 could not be installed or run"; fi
}

say "gauntlet"; gauntlet
say "xargs"; bare
say "GNU parallel"; gnu_parallel
say "Slurm"; slurm
say "HyperQueue"; python_peer HyperQueue hyperqueue hyperqueue "process 'true', no journal" D0
say "Dask"; python_peer Dask distributed distributed "Python no-op" D0
say "Optuna"; python_peer Optuna optuna optuna "trial, SQLite storage" D3

if [ "$json" = 1 ]; then
  jq -Rn '{format: 1, bench: "peers", rows: [inputs | split("\t") |
    {system: .[0], job: .[1], durability: .[2], jobs: (.[3] | tonumber? // null), jobs_per_s: (.[4] | tonumber? // null),
     reason: (if .[2] == "" then .[4] else null end)}]}' <"$rows"
else
  printf '%-14s %-42s %-5s %9s %9s\n' system job class jobs jobs/s
  # Tabs in a row are one to `read`; what could not be measured has empty columns.
  while IFS=$'\037' read -r system job class n figure; do
    printf '%-14s %-42s %-5s %9s %9s\n' "$system" "$job" "$class" "$n" "$figure"
  done < <(tr '\t' '\037' <"$rows")
fi
