#!/bin/bash
# Runs a command in an environment archive by wqx, conda-pack or poncho, or in a folder of one.
# The archive is unpacked once under a lock; the options are those that Work Queue calls it with.

program=${0##*/}
lock_seconds=300
debug=no
environment=
unpack_to=

usage() {
    cat <<END
Run a command in an environment archive.

Usage: $program -e ENVIRONMENT [options] [--] COMMAND ARGUMENTS…

  -e, --environment PATH     archive (.tar.gz and others), or a folder with one unpacked
  -u, --unpack-to DIR        unpack here, and use again what is there;
                             without it into a folder that is removed at the end
  -w, --wait-for-lock SECS   wait so long for others that unpack there  [default: 300]
  -d, --debug                say what is done
      --help-env-creation    how to make an archive
  -h, --help                 this text
END
}

say() {
    echo "$(date '+%Y/%m/%d %H:%M:%S') $program[$$] $*"
}

note() {
    if [ "$debug" = yes ]; then say "$@"; fi
}

fail() {
    say "error: $*"
    exit 1
}

while [ $# -gt 0 ]; do
    case $1 in
    -e | --environment | -u | --unpack-to | -w | --wait-for-lock)
        if [ $# -lt 2 ]; then
            usage
            fail "$1 needs a value"
        fi
        case $1 in
        -e | --environment) environment=$2 ;;
        -u | --unpack-to) unpack_to=$2 ;;
        *) lock_seconds=$2 ;;
        esac
        shift 2
        ;;
    -d | --debug)
        debug=yes
        shift
        ;;
    -h | --help)
        usage
        exit 0
        ;;
    --help-env-creation)
        echo "wqx package create SPEC.json ENVIRONMENT.tar.gz"
        echo "wqx package create --from-prefix DIR ENVIRONMENT.tar.gz"
        exit 0
        ;;
    --)
        shift
        break
        ;;
    *) break ;;
    esac
done

if [ -z "$environment" ]; then
    usage
    fail "-e ENVIRONMENT is missing"
fi
[ -e "$environment" ] || fail "there is no $environment"

marker=.poncho_package_run_expanded
temporary=
clean_up() {
    if [ -n "$temporary" ]; then rm -rf -- "$temporary"; fi
}
trap clean_up EXIT

# Extracts what is not there yet, and gives the files their path. The caller holds the lock.
expand() {
    if [ -e "$prefix/$marker" ]; then
        note "$prefix is ready"
        return 0
    fi
    # The script is the last member of an archive: where it is, everything is.
    if [ ! -e "$prefix/bin/conda-unpack" ]; then
        note "extracting $environment to $prefix"
        tar -xf "$environment" -C "$prefix" || return 1
    fi
    note "relocating $prefix"
    PATH=$prefix/bin:$PATH "$prefix/bin/conda-unpack" || return 1
    date >"$prefix/$marker"
}

if [ -d "$environment" ]; then
    prefix=$(CDPATH='' cd -- "$environment" && pwd -P) || fail "cannot enter $environment"
    [ -z "$unpack_to" ] || say "-u is for archives: $environment is a folder, and used as it is"
    # One by wqx that was only untarred is made ready, if its owner is who calls.
    if [ -e "$prefix/conda-meta/wqx-relocate.json" ] && [ -w "$prefix" ] &&
        [ ! -e "$prefix/$marker" ]; then
        must_expand=yes
    else
        must_expand=no
    fi
else
    if [ -n "$unpack_to" ]; then
        mkdir -p -- "$unpack_to" || fail "cannot make $unpack_to"
        prefix=$(CDPATH='' cd -- "$unpack_to" && pwd -P) || fail "cannot enter $unpack_to"
    else
        temporary=$(mktemp -d) || fail "cannot make a temporary folder"
        prefix=$temporary
    fi
    must_expand=yes
fi

if [ "$must_expand" = yes ]; then
    exec 9<"$prefix" || fail "cannot open $prefix"
    flock -w "$lock_seconds" 9 ||
        fail "somebody else has been unpacking to $prefix for $lock_seconds s"
    expand || fail "cannot unpack $environment to $prefix"
    exec 9<&-
fi

unset PYTHONPATH
# It exists in what was unpacked; the empty word hides the arguments from it.
. "$prefix/bin/activate" "" || fail "cannot activate $prefix"
if [ -f "$prefix/poncho/set_env" ]; then
    . "$prefix/poncho/set_env" "$prefix"
fi

[ $# -gt 0 ] || exit 0
note "running $*"
# In our place, where nothing is left to do afterwards: a signal then reaches the command.
if [ -z "$temporary" ] && type -P -- "$1" >/dev/null; then
    exec "$@"
fi
"$@"
exit $?
