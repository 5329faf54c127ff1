#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# What an agent that serves may do, and what it may not.
exec "$(dirname "$0")/proxy/run.sh" confinement.py
