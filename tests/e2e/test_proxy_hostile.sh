#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# Upstreams and clients that mean harm, or do by accident what confuses proxies.
exec "$(dirname "$0")/proxy/run.sh" hostile.py
