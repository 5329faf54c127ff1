/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * Keeps events that repeat from filling a log: of each event LOG_LIMIT_BURST at once, then one per
 * LOG_LIMIT_INTERVAL_NS. Each event has an account of its own, so a flood of one holds back no
 * other. What was held back is counted, to be told later. Pure; a zeroed struct is ready.
 */
#include "base/log.h"

#define LOG_LIMIT_BURST 10
#define LOG_LIMIT_INTERVAL_NS UINT64_C(1000000000)
#define LOG_LIMIT_EVENTS 256 /* different ones; further ones are not limited */

struct log_account {
	const char *event;
	enum log_level level;
	uint64_t full_ns; /* until then the account is charged; see log_limit_allows */
	uint64_t suppressed;
};

struct log_limit {
	struct log_account accounts[LOG_LIMIT_EVENTS];
	unsigned account_count;
};

/* True: write the event. False: it is counted as held back. `event` must stand for ever. */
bool log_limit_allows(struct log_limit *limit, enum log_level level, const char *event,
		      uint64_t now_ns);

/*
 * An event that was held back, and how often since it was told last: once it may be written again,
 * or at once (`all`). False: there is none.
 */
bool log_limit_take_suppressed(struct log_limit *limit, uint64_t now_ns, bool all,
			       struct log_account *ret_account);
