#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# Everything at once, briefly; make soak: for ten minutes.
exec "$(dirname "$0")/proxy/run.sh" soak.py
