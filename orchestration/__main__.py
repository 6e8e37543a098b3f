import atexit
import os
import sys

from orchestration.cli import main

status = main()
# All is closed and written by now. Taking hundreds of modules apart, as an ordinary exit does after
# a refresh, would keep whoever waits for three seconds more.
atexit._run_exitfuncs()
sys.stdout.flush()
sys.stderr.flush()
os._exit(status)
