#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# Request ids and cookies of a running agent, attacked as those of a weak generator.
exec "$(dirname "$0")/proxy/run.sh" prediction.py
