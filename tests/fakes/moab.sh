#!/bin/sh
# msub, showq and mdel of a small Moab.
. "${FAKES:?}/common.sh"
case "$program" in
  msub)
    new_job "$(value_of -N "$@")"
    printf '\n%s\n' "$id"
    ;;
  showq)
    echo '<Data><queue option="all">'
    for folder in jobs/*; do
      id=${folder##*/}
      case "$(state_of "$id")" in
        pending) word=Idle ;;
        running) word=Running ;;
        held) word=UserHold ;;
        odd) word=Dreaming ;;
        *) continue ;;
      esac
      echo "<job JobID=\"$id\" JobName=\"$(cat "jobs/$id/name")\" State=\"$word\"></job>"
    done
    echo '</queue></Data>'
    ;;
  mdel)
    for id in $(ids_in "$@"); do
      take_out "$id" || { echo "ERROR: invalid job specified ($id)" >&2; bad=1; }
    done
    exit ${bad:-0}
    ;;
esac
