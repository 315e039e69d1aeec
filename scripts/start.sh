#!/bin/sh
# Starts the wqx that is unpacked beside this script. Deno keeps compiled code in DENO_DIR, and takes
# half a second longer where it cannot; that of the user is put back by io/self.ts.
here="${0%/*}"
if [ "${DENO_DIR-}" != "$here/deno-dir" ]; then
  WQX_USER_DENO_DIR="${DENO_DIR-}"
  DENO_DIR="$here/deno-dir"
  export WQX_USER_DENO_DIR DENO_DIR
fi
# No look at the network for a newer Deno, none at a package.json above the cache.
DENO_NO_UPDATE_CHECK=1 DENO_NO_PACKAGE_JSON=1 \
  exec "$here/deno" run --allow-all --no-config --no-lock "$here/main.js" "$@"
