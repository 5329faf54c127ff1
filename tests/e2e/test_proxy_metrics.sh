#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# What /metrics says after known traffic.
exec "$(dirname "$0")/proxy/run.sh" metrics.py
