#!/bin/sh
# docs/standards.md names a test for every rule, and that test is there.
cd "$(dirname "$0")/../.." || exit 1
exec lua5.4 tests/support/rules.lua docs/standards.md $(find tests -path tests/node/node_modules -prune -o -type f \
    \( -name '*_test.*' -o -path '*/wire/*.txt' -o -name '*_fuzz.c' \) -print | LC_ALL=C sort)
