/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * Log lines to standard error, one event a line, as logfmt:
 *   time=2026-11-23T21:40:01.123Z level=info event="configuration loaded" generation=3 rules=2
 * `format` gives the pairs behind the event; values with white space are quoted by the caller
 * (%s in \"…\"). Thread-safe: a line is one write(2). User ids never go into a log line.
 */
enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

void log_set_level(enum log_level level);
enum log_level log_get_level(void);

/* 0, or -1 if `name` is none of error, warning, info, debug. */
int log_parse_level(const char *name, enum log_level *ret_level);

void log_event(enum log_level level, const char *event, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#define log_error(event, ...) log_event(LOG_LEVEL_ERROR, event, __VA_ARGS__)
#define log_warning(event, ...) log_event(LOG_LEVEL_WARNING, event, __VA_ARGS__)
#define log_info(event, ...) log_event(LOG_LEVEL_INFO, event, __VA_ARGS__)
#define log_debug(event, ...) log_event(LOG_LEVEL_DEBUG, event, __VA_ARGS__)
