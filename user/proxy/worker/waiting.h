/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * One budget for all bytes that wait in user space, over all workers: heads that are not complete,
 * requests that may have to be sent again, what slow peers have not taken, beginnings of responses,
 * trailers, mirrors. Each worker counts its own in its statistics; who holds much looks at the sum.
 *
 * Above half of the budget reads get smaller (enum waiting_level). Above the budget the youngest incomplete heads are
 * answered with 503 until it is kept again: older ones, and requests under way, go on. Where no
 * head is left to refuse, new requests are (WAITING_FULL).
 */
#include <stddef.h>
#include <stdint.h>

struct buffer;
struct worker;

/*
 * Notes that something which held *held bytes holds `bytes` now; to be called wherever it comes to
 * rest, and when it goes.
 */
void waiting_note(struct worker *worker, size_t bytes, uint32_t *held);
/* Notes a buffer of its own. */
void waiting_take(struct worker *worker, const struct buffer *buffer);
void waiting_give(struct worker *worker, const struct buffer *buffer);
/* Takes the sum over all workers, for worker->waiting_level. */
void waiting_look(struct worker *worker);
