#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# What clients send to get tags, through a running agent and through OpenTelemetry's own libraries.
exec "$(dirname "$0")/proxy/run.sh" baggage.py
