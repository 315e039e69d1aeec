#!/bin/sh
# qsub, qstat and qdel of a small Grid Engine.
. "${FAKES:?}/common.sh"
job_list() {
  cat << XML
    <job_list state="$2">
      <JB_job_number>$1</JB_job_number>
      <JB_name>$(cat "jobs/$1/name")</JB_name>
      <JB_owner>user</JB_owner>
      <state>$3</state>
      <queue_name>$4</queue_name>
      <slots>1</slots>
    </job_list>
XML
}
case "$program" in
  qsub)
    new_job "$(value_of -N "$@")"
    echo "Your job $id (\"$(cat "jobs/$id/name")\") has been submitted"
    ;;
  qstat)
    echo "<?xml version='1.0'?><job_info><queue_info>"
    for folder in jobs/*; do
      id=${folder##*/}
      case "$(state_of "$id")" in
        pending) job_list "$id" pending qw "" ;;
        running) job_list "$id" running r all.q@node7 ;;
        held) job_list "$id" pending Eqw "" ;;
        odd) job_list "$id" pending 9 "" ;;
      esac
    done
    echo "</queue_info></job_info>"
    ;;
  qdel)
    for id in $(ids_in "$@"); do
      take_out "$id" || { echo "denied: job \"$id\" does not exist" >&2; bad=1; }
    done
    exit ${bad:-0}
    ;;
esac
