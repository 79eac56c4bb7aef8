#!/bin/bash
#SBATCH --job-name=pdesurr
#SBATCH --time=24:00:00
#SBATCH --signal=B:USR1@120
#SBATCH --requeue
#SBATCH --open-mode=append
# A run longer than a job: two minutes before its time is up, or when the node is wanted back, the run saves what it has and the job
# queues again, with the same command; the run goes on where it was.
#
#     sbatch --nodes=2 --ntasks-per-node=1 --gpus-per-node=8 experiments/slurm.sh python -m pdesurr train DATA.h5 --out RUN
#
# A script of several processes calls `pdesurr.train.processes.join()` first. Exit codes of a run: 0 done; 138 (USR1) and 143 (TERM)
# stopped and saved; anything else is an error and is not queued again.
set -u
[ $# -gt 0 ] || { echo "usage: sbatch [options of sbatch] experiments/slurm.sh COMMAND ..." >&2; exit 2; }

srun --kill-on-bad-exit=1 "$@" &
run=$!
trap 'kill -s USR1 "$run" 2>/dev/null' USR1
trap 'kill -s TERM "$run" 2>/dev/null' TERM

while true; do # a signal to this shell ends `wait`, not the run
    wait "$run"
    code=$?
    kill -0 "$run" 2>/dev/null || break
done

case $code in
138 | 143) scontrol requeue "$SLURM_JOB_ID" ;;
esac
exit "$code"
