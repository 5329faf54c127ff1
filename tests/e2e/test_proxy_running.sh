#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# lanetag diff --running: against what an agent has in force, whatever lies on disk.
exec "$(dirname "$0")/proxy/run.sh" running.py
