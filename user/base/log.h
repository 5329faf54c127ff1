/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * Log lines to standard error, one event a line, as logfmt or JSON:
 *   time=2026-11-23T21:40:01.123Z level=info event="configuration in force" generation=3 rules=2
 * The event and the keys are texts of ours; values may hold any bytes, they are written so that
 * every line can be read back. Thread-safe: a line is one write(2). User ids never go into a log
 * line.
 *
 *   log_warning("endpoint left out", log_text("host", host), log_number("port", port));
 */
#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };
enum log_format { LOG_FORMAT_LOGFMT, LOG_FORMAT_JSON };

void log_set_level(enum log_level level);
enum log_level log_get_level(void);
void log_set_format(enum log_format format);

/* 0, or -1 if `name` is none of error, warning, info, debug; none of logfmt, json. */
int log_parse_level(const char *name, enum log_level *ret_level);
int log_parse_format(const char *name, enum log_format *ret_format);

/*
 * From now on (true) events that repeat are held back, see base/log_limit.h, and told of in an
 * event of their own, "events suppressed"; until then, and after false, every event has its line.
 */
void log_limit_repeats(bool limit);
/* Tells of what was held back by now; every event does too. To be called now and then. */
void log_report_suppressed(void);

/* A key and its value; a list ends with one that has no key. */
struct log_pair {
	const char *key;
	enum { LOG_PAIR_TEXT, LOG_PAIR_NUMBER, LOG_PAIR_TENTHS } kind;
	const char *text;
	uint64_t number;
};

/* `text` must stand until the event is written; NULL is an empty one. */
static inline struct log_pair log_text(const char *key, const char *text)
{
	return (struct log_pair){.key = key, .kind = LOG_PAIR_TEXT, .text = text ? text : ""};
}

static inline struct log_pair log_number(const char *key, uint64_t number)
{
	return (struct log_pair){.key = key, .kind = LOG_PAIR_NUMBER, .number = number};
}

/* A fraction with one digit: `tenths` / 10. */
static inline struct log_pair log_tenths(const char *key, uint64_t tenths)
{
	return (struct log_pair){.key = key, .kind = LOG_PAIR_TENTHS, .number = tenths};
}

/* error=… of a negative errno. */
struct log_pair log_errno(int error);

void log_write(enum log_level level, const char *event, const struct log_pair *pairs);
/* The same, never held back: what must not be missed and cannot come in floods. */
void log_write_always(enum log_level level, const char *event, const struct log_pair *pairs);

#define LOG_PAIRS(...) ((const struct log_pair[]){__VA_ARGS__ __VA_OPT__(, ){0}})

#define log_event(level, event, ...) log_write(level, event, LOG_PAIRS(__VA_ARGS__))
#define log_outcome(level, event, ...) log_write_always(level, event, LOG_PAIRS(__VA_ARGS__))
#define log_error(event, ...) log_event(LOG_LEVEL_ERROR, event, __VA_ARGS__)
#define log_warning(event, ...) log_event(LOG_LEVEL_WARNING, event, __VA_ARGS__)
#define log_info(event, ...) log_event(LOG_LEVEL_INFO, event, __VA_ARGS__)
#define log_debug(event, ...) log_event(LOG_LEVEL_DEBUG, event, __VA_ARGS__)
