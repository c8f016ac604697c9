"""A command on a leash: it ends, with all that it started, once whoever holds the leash is gone.

    python leash.py COMMAND…

The leash is standard input, a pipe that the operating system closes when its holder ends, however
it ends. Leads a process group of its own, and needs nothing but Python.
"""

import os
import signal
import subprocess
import sys

if __name__ == "__main__":
    # a process, not a thread: Ray ends the children of a process that ends, but not theirs
    if os.fork() == 0:
        sys.stdin.buffer.read()
        os.killpg(0, signal.SIGKILL)
    code = subprocess.call(sys.argv[1:], stdin=subprocess.DEVNULL)
    sys.exit(code if code >= 0 else 128 - code)  # a signal as shells say it
