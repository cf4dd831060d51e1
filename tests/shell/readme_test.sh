#!/bin/sh
# The code blocks of README.md and docs/ run, and print what the documents say.
cd "$(dirname "$0")/../.." || exit 1
PATH=${B:-$PWD/build}:$PATH      # B: another build than make check's
export PATH
exec directmail sandbox -- lua5.4 tests/support/readme.lua README.md docs/*.md
