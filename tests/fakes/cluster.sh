#!/bin/sh
# csub and cdel of a queue that nobody knows.
. "${FAKES:?}/common.sh"
case "$program" in
  csub)
    new_job "$(value_of -name "$@")"
    echo "$id"
    ;;
  cdel)
    for id in $(ids_in "$@"); do
      take_out "$id" || { echo "cdel: no job $id" >&2; bad=1; }
    done
    exit ${bad:-0}
    ;;
esac
