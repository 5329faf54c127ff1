/* SPDX-License-Identifier: GPL-2.0-only */
#include "admin/exposition.h"

#include <inttypes.h>

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

void exposition_single(struct buffer *out, const char *name, const char *type, const char *help,
		       uint64_t value)
{
	exposition_family(out, name, type, help);
	buffer_printf(out, "%s %" PRIu64 "\n", name, value);
}
