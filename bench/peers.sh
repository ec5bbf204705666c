#!/usr/bin/env bash
# Jobs per second of Gauntlet and of what people use instead, measured one after the other on this machine.
#
#   bench/peers.sh [--jobs N] [--json]
#
# Python peers live in a virtual environment under .deps/peers; GNU parallel and Slurm are measured where they are
# installed (a Slurm whose controller answers). What could not be measured is listed with its reason.
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
trap 'rm -rf "$rows" "$scratch"' EXIT
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

gauntlet() {
  local figures
  [ -x build/bin/gauntlet ] || { missing gauntlet "build/bin/gauntlet is missing: run ./dev build"; return; }
  figures=$(build/bin/gauntlet bench coordinator --jobs "$((jobs * 50))" --workdir "$scratch" --json 2>/dev/null)
  row gauntlet "no-op over TCP, 8 agents, 3 metric rows" D3 "$((jobs * 25))" \
    "$(jq -r '.figures.noop_jobs_per_s | round' <<<"$figures")"
  row gauntlet "the same, one at a time" D3 5000 "$(jq -r '1000000 / .figures.closed_loop_p50_us | round' <<<"$figures")"
}

processes() { # a coordinator and a worker are started and stopped within the time
  [ -x build/bin/gauntlet ] || return 0
  local start
  printf 'gauntlet: 1\nname: peers\ncommand: {jobs: %d, run: ["true"]}\n' "$jobs" >"$scratch/command.yaml"
  start=$(seconds)
  build/bin/gauntlet run "$scratch/command.yaml" --workdir "$scratch/runs" >/dev/null 2>&1 ||
    { missing gauntlet "its sweep of processes failed"; return; }
  row gauntlet "process 'true', with its log and exit code" D3 "$jobs" "$(rate "$jobs" "$start" "$(seconds)")"
}

bare() {
  local start
  start=$(seconds)
  seq "$jobs" | xargs -P "$cores" -n 1 true
  row xargs "process 'true', no record of it" D0 "$jobs" "$(rate "$jobs" "$start" "$(seconds)")"
}

gnu_parallel() {
  command -v parallel >/dev/null || { missing "GNU parallel" "not installed (Debian package parallel)"; return; }
  local start
  start=$(seconds)
  seq "$jobs" | parallel --will-cite -j "$cores" --joblog "$scratch/joblog" true
  row "GNU parallel" "process 'true', --joblog" D2 "$jobs" "$(rate "$jobs" "$start" "$(seconds)")"
}

slurm() {
  sinfo >/dev/null 2>&1 || { missing Slurm "no controller answers"; return; }
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

say "gauntlet"; gauntlet; processes
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
  while IFS=$'\t' read -r system job class n figure; do
    printf '%-14s %-42s %-5s %9s %9s\n' "$system" "$job" "$class" "$n" "$figure"
  done <"$rows"
fi
