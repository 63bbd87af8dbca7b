# Completion of mitogen for fish. Load it with: mitogen completions fish | source
function __mitogen_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l found ($words[1] __complete fish -- $words[2..-1] "$current" 2>/dev/null)
    if test (count $found) -gt 0
        printf '%s\n' $found
    else
        __fish_complete_path "$current"
    end
end
complete -c mitogen -f -a '(__mitogen_complete)'
