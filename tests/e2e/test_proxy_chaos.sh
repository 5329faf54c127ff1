#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# Random misbehaviour on both sides, with reloads. LANETAG_CHAOS_SECONDS: how long (default 8).
exec "$(dirname "$0")/proxy/run.sh" chaos.py
