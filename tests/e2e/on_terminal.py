# SPDX-License-Identifier: GPL-2.0-only
"""usage: on_terminal.py [--all] [--feed] [--until TEXT] COMMAND…

Runs the command with a terminal as standard error (--all: as standard output too) and prints what it showed there to
our standard error, with \\r as <. --feed: its standard input are numbers, a line each, until it has shown the text of
--until; without --feed the command is ended then. Gives its exit status."""
import os
import pty
import subprocess
import sys
import threading
import time

arguments = sys.argv[1:]
everything = arguments[0] == "--all" and arguments.pop(0)
feeds = arguments[0] == "--feed" and arguments.pop(0)
until = arguments.pop(0) and arguments.pop(0).encode() if arguments[0] == "--until" else None

master, slave = pty.openpty()
process = subprocess.Popen(arguments, stderr=slave, stdout=slave if everything else None, stdin=subprocess.PIPE if feeds else None)
os.close(slave)
seen = threading.Event()


def feed():
    while not seen.is_set():
        process.stdin.write(b"".join(b"%d\n" % number for number in range(5000)))
        process.stdin.flush()
        time.sleep(0.1)
    process.stdin.close()


if feeds:
    threading.Thread(target=feed, daemon=True).start()
shown = b""
try:
    while data := os.read(master, 65536):
        shown += data
        if until and until in shown and not seen.is_set():
            seen.set()
            if not feeds:
                process.terminate()
except OSError:
    pass  # the other end is closed
status = process.wait()
sys.stderr.write(shown.decode().replace("\r\n", "\n").replace("\r", "<"))
sys.exit(status if status >= 0 else 128 - status)
