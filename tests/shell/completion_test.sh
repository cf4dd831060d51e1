#!/bin/sh
# The completions that the command prints work in the shells they are for.
cd "$(dirname "$0")/../.." || exit 1
. tests/support/tap.sh
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

for shell in bash zsh fish; do
    build/directmail completion $shell >"$work/$shell" 2>"$work/log" && [ -s "$work/$shell" ]
    claim $? "there are completions for $shell" "$work/log"
    $shell -n "$work/$shell" >"$work/log" 2>&1
    claim $? "$shell reads them" "$work/log"
done

in_bash() {
    bash -c '. "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _directmail; printf "%s\n" "${COMPREPLY[@]}"' "$work/bash" "$@"
}
in_fish() { fish -c 'source $argv[1]; complete -C $argv[2]' "$work/fish" "$*" | cut -f 1 | sort -u | sed '/^$/d'; }

offers() {                      # WANTED, one word each line as printf writes it; then the words so far
    wanted=$1
    shift
    for shell in bash fish; do
        in_$shell "$@" >"$work/out" 2>&1
        # shellcheck disable=SC2059 # the lines are written as a format
        printf -- "$wanted" | cmp -s - "$work/out"
        claim $? "$shell completes \"$*\"" "$work/out"
    done
}
offers 'send\nsendmail\n' directmail se
offers '--subject\n' directmail send --subj
offers 'us-east-1\n' directmail send --region us
offers 'CreateTag\nCreateTemplate\n' directmail api CreateT
offers '--TagName\n' directmail api CreateTag --TagN
offers 'environment\n' directmail help envi
offers '--man\n' directmail help --ma

build/directmail completion tcsh >"$work/out" 2>&1
claim_status 2 $? "another shell is refused" "$work/out"
plan
