#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# Kernel tagger and proxy together: the marks of all requests of a connection are found.
exec "$(dirname "$0")/proxy/run.sh" marks.py
