#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# A new agent takes the sockets over from the old one under traffic.
exec "$(dirname "$0")/proxy/run.sh" takeover.py
