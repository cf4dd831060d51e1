# Print TAP from a shell test: source this, make claims, end with `plan`.
tap_n=0

not_ok() {                      # NAME [FILE]: what FILE holds explains it
    tap_n=$((tap_n + 1))
    echo "not ok $tap_n - $1"
    if [ -n "${2:-}" ]; then sed 's/^/# /' "$2"; fi
}

claim() {                       # STATUS NAME [FILE]: STATUS 0 is a success
    if [ "$1" -eq 0 ]; then
        tap_n=$((tap_n + 1))
        echo "ok $tap_n - $2"
    else
        not_ok "$2" "${3:-}"
    fi
}

claim_status() {                # WANTED FOUND NAME [FILE]
    if [ "$1" -eq "$2" ]; then claim 0 "$3"; else not_ok "$3 (exit status $2, not $1)" "${4:-}"; fi
}

plan() {
    echo "1..$tap_n"
    exit 0
}
