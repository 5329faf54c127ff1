/* SPDX-License-Identifier: GPL-2.0-only */
#include "base/log_limit.h"

#include <string.h>

static struct log_account *find_account(struct log_limit *limit, const char *event)
{
	for (unsigned i = 0; i < limit->account_count; i++) {
		if (strcmp(limit->accounts[i].event, event) == 0)
			return &limit->accounts[i];
	}
	if (limit->account_count == LOG_LIMIT_EVENTS)
		return NULL;
	limit->accounts[limit->account_count].event = event;
	return &limit->accounts[limit->account_count++];
}

/* Each event charges its account for an interval, which may run ahead by a burst. */
static bool has_room(const struct log_account *account, uint64_t now_ns)
{
	return account->full_ns <= now_ns + (LOG_LIMIT_BURST - 1) * LOG_LIMIT_INTERVAL_NS;
}

bool log_limit_allows(struct log_limit *limit, enum log_level level, const char *event,
		      uint64_t now_ns)
{
	struct log_account *account = find_account(limit, event);

	if (!account)
		return true;
	account->level = level;
	if (account->full_ns < now_ns)
		account->full_ns = now_ns;
	if (!has_room(account, now_ns)) {
		account->suppressed++;
		return false;
	}
	account->full_ns += LOG_LIMIT_INTERVAL_NS;
	return true;
}

bool log_limit_take_suppressed(struct log_limit *limit, uint64_t now_ns, bool all,
			       struct log_account *ret_account)
{
	for (unsigned i = 0; i < limit->account_count; i++) {
		struct log_account *account = &limit->accounts[i];

		if (account->suppressed == 0 || !(all || has_room(account, now_ns)))
			continue;
		*ret_account = *account;
		account->suppressed = 0;
		return true;
	}
	return false;
}
