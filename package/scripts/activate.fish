# Puts this environment to use in fish: source bin/activate.fish; `deactivate` ends it.

set -l folder (dirname (status --current-filename))
set -l prefix (cd $folder/..; and pwd -P)

if test "$CONDA_PREFIX" != "$prefix"
    if functions -q deactivate
        deactivate
    end
    set -gx CONDA_PREFIX $prefix
    set -gx PATH $prefix/bin $PATH

    function deactivate --description "Take the active environment out of use"
        for script in $CONDA_PREFIX/etc/conda/deactivate.d/*.fish
            source $script
        end
        set -l rest
        for folder in $PATH
            if test "$folder" != "$CONDA_PREFIX/bin"
                set rest $rest $folder
            end
        end
        set -gx PATH $rest
        set -e CONDA_PREFIX
        functions -e deactivate
    end

    for script in $CONDA_PREFIX/etc/conda/activate.d/*.fish
        source $script
    end
end
