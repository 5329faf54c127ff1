/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * How endpoints do, per destination: the labels `host`, `subset` (or empty) and `port`. MESH_SERIES
 * destinations have rows of their own; what is left is counted as the host "(other)".
 */
#include "admin/snapshot.h"

void upstream_metrics_write(const struct admin_snapshot *snapshot, struct buffer *out);
