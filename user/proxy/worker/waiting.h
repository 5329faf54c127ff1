/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * One budget for all bytes that wait in user space, over all workers: heads that are not complete,
 * requests that may have to be sent again, what slow peers have not taken, beginnings of responses,
 * trailers, mirrors. Each worker counts its own in its statistics; who holds much looks at the sum.
 *
 * Above half of the budget reads get smaller. Above the budget the youngest incomplete heads are
 * answered with 503 until it is kept again: older ones, and requests under way, go on. Where no
 * head is left to refuse, new requests are (WAITING_FULL).
 */
#include <stddef.h>
#include <stdint.h>

struct buffer;
struct proxy;
struct session;
struct worker;

enum waiting_level {
	WAITING_LOW,
	WAITING_HALF, /* of the budget is used */
	WAITING_OVER, /* incomplete heads have to go */
	WAITING_FULL, /* and requests are refused: above by a receive buffer for each worker */
};

/* Bytes of the budget where none is configured: a quarter of what the process may have. */
size_t waiting_standard_budget(void);

/* Notes what the session holds now; to be called wherever it comes to rest, and when it closes. */
void waiting_note(struct worker *worker, struct session *session);
/* Notes bytes that belong to no session. */
void waiting_take(struct worker *worker, const struct buffer *buffer);
void waiting_give(struct worker *worker, const struct buffer *buffer);
/* Takes the sum over all workers, for worker->waiting_level. */
void waiting_look(struct worker *worker);
/* While the level asks for it: refuses the youngest incomplete heads. Not within a session's work. */
void waiting_refuse_heads(struct worker *worker);
