#!/bin/bash
# Stands for Slurm's srun where no Slurm runs: all ranks on this machine, ended together as --kill-on-bad-exit does.
n=1
while [[ $1 == --* ]]; do
  case $1 in
    --ntasks) n=$2; shift 2 ;;
    --nodes) shift 2 ;;
    *) shift ;;
  esac
done
[ "$(wc -l < "$SLURM_HOSTFILE")" = "$n" ] || { echo "fake srun: the host file has other ranks than $n" >&2; exit 2; }
trap 'kill -TERM $(jobs -p) 2>/dev/null' TERM
for ((rank = 0; rank < n; rank++)); do
  SLURM_PROCID=$rank SLURM_NTASKS=$n "$@" &
done
worst=0
for ((rank = 0; rank < n; rank++)); do
  wait -n
  code=$?
  if [ $code != 0 ] && [ $worst = 0 ]; then
    worst=$code
    kill -TERM $(jobs -p) 2>/dev/null
  fi
done
exit $worst
