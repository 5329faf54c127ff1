#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# Limits, timeouts and back-pressure of the proxy.
exec "$(dirname "$0")/proxy/run.sh" limits.py
