#!/bin/sh
# wqx @VERSION@. A gzipped tar archive with Deno and the program follows this script, which unpacks
# it once into a cache folder of yours, named after its content, and starts it from there.
id=@ID@

# What it was called tells which program it is to be; io/self.ts takes it out of the environment.
WQX_STARTED_AS="$0"
export WQX_STARTED_AS

# Where to unpack: the first of these that will do.
case "${XDG_CACHE_HOME-}" in
  /*) cache="$XDG_CACHE_HOME/wqx" ;;
  *) cache= ;;
esac
case "${HOME-}" in
  /*) home="$HOME/.cache/wqx" ;;
  *) home= ;;
esac

# Nobody else may have put it there (-O), and Deno must be able to write beside it.
ready() {
  [ -O "$1" ] && [ -O "$1/$id/wqx" ] && [ -O "$1/$id/deno" ] && [ -O "$1/$id/main.js" ] &&
    [ -w "$1/$id/deno-dir" ]
}

# A folder in /tmp is worth nothing if it is a link, or if others can write into it.
private() {
  [ -d "$1" ] && [ ! -L "$1" ] && [ -O "$1" ] || return 1
  case "$(ls -ld "$1")" in
    d????-??-*) ;;
    *) return 1 ;;
  esac
}

unpack() {
  (umask 077 && mkdir -p "$1") 2>/dev/null && private "$1" || return 1
  new="$(mktemp -d "$1/.new.XXXXXX" 2>/dev/null)" || return 1
  trap 'rm -rf "$new"' EXIT
  trap 'exit 130' HUP INT TERM
  # The folder "whole" says that gzip found every byte as it was packed.
  mkdir "$new/wqx"
  { tail -n +@LINES@ "$self" | gzip -dc && mkdir "$new/whole"; } 2>>"$new/errors" |
    tar -xof - -C "$new/wqx" 2>>"$new/errors"
  if [ -d "$new/whole" ] && mkdir "$new/wqx/deno-dir"; then
    # What a cleaner of old files has left of an earlier one.
    [ ! -e "$1/$id" ] || ready "$1" || mv "$1/$id" "$new/broken" 2>>"$new/errors"
    # rename(2) is all or nothing, and fails if another wqx was first; mv would move into its
    # folder. The new Deno does it, which also shows that it runs here (C library, no noexec).
    DENO_DIR="$new/wqx/deno-dir" DENO_NO_UPDATE_CHECK=1 "$new/wqx/deno" eval --no-config --no-lock \
      'Deno.renameSync(...Deno.args)' "$new/wqx" "$1/$id" 2>>"$new/errors"
  fi
  ready "$1" || why="$why$1: $(grep -v '^ ' "$new/errors" | tr '\n' ' ')
"
  rm -rf "$new"
  trap - EXIT HUP INT TERM
  ready "$1"
}

self="$0"
for folder in "$cache" "$home"; do
  [ -n "$folder" ] && ready "$folder" && exec "$folder/$id/wqx" "$@"
done
temp="${TMPDIR:-/tmp}/wqx-$(id -u)"
private "$temp" && ready "$temp" && exec "$temp/$id/wqx" "$@"

why=
for folder in "$cache" "$home" "$temp"; do
  [ -n "$folder" ] && unpack "$folder" && exec "$folder/$id/wqx" "$@"
done
cat >&2 <<END
wqx: cannot unpack itself into any of
  $cache
  $home
  $temp
${why}Set XDG_CACHE_HOME to a folder of your own with @MEGABYTES@ MB free, on a disk that may run programs.
END
exit 1
