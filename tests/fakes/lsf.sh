#!/bin/sh
# bsub, bjobs and bkill of a small LSF.
. "${FAKES:?}/common.sh"
case "$program" in
  bsub)
    new_job "$(value_of -J "$@")"
    echo "Job <$id> is submitted to default queue <normal>."
    ;;
  bjobs)
    name=$(value_of -J "$@")
    if [ -n "$name" ]; then
      found=$(named "$name")
      [ -n "$found" ] || { echo "Job <$name> is not found" >&2; exit 255; }
      echo "$found"
      exit 0
    fi
    for id in $(ids_in "$@"); do
      case "$(state_of "$id")" in
        pending) echo "$id|PEND|-|-|New job is waiting for scheduling" ;;
        running) echo "$id|RUN|-|2*node7|-" ;;
        held) echo "$id|PSUSP|-|-|The job was suspended by the user" ;;
        odd) echo "$id|DREAM|-|-|-" ;;
        *) echo "Job <$id> is not found" >&2; bad=255 ;;
      esac
    done
    exit ${bad:-0}
    ;;
  bkill)
    for id in $(ids_in "$@"); do
      take_out "$id" || { echo "Job <$id>: No matching job found" >&2; bad=255; }
    done
    exit ${bad:-0}
    ;;
esac
