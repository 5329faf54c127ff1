#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# Reloads, dying endpoints and draining under traffic.
exec "$(dirname "$0")/proxy/run.sh" life.py
