# Completion of mitogen for bash. Load it with: source <(mitogen completions bash)
_mitogen() {
    local value help
    COMPREPLY=()
    while IFS=$'\t' read -r value help; do
        COMPREPLY+=("$value")
    done < <("${COMP_WORDS[0]/#\~/$HOME}" __complete bash --breaks="$COMP_WORDBREAKS" \
        -- "${COMP_LINE:0:COMP_POINT}" 2>/dev/null)
}
complete -o default -F _mitogen mitogen
