#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Copyright the Sluice authors
# extract_objects.sh ARCHIVE OUTPUT WORK_FOLDER OBJECT...: a new archive of the named members.
set -eu
archive=$(realpath "$1")
output=$(realpath -m "$2")
mkdir -p "$3"
cd "$3"
shift 3
ar x "$archive" "$@"
# The table of words is looked at directly (sqli_words.cc), which knows its size.
nm -S libinjection_sqli.o > symbols
grep -q '^0\{16\} 0\{11\}24880 . sql_keywords$' symbols || {
  echo "extract_objects.sh: another libinjection than 3.9: kKeywordCount of sqli_words.cc and this check must follow" >&2
  exit 1
}
objcopy --redefine-sym sql_keywords=libinjection_sql_keywords libinjection_sqli.o
objcopy --globalize-symbol=libinjection_sql_keywords libinjection_sqli.o
rm -f "$output"
ar rcs "$output" "$@"
