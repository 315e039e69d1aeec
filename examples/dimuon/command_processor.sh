# A processor without TypeScript: counts the events and chunks of each dataset, lists its files.
# Run by /bin/sh in the sandbox of a task; its chunk is in $WQX_JOB, its answer goes to $WQX_RESULT.
set -eu

# The value of a key in job.json. Enough for an example: take a JSON parser where you have one.
field() {
  sed -n 's/.*"'"$1"'":"\{0,1\}\([^",}]*\).*/\1/p' "$WQX_JOB"
}

dataset=$(field dataset)
start=$(field start)
stop=$(field stop)

cat >"$WQX_RESULT" <<EOF
{
  "chunks": { "$dataset": 1 },
  "events": { "$dataset": $((stop - start)) },
  "files": { "\$set": ["$(field file)"] }
}
EOF
