/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* A snapshot as one JSON object, for programs. Pure. */
#include "admin/snapshot.h"
#include "base/buffer.h"

void status_write(const struct admin_snapshot *snapshot, struct buffer *out);
