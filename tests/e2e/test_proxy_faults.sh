#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# System calls that fail for long, and what may wait in memory.
exec "$(dirname "$0")/proxy/run.sh" faults.py
