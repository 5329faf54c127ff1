/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * A snapshot in Prometheus' text format 0.0.4
 * (https://prometheus.io/docs/instrumenting/exposition_formats/). Pure.
 */
#include "admin/snapshot.h"
#include "base/buffer.h"

void metrics_write(const struct admin_snapshot *snapshot, struct buffer *out);
