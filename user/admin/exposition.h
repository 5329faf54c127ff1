/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * Prometheus' text format, version 0.0.4:
 * https://prometheus.io/docs/instrumenting/exposition_formats/
 */
#include <stdint.h>
#include "base/buffer.h"
#include "base/span.h"

/* `type`: counter, gauge or histogram. Its samples must follow at once. */
void exposition_family(struct buffer *out, const char *name, const char *type, const char *help);
/* Without the quotes around it; backslash, quote and line feed are escaped. */
void exposition_label_value(struct buffer *out, struct span value);
/* NAME{LABELS,EXTRA} VALUE; `labels` as they are printed, `extra` NULL or one more of them. */
void exposition_sample(struct buffer *out, const char *name, struct span labels, const char *extra,
		       uint64_t value);

struct histogram {
	const uint64_t *bounds; /* upper ones, rising */
	size_t bound_count;
	const uint64_t *counts; /* of each bound alone, then of what is above them all */
	uint64_t sum;
	uint64_t per_second; /* the unit of bounds and sum */
};
/* The samples of one histogram in seconds; `name` is the family's. */
void exposition_histogram(struct buffer *out, const char *name, struct span labels,
			  const struct histogram *histogram);
/* A family of one sample without labels. */
void exposition_single(struct buffer *out, const char *name, const char *type, const char *help,
		       uint64_t value);
