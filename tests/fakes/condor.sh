#!/bin/sh
# condor_submit, condor_q and condor_rm of a small HTCondor. Jobs in "ended" have left the queue.
. "${FAKES:?}/common.sh"
event() { # NUMBER CLUSTER TEXT, then further lines
  printf '%s (%03d.000.000) 2026-11-22 21:00:00 %s\n' "$1" "$2" "$3"
  shift 3
  [ $# -eq 0 ] || printf '\t%s\n' "$@"
  echo ...
}
case "$program" in
  condor_submit)
    cp "$cd_from/$1" "calls/$call.stdin"
    new_job "$(sed -n 's/^batch_name = //p' "$cd_from/$1")"
    event 000 "$id" "Job submitted from host: <10.0.0.1:9618?alias=schedd7&noUDP>" \
      >> "$cd_from/condor.logfile"
    echo "$cd_from" > "jobs/$id/scratch"
    echo "Submitting job(s)."
    echo "1 job(s) submitted to cluster $id."
    ;;
  condor_q)
    name=$(value_of -constraint "$@" | sed 's/.*"\(.*\)"/\1/')
    if [ -n "$name" ]; then wanted=$(named "$name"); else wanted=$(ids_in "$@"); fi
    comma='['
    for id in $wanted; do
      case "$(state_of "$id")" in
        pending) more='"JobStatus": 1' ;;
        running) more='"JobStatus": 2, "RemoteHost": "slot1@node7"' ;;
        held) more='"JobStatus": 5, "HoldReason": "via condor_hold (by user u)"' ;;
        odd) more='"JobStatus": 9' ;;
        *) continue ;;
      esac
      echo "$comma {\"ClusterId\": $id, $more}"
      comma=,
    done
    [ "$comma" = '[' ] || echo ']'
    ;;
  condor_rm)
    if [ "$1" = -name ] && [ "$(cat mode.condor_rm 2> /dev/null)" = "deaf to names" ]; then
      echo "Can't find address for schedd $2" >&2
      exit 1
    fi
    for id in $(ids_in "$@"); do
      if take_out "$id"; then
        event 009 "$id" "Job was aborted." "via condor_rm (by user u)" \
          >> "$(cat "jobs/$id/scratch")/condor.logfile"
      else
        echo "Couldn't find/remove all jobs in cluster $id" >&2
        bad=1
      fi
    done
    exit ${bad:-0}
    ;;
esac
