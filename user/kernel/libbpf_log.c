/* SPDX-License-Identifier: GPL-2.0-only */
#include "kernel/libbpf_log.h"

#include <bpf/libbpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/log.h"

#define SHOWN_BYTES 700

/* Of a verifier's log, which may be megabytes, only the end says what is wrong. */
static void log_end(enum log_level level, char *text)
{
	size_t length = strlen(text);

	if (length && text[length - 1] == '\n')
		text[--length] = '\0';
	if (length > SHOWN_BYTES)
		text += length - SHOWN_BYTES;
	log_event(level, "libbpf", log_text("message", text));
}

/* libbpf's own debug messages (every relocation of every load) are not worth a line of ours. */
static int print_message(enum libbpf_print_level level, const char *format, va_list arguments)
{
	enum log_level ours = level == LIBBPF_WARN ? LOG_LEVEL_INFO : LOG_LEVEL_DEBUG;
	char *text;

	if (level == LIBBPF_DEBUG || ours > log_get_level() ||
	    vasprintf(&text, format, arguments) < 0)
		return 0;
	log_end(ours, text);
	free(text);
	return 0;
}

void libbpf_log_install(void)
{
	libbpf_set_print(print_message);
}
