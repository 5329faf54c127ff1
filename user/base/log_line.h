/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* One event as a line of logfmt or JSON. Pure. */
#include <stddef.h>
#include <time.h>
#include "base/log.h"

/* A pipe takes so much in one piece (PIPE_BUF): lines of several threads never mix. */
#define LOG_LINE_BYTES 4096

/*
 * Writes the line with its '\n' and gives its length. One that would be longer is still whole: the
 * value that is too long ends in "...", pairs behind it are left out. JSON is valid, and texts in
 * quotes are JSON strings in logfmt too, whatever bytes the values hold.
 */
size_t log_line_write(enum log_format format, const struct timespec *when, enum log_level level,
		      const char *event, const struct log_pair *pairs,
		      char ret_line[LOG_LINE_BYTES]);

const char *log_level_name(enum log_level level);
