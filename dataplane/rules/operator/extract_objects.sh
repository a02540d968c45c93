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
rm -f "$output"
ar rcs "$output" "$@"
