#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# Ids and baggage of hostile or careless peers fail no request.
exec "$(dirname "$0")/proxy/run.sh" bad_input.py
