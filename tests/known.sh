# For scripts that run parts by name: bash finds no fault with a name that it cannot call.

# Fails if no name is given, or one that is not among those in the second argument.
known() {
    local what=$1 all=$2 name
    shift 2
    for name in "${@:-}"; do
        [[ " $all " == *" $name "* ]] && continue
        echo "$0: no $what is called \"$name\"; these are: $all" >&2
        exit 2
    done
}
