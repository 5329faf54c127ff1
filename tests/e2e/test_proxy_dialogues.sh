#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# Random dialogues, each response held against its request. LANETAG_DIALOGUES_SECONDS: how long (default 8).
exec "$(dirname "$0")/proxy/run.sh" dialogues.py
