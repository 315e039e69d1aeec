# Sourced by the fakes: a queue that is a folder, $FAKE_QUEUE, in which a test moves jobs on.
#   calls/N.argv, N.stdin   every call: a word a line; what it was given to read
#   jobs/ID/state           pending, running, held, ended, odd; without the file the queue forgot it
#   jobs/ID/name, code, pid, env.sh
#   mode.PROGRAM            fail, hang, foreign, silent: how that program is broken
program=${0##*/}
cd_from=$PWD
cd "$FAKE_QUEUE" || exit 99
mkdir -p calls jobs
call=$(ls calls | grep -c argv)
printf '%s\n' "$program" "$@" > "calls/$call.argv"
: > "calls/$call.stdin"

case "$(cat "mode.$program" 2> /dev/null)" in
  fail) echo "$program: the partition is closed for maintenance" >&2; exit 1 ;;
  hang) sleep 600 ;;
  foreign) echo "Auftrag wurde angenommen"; exit 0 ;;
  silent) exit 0 ;;
esac

# Makes a job of that name and sets $id.
new_job() {
  id=$(($(ls jobs | wc -l) + ${FAKE_FIRST_ID:-41} ))
  mkdir "jobs/$id"
  echo pending > "jobs/$id/state"
  echo "$1" > "jobs/$id/name"
  export -p > "jobs/$id/env.sh"
}

# The word that follows a flag: value_of FLAG "$@"
value_of() {
  flag=$1
  shift
  while [ $# -gt 1 ]; do
    [ "$1" = "$flag" ] && { echo "$2"; return; }
    shift
  done
}

state_of() { cat "jobs/$1/state" 2> /dev/null; }

# Ids of a name that are not over.
named() {
  for folder in jobs/*; do
    job=${folder##*/}
    [ "$(cat "$folder/name" 2> /dev/null)" = "$1" ] || continue
    case "$(state_of "$job")" in pending | running | held | odd) echo "$job" ;; esac
  done
}

# Takes it out of the queue; fails if it is not there.
take_out() {
  [ -n "$(state_of "$1")" ] || return 1
  rm "jobs/$1/state"
  [ ! -e "jobs/$1/pid" ] || kill -TERM "$(cat "jobs/$1/pid")" 2> /dev/null
  return 0
}

# The arguments that are ids.
ids_in() {
  for word in "$@"; do case "$word" in *[!0-9]* | '') ;; *) echo "$word" ;; esac; done
}
