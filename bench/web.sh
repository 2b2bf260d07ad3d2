#!/usr/bin/env bash
# How fast the web page is in a headless Chromium: bench/support/web_page.py in the environment of the page's tests.
set -u
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd) || exit 1
export PMP_SOURCE=$top PMP_BUILD=${PMP_BUILD:-$top/build/release} PYTHONDONTWRITEBYTECODE=1
export PMP_BIN=${PMP_BIN:-$PMP_BUILD/bin} PYTHONPATH=$top/tests/web
exec python3 "$top/bench/support/web_page.py" "$@"
