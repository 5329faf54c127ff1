/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* The hunks of a unified diff, three lines of context, by lines. */
#include "base/buffer.h"

void text_diff(struct span old, struct span new, struct buffer *out);
