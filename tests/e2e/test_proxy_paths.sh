#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# Paths are normalised before a route is picked, and go on as they were matched.
exec "$(dirname "$0")/proxy/run.sh" paths.py
