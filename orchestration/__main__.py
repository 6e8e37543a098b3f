import atexit
import gc
import os
import sys

from orchestration.cli import main

# The libraries hold a million objects for as long as a refresh lasts. To look through them for
# cycles as often as Python does by default takes a tenth of the time of a small refresh.
gc.set_threshold(50_000, 50, 100)
status = main()
# All is closed and written by now. Taking hundreds of modules apart, as an ordinary exit does after
# a refresh, would keep whoever waits for three seconds more.
atexit._run_exitfuncs()
sys.stdout.flush()
sys.stderr.flush()
os._exit(status)
