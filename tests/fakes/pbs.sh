#!/bin/sh
# qsub, qstat, qselect and qdel of a small PBS.
. "${FAKES:?}/common.sh"
block() {
  printf 'Job Id: %s.server\n    Job_Name = %s\n    job_state = %s\n' "$1" \
    "$(cat "jobs/$1/name")" "$2"
  [ -z "$3" ] || printf '    %s\n' "$3"
  echo
}
case "$program" in
  qsub)
    new_job "$(value_of -N "$@")"
    echo "$id.server"
    ;;
  qstat)
    for id in $(ids_in "$@"); do
      case "$(state_of "$id")" in
        pending) block "$id" Q "comment = Not enough nodes" ;;
        running) block "$id" R "exec_host = node7/0*2+node7/1" ;;
        held) block "$id" H "comment = held by user" ;;
        odd) block "$id" Z "" ;;
        *) echo "qstat: Unknown Job Id $id.server" >&2; bad=153 ;;
      esac
    done
    exit ${bad:-0}
    ;;
  qselect) named "$(value_of -N "$@")" | sed 's/$/.server/' ;;
  qdel)
    for id in $(ids_in "$@"); do
      take_out "$id" || { echo "qdel: Unknown Job Id $id" >&2; bad=153; }
    done
    exit ${bad:-0}
    ;;
esac
