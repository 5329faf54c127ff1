#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# Retries, faults, mirrors, limits, balancing: what routes and clusters ask of the proxy.
exec "$(dirname "$0")/proxy/run.sh" routing.py
