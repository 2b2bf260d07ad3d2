#!/usr/bin/env bash
# The configuration reference is what the program says of itself.
set -u
if ! diff <("$PMP_BIN/pmpod" --print-reference) "$PMP_SOURCE/docs/configuration.md"; then
  echo "docs/configuration.md is out of date: pmpod --print-reference > docs/configuration.md"
  exit 1
fi
