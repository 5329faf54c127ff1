#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Stops one thread of a process, all others go on: as if it were in a loop without end.

usage: hang.py PROCESS THREAD-NAME

Prints "hangs" once the thread stands still, and lets it go on at the end of its input.
"""
import ctypes
import os
import pathlib
import sys

PTRACE_DETACH, PTRACE_SEIZE, PTRACE_INTERRUPT = 17, 0x4206, 0x4207
EVERY_CHILD = 0x40000000  # __WALL: threads, too
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]


def ptrace(request, thread):
    if libc.ptrace(request, thread, None, None) != 0:
        raise OSError(ctypes.get_errno(), "ptrace")


process, name = sys.argv[1:]
thread = next(int(task.name) for task in pathlib.Path(f"/proc/{process}/task").iterdir()
              if (task / "comm").read_text().strip() == name)
ptrace(PTRACE_SEIZE, thread)
ptrace(PTRACE_INTERRUPT, thread)
os.waitpid(thread, EVERY_CHILD)
print("hangs", flush=True)
sys.stdin.read()
ptrace(PTRACE_DETACH, thread)
