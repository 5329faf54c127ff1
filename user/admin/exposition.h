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
/* A family of one sample without labels. */
void exposition_single(struct buffer *out, const char *name, const char *type, const char *help,
		       uint64_t value);
