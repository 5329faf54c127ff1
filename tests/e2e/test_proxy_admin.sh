#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# What reads the agent, and what changes it.
exec "$(dirname "$0")/proxy/run.sh" admin.py
