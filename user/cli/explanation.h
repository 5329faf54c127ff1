/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* What a configuration makes of a user: hash, remainder and tag per rule, then routes. */
#include "config/configuration.h"

/* Append to `out`. `id` is a field value. Text: several lines; JSON: one object in one line. */
void explanation_write_text(const struct configuration *configuration, struct span id,
			    struct buffer *out);
void explanation_write_json(const struct configuration *configuration, struct span id,
			    struct buffer *out);
