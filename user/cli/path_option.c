/* SPDX-License-Identifier: GPL-2.0-only */
#include "cli/path_option.h"

#include <stdio.h>

int path_option_parse(const char *command, const char *text, enum http_path_normalization *ret_way)
{
	int error = http_path_normalization_parse(text, ret_way);

	if (error)
		fprintf(stderr,
			"lanetag %s: --path-normalization: '%s' is none of none, base, "
			"merge-slashes, decode-and-merge-slashes\n",
			command, text);
	return error;
}
