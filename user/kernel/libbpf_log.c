/* SPDX-License-Identifier: GPL-2.0-only */
#include "kernel/libbpf_log.h"

#include <bpf/libbpf.h>
#include <stdio.h>
#include <string.h>
#include "base/log.h"

/* libbpf's own debug messages (every relocation of every load) are not worth a line of ours. */
static int print_message(enum libbpf_print_level level, const char *format, va_list arguments)
{
	enum log_level ours = level == LIBBPF_WARN ? LOG_LEVEL_INFO : LOG_LEVEL_DEBUG;
	char text[900];

	if (level == LIBBPF_DEBUG || ours > log_get_level())
		return 0;
	vsnprintf(text, sizeof(text), format, arguments);
	for (char *at = text; *at; at++) {
		if (*at == '"')
			*at = '\'';
		else if (*at == '\n')
			*at = at[1] ? ' ' : '\0';
	}
	log_event(ours, "libbpf", "message=\"%s\"", text);
	return 0;
}

void libbpf_log_install(void)
{
	libbpf_set_print(print_message);
}
