/* SPDX-License-Identifier: GPL-2.0-only */
#include "admin/exposition.h"

#include <inttypes.h>
#include <stdio.h>

void exposition_family(struct buffer *out, const char *name, const char *type, const char *help)
{
	buffer_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

void exposition_label_value(struct buffer *out, struct span value)
{
	for (size_t i = 0; i < value.length; i++) {
		char byte = value.data[i];

		if (byte == '\\' || byte == '"')
			buffer_append_byte(out, '\\');
		if (byte == '\n')
			buffer_append_text(out, "\\n");
		else
			buffer_append_byte(out, byte);
	}
}

void exposition_sample(struct buffer *out, const char *name, struct span labels, const char *extra,
		       uint64_t value)
{
	buffer_printf(out, "%s{%.*s%s%s} %" PRIu64 "\n", name, SPAN_ARGUMENTS(labels),
		      extra ? "," : "", extra ? extra : "", value);
}

void exposition_histogram(struct buffer *out, const char *name, struct span labels,
			  const struct histogram *histogram)
{
	double per_second = (double)histogram->per_second;
	uint64_t count = 0;

	for (size_t i = 0; i < histogram->bound_count; i++) {
		count += histogram->counts[i];
		buffer_printf(out, "%s_bucket{%.*s,le=\"%g\"} %" PRIu64 "\n", name,
			      SPAN_ARGUMENTS(labels), (double)histogram->bounds[i] / per_second,
			      count);
	}
	count += histogram->counts[histogram->bound_count];
	buffer_printf(out, "%s_bucket{%.*s,le=\"+Inf\"} %" PRIu64 "\n", name,
		      SPAN_ARGUMENTS(labels), count);
	buffer_printf(out, "%s_sum{%.*s} %.6f\n", name, SPAN_ARGUMENTS(labels),
		      (double)histogram->sum / per_second);
	buffer_printf(out, "%s_count{%.*s} %" PRIu64 "\n", name, SPAN_ARGUMENTS(labels), count);
}

void exposition_single(struct buffer *out, const char *name, const char *type, const char *help,
		       uint64_t value)
{
	exposition_family(out, name, type, help);
	buffer_printf(out, "%s %" PRIu64 "\n", name, value);
}
