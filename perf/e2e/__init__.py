# SPDX-License-Identifier: Apache-2.0
# Copyright the Sluice authors
"""The parts of perf/run."""
