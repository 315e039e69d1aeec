# Puts this environment to use in the shell that reads this file: source bin/activate
# For bash, zsh, ksh and dash; fish has bin/activate.fish.

_wqx_own_prefix() {
    # Where this file is: every shell says it in its own way.
    if [ -n "${BASH_VERSION:-}" ]; then
        eval '_wqx_file=${BASH_SOURCE[0]}'
    elif [ -n "${ZSH_VERSION:-}" ]; then
        eval '_wqx_file=${(%):-%x}'
    elif [ -n "${KSH_VERSION:-}" ]; then
        eval '_wqx_file=${.sh.file}'
    else
        # The shell holds the file open while it reads it.
        _wqx_file=
        for _wqx_open in /proc/$$/fd/*; do
            _wqx_target=$(readlink "$_wqx_open" 2>/dev/null) || continue
            case $_wqx_target in
            */bin/activate) _wqx_file=$_wqx_target ;;
            esac
        done
        unset _wqx_open _wqx_target
    fi
    if [ -z "$_wqx_file" ]; then
        echo "activate: this shell does not tell where the file is; use bash or zsh" >&2
        return 1
    fi
    case $_wqx_file in
    */*) _wqx_prefix=${_wqx_file%/*}/.. ;;
    *) _wqx_prefix=.. ;;
    esac
    # CDPATH would print, and may lead elsewhere.
    _wqx_prefix=$(CDPATH='' cd -- "$_wqx_prefix" >/dev/null && pwd -P)
}

_wqx_activate() {
    _wqx_own_prefix || return 1
    if [ "${CONDA_PREFIX:-}" = "$_wqx_prefix" ]; then
        return 0
    fi
    if [ -n "${CONDA_PREFIX:-}" ] && [ -f "$CONDA_PREFIX/bin/deactivate" ]; then
        . "$CONDA_PREFIX/bin/deactivate"
    fi
    CONDA_PREFIX=$_wqx_prefix
    PATH=$_wqx_prefix/bin${PATH:+:$PATH}
    export CONDA_PREFIX PATH
    if [ -n "${PS1:-}" ]; then
        _WQX_OLD_PS1=$PS1
        PS1="(${_wqx_prefix##*/}) $PS1"
    fi
    if [ -d "$CONDA_PREFIX/etc/conda/activate.d" ]; then
        # No pattern: one that matches nothing is an error in zsh.
        for _wqx_name in $(cd "$CONDA_PREFIX/etc/conda/activate.d" && ls); do
            case $_wqx_name in
            *.sh) . "$CONDA_PREFIX/etc/conda/activate.d/$_wqx_name" ;;
            esac
        done
        unset _wqx_name
    fi
    # Programs remembered from another PATH are looked for again.
    hash -r 2>/dev/null
    return 0
}

_wqx_activate
_wqx_status=$?
unset _wqx_file _wqx_prefix
unset -f _wqx_own_prefix _wqx_activate
if [ "$_wqx_status" -ne 0 ]; then
    unset _wqx_status
    return 1
fi
unset _wqx_status
