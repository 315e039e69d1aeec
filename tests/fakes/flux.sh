#!/bin/sh
# The flux command of a small Flux.
. "${FAKES:?}/common.sh"
name_in() { for word in "$@"; do case "$word" in --job-name=*) echo "${word#*=}" ;; esac; done; }
case "$1 $2" in
  "uptime "*) echo " 21:00:00 run 1d, owner u, depth 0, size 1" ;;
  "archive "*) ;;
  "submit "*)
    new_job "$(name_in "$@")"
    echo "fABC$id"
    ;;
  "job id") echo "${4#fABC}" ;;
  "jobs "*)
    wanted=$(ids_in "$@")
    for word in "$@"; do case "$word" in --name=*) wanted=$(named "${word#*=}") ;; esac; done
    comma='{"jobs": ['
    for id in $wanted; do
      case "$(state_of "$id")" in
        pending) more='"state": "SCHED"' ;;
        running) more='"state": "RUN", "nodelist": "node7", "t_run": 1795381200.25' ;;
        held) more='"state": "DEPEND"' ;;
        odd) more='"state": "DREAM"' ;;
        ended)
          more="\"state\": \"INACTIVE\", \"result\": \"FAILED\", \"returncode\": $(cat "jobs/$id/code")"
          ;;
        *) echo "flux-jobs: ERROR: JobID $id unknown: No such job" >&2; bad=1; continue ;;
      esac
      echo "$comma {\"id\": $id, $more}"
      comma=,
    done
    [ "$comma" = , ] || printf '%s' "$comma"
    echo ']}'
    exit ${bad:-0}
    ;;
  "cancel "*)
    for id in $(ids_in "$@"); do
      take_out "$id" || { echo "flux-cancel: ERROR: $id: unknown job id" >&2; bad=1; }
    done
    exit ${bad:-0}
    ;;
esac
