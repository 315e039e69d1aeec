# Takes the active environment out of use again: source bin/deactivate

_wqx_deactivate() {
    if [ -z "${CONDA_PREFIX:-}" ]; then
        return 0
    fi
    if [ -d "$CONDA_PREFIX/etc/conda/deactivate.d" ]; then
        for _wqx_name in $(cd "$CONDA_PREFIX/etc/conda/deactivate.d" && ls); do
            case $_wqx_name in
            *.sh) . "$CONDA_PREFIX/etc/conda/deactivate.d/$_wqx_name" ;;
            esac
        done
        unset _wqx_name
    fi
    # Once, wherever in PATH it is.
    _wqx_path=:$PATH:
    case $_wqx_path in
    *":$CONDA_PREFIX/bin:"*)
        _wqx_path=${_wqx_path%%":$CONDA_PREFIX/bin:"*}:${_wqx_path#*":$CONDA_PREFIX/bin:"}
        ;;
    esac
    _wqx_path=${_wqx_path#:}
    PATH=${_wqx_path%:}
    export PATH
    unset CONDA_PREFIX _wqx_path
    if [ -n "${_WQX_OLD_PS1+is set}" ]; then
        PS1=$_WQX_OLD_PS1
        unset _WQX_OLD_PS1
    fi
    hash -r 2>/dev/null
    return 0
}

_wqx_deactivate
unset -f _wqx_deactivate
