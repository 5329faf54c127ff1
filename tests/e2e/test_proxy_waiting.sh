#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# What may wait in the agent's memory, and connections above a limit.
exec "$(dirname "$0")/proxy/run.sh" waiting.py
