/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* A text that all matches of a regular expression have, read off the pattern. */
#include <stdbool.h>
#include "base/buffer.h"

/*
 * Appends the longest such text that can be seen easily to `out`; false: there is none, or it is
 * not seen. *ret_at_start: matches of the whole text begin with it. RE2's syntax; may miss a text,
 * but never gives one that a match need not have.
 */
bool regex_literal(struct span pattern, struct buffer *out, bool *ret_at_start);
