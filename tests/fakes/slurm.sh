#!/bin/sh
# sbatch, squeue and scancel of a small Slurm.
. "${FAKES:?}/common.sh"
case "$program" in
  sbatch)
    new_job "$(value_of -J "$@")"
    echo "Submitted batch job $id"
    ;;
  squeue)
    name=$(value_of -n "$@")
    [ -z "$name" ] || { named "$name"; exit 0; }
    asked=$(value_of -j "$@" | tr , ' ')
    known=no
    for id in $asked; do
      case "$(state_of "$id")" in
        pending) echo "$id|PENDING|Priority|" ;;
        running) echo "$id|RUNNING|None|node7" ;;
        held) echo "$id|PENDING|JobHeldUser|" ;;
        odd) echo "$id|DREAMING|None|" ;;
        *) continue ;;
      esac
      known=yes
    done
    [ -z "$asked" ] || [ $known = yes ] || {
      echo "slurm_load_jobs error: Invalid job id specified" >&2
      exit 1
    }
    ;;
  scancel)
    for id in $(ids_in "$@"); do
      take_out "$id" || { echo "scancel: error: Invalid job id $id" >&2; bad=1; }
    done
    exit ${bad:-0}
    ;;
esac
