/* SPDX-License-Identifier: GPL-2.0-only */
#include "cli/log_options.h"

#include <stdio.h>

#include "base/log.h"

int log_option_level(const char *command, const char *text)
{
	enum log_level level;

	if (log_parse_level(text, &level)) {
		fprintf(stderr,
			"lanetag %s: --log-level: '%s' is none of error, warning, info, debug\n",
			command, text);
		return -1;
	}
	log_set_level(level);
	return 0;
}

int log_option_format(const char *command, const char *text)
{
	enum log_format format;

	if (log_parse_format(text, &format)) {
		fprintf(stderr, "lanetag %s: --log-format: '%s' is neither logfmt nor json\n",
			command, text);
		return -1;
	}
	log_set_format(format);
	return 0;
}
