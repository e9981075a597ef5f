#!/usr/bin/env bash
# A sketch for SLURM: two nodes, one process a GPU. It has been parsed, and not run on a cluster.
#
#   sbatch examples/slurm_job.sh train.py --epochs 10
#
#SBATCH --job-name=training
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=4
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=8
#SBATCH --time=04:00:00
set -euo pipefail

# Settings of a whole cluster belong into /etc/eco2ai/site.toml, under [cluster.NAME], where its admins put them once:
#   [cluster.lumi]
#   region = "FI"
#   pue = 1.04
# Those of a job are variables. Each node has a log of its own, so that no network file system is appended to by many.
export ECO2AI_PROJECT="${SLURM_JOB_NAME:-training}"
logs="${SLURM_SUBMIT_DIR:-.}/energy/${SLURM_JOB_ID:-0}"
mkdir -p "$logs"

# One run for all ranks: the callback in train.py takes its id from the launch.
srun bash -c 'ECO2AI_LOG_FILE="$0/${SLURMD_NODENAME:-node}.jsonl" exec python -m eco2ai_callbacks.lightning "$@"' "$logs" "$@"

# The whole job, its hosts side by side, and one file that eco2ai verify finds whole.
eco2ai report "$logs" --by host
eco2ai merge "$logs"/*.jsonl --output "$logs/job.jsonl"
eco2ai verify "$logs/job.jsonl"
