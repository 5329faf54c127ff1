/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* What is counted per rule and tag value: the labels `rule` (its tag header) and `tag_value`. */
#include "admin/snapshot.h"

void lane_metrics_write(const struct admin_snapshot *snapshot, struct buffer *out);
