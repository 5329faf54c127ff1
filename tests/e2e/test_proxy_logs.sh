#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# The agent's log and the access log: every line can be read back, floods are held back, user ids stay hidden.
exec "$(dirname "$0")/proxy/run.sh" logs.py
