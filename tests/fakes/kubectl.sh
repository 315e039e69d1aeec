#!/bin/sh
# The kubectl of a small Kubernetes. Ids are names of pods.
. "${FAKES:?}/common.sh"
pod() {
  status=$2
  printf '{"kind": "Pod", "metadata": {"name": "%s"%s}, "spec": {"nodeName": "node7"}, "status": %s}' \
    "$1" "$(cat "jobs/$1/annotations")" "$status"
}
case "$1" in
  create)
    cat > "calls/$call.stdin"
    name=$(sed -n 's/^ *"name": "\(wqx-[^"]*\)".*/\1/p' "calls/$call.stdin" | head -n 1)
    mkdir "jobs/$name"
    echo pending > "jobs/$name/state"
    sed -n 's/^ *"app": "\(.*\)".*/\1/p' "calls/$call.stdin" > "jobs/$name/name"
    sed -n 's/^ *"wqx.inputs": .*/, "annotations": {&}/p' "calls/$call.stdin" \
      > "jobs/$name/annotations"
    echo "pod/$name created"
    ;;
  get)
    shift
    label=$(value_of -l "$@")
    if [ -n "$label" ]; then wanted=$(named "${label#app=}"); else
      wanted=
      for word in "$@"; do case "$word" in wqx-*) wanted="$wanted $word" ;; esac; done
    fi
    comma='{"kind": "List", "items": ['
    for id in $wanted; do
      case "$(state_of "$id")" in
        pending) status='{"phase": "Pending", "conditions": [{"reason": "Unschedulable", "message": "0/3 nodes are available"}]}' ;;
        running) status='{"phase": "Running", "startTime": "2026-11-22T21:00:00Z"}' ;;
        held) status='{"phase": "Pending", "containerStatuses": [{"state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}}]}' ;;
        odd) status='{"phase": "Dreaming"}' ;;
        ended) status="{\"phase\": \"Failed\", \"containerStatuses\": [{\"state\": {\"terminated\": {\"exitCode\": $(cat "jobs/$id/code"), \"reason\": \"Error\"}}}]}" ;;
        *) continue ;;
      esac
      printf '%s ' "$comma"
      pod "$id" "$status"
      comma=,
    done
    [ "$comma" = , ] || printf '%s' "$comma"
    echo ']}'
    ;;
  logs) echo "the last words of $3" ;;
  delete)
    for word in "$@"; do case "$word" in wqx-*) take_out "$word" ;; esac; done
    exit 0
    ;;
esac
