/* SPDX-License-Identifier: GPL-2.0-only */
#include "base/log.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log_limit.h"
#include "base/log_line.h"

static _Atomic int current_level = LOG_LEVEL_INFO;
static _Atomic int current_format = LOG_FORMAT_LOGFMT;

static pthread_mutex_t limit_lock = PTHREAD_MUTEX_INITIALIZER;
static bool is_limited;
static struct log_limit current_limit;

void log_set_level(enum log_level level)
{
	current_level = level;
}

enum log_level log_get_level(void)
{
	return (enum log_level)current_level;
}

void log_set_format(enum log_format format)
{
	current_format = format;
}

int log_parse_level(const char *name, enum log_level *ret_level)
{
	for (int i = 0; i <= LOG_LEVEL_DEBUG; i++) {
		if (strcmp(name, log_level_name((enum log_level)i)) == 0) {
			*ret_level = (enum log_level)i;
			return 0;
		}
	}
	return -1;
}

int log_parse_format(const char *name, enum log_format *ret_format)
{
	bool json = strcmp(name, "json") == 0;

	if (!json && strcmp(name, "logfmt") != 0)
		return -1;
	*ret_format = json ? LOG_FORMAT_JSON : LOG_FORMAT_LOGFMT;
	return 0;
}

struct log_pair log_errno(int error)
{
	return log_text("error", strerror(-error));
}

static void write_line(enum log_level level, const char *event, const struct log_pair *pairs)
{
	char line[LOG_LINE_BYTES];
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	size_t length =
		log_line_write((enum log_format)current_format, &now, level, event, pairs, line);
	if (write(STDERR_FILENO, line, length) < 0)
		return; /* nowhere left to say it */
}

static void report_suppressed(bool all)
{
	struct log_account held_back;
	bool more;

	do {
		pthread_mutex_lock(&limit_lock);
		more = log_limit_take_suppressed(&current_limit, clock_now_ns(), all, &held_back);
		pthread_mutex_unlock(&limit_lock);
		if (more)
			write_line(held_back.level, "events suppressed",
				   LOG_PAIRS(log_text("suppressed_event", held_back.event),
					     log_number("count", held_back.suppressed)));
	} while (more);
}

void log_report_suppressed(void)
{
	report_suppressed(false);
}

void log_limit_repeats(bool limit)
{
	pthread_mutex_lock(&limit_lock);
	is_limited = limit;
	pthread_mutex_unlock(&limit_lock);
	if (!limit)
		report_suppressed(true);
}

static bool is_allowed(enum log_level level, const char *event)
{
	pthread_mutex_lock(&limit_lock);
	bool allowed =
		!is_limited || log_limit_allows(&current_limit, level, event, clock_now_ns());
	pthread_mutex_unlock(&limit_lock);
	return allowed;
}

void log_write(enum log_level level, const char *event, const struct log_pair *pairs)
{
	if ((int)level > current_level)
		return;
	report_suppressed(false);
	if (is_allowed(level, event))
		write_line(level, event, pairs);
}

void log_write_always(enum log_level level, const char *event, const struct log_pair *pairs)
{
	if ((int)level <= current_level)
		write_line(level, event, pairs);
}
