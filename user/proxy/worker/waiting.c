/* SPDX-License-Identifier: GPL-2.0-only */
#include "proxy/worker/waiting.h"

#include "base/memory_limit.h"
#include "proxy/exchange/exchange.h"
#include "proxy/exchange/mirror.h"
#include "proxy/downstream/session.h"
#include "proxy/worker/worker.h"

#define BUDGET_DIVISOR 4
#define MAXIMUM_STANDARD_BUDGET (1024ULL * 1024 * 1024) /* where no cgroup has a limit */
#define MINIMUM_STANDARD_BUDGET (4ULL * 1024 * 1024)
/* Who holds less looks at the sum only now and then. */
#define MUCH_BYTES 16384
#define LOOK_EVERY_MS 10

size_t waiting_standard_budget(void)
{
	bool in_cgroup;
	uint64_t budget = memory_limit_read("", &in_cgroup) / BUDGET_DIVISOR;

	if (!in_cgroup && budget > MAXIMUM_STANDARD_BUDGET)
		budget = MAXIMUM_STANDARD_BUDGET;
	return budget < MINIMUM_STANDARD_BUDGET ? MINIMUM_STANDARD_BUDGET : (size_t)budget;
}

static size_t relay_held(const struct relay *relay)
{
	return relay->pending.capacity + relay->trailers.capacity;
}

static size_t exchange_held(const struct exchange *exchange)
{
	size_t held = relay_held(&exchange->request) + relay_held(&exchange->response) +
		      exchange->replay.capacity + exchange->response_start.capacity +
		      exchange->log.capacity;

	return exchange->mirrors ? held + mirror_held(exchange) : held;
}

static size_t session_held(const struct session *session)
{
	if (session->connection.state & CONNECTION_CLOSED)
		return 0;
	return session->input.capacity + (session->exchange ? exchange_held(session->exchange) : 0);
}

static void set_level(struct worker *worker, uint64_t used)
{
	const struct proxy *proxy = worker->proxy;
	uint64_t budget = proxy->options.maximum_waiting_bytes;
	uint64_t slack = (uint64_t)proxy->worker_count * WORKER_MEMORY_BYTES;

	if (used <= budget / 2)
		worker->waiting_level = WAITING_LOW;
	else if (used <= budget)
		worker->waiting_level = WAITING_HALF;
	else
		worker->waiting_level = used - budget <= slack ? WAITING_OVER : WAITING_FULL;
}

void waiting_look(struct worker *worker)
{
	const struct proxy *proxy = worker->proxy;
	uint64_t used = 0;

	for (unsigned i = 0; i < proxy->worker_count; i++)
		used += __atomic_load_n(&proxy->workers[i].statistics.waiting_bytes,
					__ATOMIC_RELAXED);
	worker->waiting_looked_ms = worker->now_ms;
	set_level(worker, used);
}

static void note_change(struct worker *worker, uint64_t change, bool is_much)
{
	statistics_add(&worker->statistics.waiting_bytes, change);
	if (is_much || worker->now_ms - worker->waiting_looked_ms >= LOOK_EVERY_MS)
		waiting_look(worker);
}

void waiting_note(struct worker *worker, struct session *session)
{
	size_t held = session_held(session);
	uint64_t change = (uint64_t)held - session->held;

	if (change == 0)
		return;
	bool is_much = held >= MUCH_BYTES || session->held >= MUCH_BYTES;
	session->held = (uint32_t)held;
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

void waiting_refuse_heads(struct worker *worker)
{
	while (worker->waiting_level >= WAITING_OVER && worker->unfinished) {
		statistics_count(&worker->statistics.waiting_refused);
		session_refuse_head(worker, worker->unfinished);
		waiting_look(worker);
	}
}
