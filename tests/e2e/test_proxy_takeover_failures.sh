#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# Agents that end or stall while one takes the work over from the other.
exec "$(dirname "$0")/proxy/run.sh" takeover_failures.py
