/* SPDX-License-Identifier: GPL-2.0-only */
#include "proxy/worker/waiting.h"

#include "base/buffer.h"
#include "proxy/worker/worker.h"

/* Who holds less looks at the sum only now and then. */
#define MUCH_BYTES 16384
#define LOOK_EVERY_MS 10

static void set_level(struct worker *worker, uint64_t used)
{
	const struct shared *shared = worker->shared;
	uint64_t budget = shared->options.maximum_waiting_bytes;
	uint64_t slack = (uint64_t)shared->worker_count * SCRATCH_RECEIVE_BYTES;

	if (used <= budget / 2)
		worker->waiting_level = WAITING_LOW;
	else if (used <= budget)
		worker->waiting_level = WAITING_HALF;
	else
		worker->waiting_level = used - budget <= slack ? WAITING_OVER : WAITING_FULL;
}

void waiting_look(struct worker *worker)
{
	const struct shared *shared = worker->shared;
	uint64_t used = 0;

	for (unsigned i = 0; i < shared->worker_count; i++)
		used += __atomic_load_n(&shared->statistics[i]->waiting_bytes, __ATOMIC_RELAXED);
	worker->waiting_looked_ms = worker->loop.now_ms;
	set_level(worker, used);
}

static void note_change(struct worker *worker, uint64_t change, bool is_much)
{
	statistics_add(&worker->statistics.waiting_bytes, change);
	if (is_much || worker->loop.now_ms - worker->waiting_looked_ms >= LOOK_EVERY_MS)
		waiting_look(worker);
}

void waiting_note(struct worker *worker, size_t bytes, uint32_t *held)
{
	uint64_t change = (uint64_t)bytes - *held;

	if (change == 0)
		return;
	bool is_much = bytes >= MUCH_BYTES || *held >= MUCH_BYTES;
	*held = (uint32_t)bytes;
	note_change(worker, change, is_much);
}

void waiting_take(struct worker *worker, const struct buffer *buffer)
{
	note_change(worker, buffer->capacity, buffer->capacity >= MUCH_BYTES);
}

void waiting_give(struct worker *worker, const struct buffer *buffer)
{
	note_change(worker, -(uint64_t)buffer->capacity, buffer->capacity >= MUCH_BYTES);
}
