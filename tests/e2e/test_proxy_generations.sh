#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# Applications that pass on the user id alone, under reloads of the rules.
exec "$(dirname "$0")/proxy/run.sh" generations.py
