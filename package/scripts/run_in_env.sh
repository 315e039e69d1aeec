#!/bin/sh
# Runs a command in the environment that this script is in: run_in_env COMMAND ARGUMENTS…
# From a folder that was only untarred, too: poncho_package_run relocates it first.
file=$0
while [ -L "$file" ]; do
    target=$(readlink "$file")
    case $target in
    /*) file=$target ;;
    *) file=$(dirname "$file")/$target ;;
    esac
done
prefix=$(CDPATH='' cd -- "$(dirname "$file")/.." >/dev/null && pwd -P) || exit 1
PONCHO_PREFIX=$prefix
export PONCHO_PREFIX
exec "$prefix/bin/poncho_package_run" -e "$prefix" -- "$@"
