#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# HTTP/1.1 through the proxy, between a raw client and a raw upstream.
exec "$(dirname "$0")/proxy/run.sh" protocol.py
