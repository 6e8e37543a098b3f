"""Imported by the process that steps are forked from (`executors.PRELOADED`): what they print goes
to the log of their command. Nothing later runs before Dagster itself prints there."""

import os
import sys

# The log of a command whose steps have processes of their own.
STEP_LOG = "STEP_LOG"

if log := os.environ.get(STEP_LOG):
    sys.stdout = sys.stderr = open(log, "a", buffering=1)  # noqa: SIM115
