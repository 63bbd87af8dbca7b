#compdef mitogen
# Completion of mitogen for zsh. Load it with: source <(mitogen completions zsh)
_mitogen() {
    local value help
    local -a values shown
    while IFS=$'\t' read -r value help; do
        values+=("$value")
        shown+=("$value${help:+  -- $help}")
    done < <("${(Q)words[1]/#\~/$HOME}" __complete zsh -- "${(@Q)words[2,CURRENT]}" 2>/dev/null)
    if (( $#values )); then
        compadd -d shown -a values
    else
        _files
    fi
}
if [[ $funcstack[1] == _mitogen ]]; then
    _mitogen "$@"
else
    compdef _mitogen mitogen
fi
