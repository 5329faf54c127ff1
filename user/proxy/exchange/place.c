/* SPDX-License-Identifier: GPL-2.0-only */
#include "proxy/exchange/place.h"

#include "proxy/exchange/phase.h"
#include "proxy/upstream/upstream.h"
#include "proxy/worker/worker.h"

/* A limit is split evenly between the workers, which share no counts. 0: there is none. */
static uint32_t share_of(const struct worker *worker, uint32_t limit)
{
	return (limit + worker->shared->worker_count - 1) / worker->shared->worker_count;
}

bool place_limit_is_reached(const struct worker *worker, uint32_t count, uint32_t limit)
{
	return limit && count >= share_of(worker, limit);
}

/* Requests of an HTTP/1.1 cluster need a connection each. */
bool place_is_free(const struct worker *worker, struct exchange *exchange)
{
	const struct mesh_cluster_policy *policy = &exchange->cluster->policy;

	return !place_limit_is_reached(worker, place_cluster(exchange)->requests,
				       policy->maximum_connections);
}

void place_wait(struct exchange *exchange, uint64_t deadline_ms)
{
	struct cluster_state *state = place_cluster(exchange);

	exchange_enter(exchange, EXCHANGE_PENDING, deadline_ms);
	exchange->next_pending = NULL;
	exchange->previous_next_pending = state->pending_end ? state->pending_end : &state->pending;
	*exchange->previous_next_pending = exchange;
	state->pending_end = &exchange->next_pending;
	state->pending_count++;
}

void place_leave_queue(struct exchange *exchange)
{
	struct cluster_state *state = place_cluster(exchange);

	*exchange->previous_next_pending = exchange->next_pending;
	if (exchange->next_pending)
		exchange->next_pending->previous_next_pending = exchange->previous_next_pending;
	else
		state->pending_end = state->pending ? exchange->previous_next_pending : NULL;
	exchange_note(exchange, 0, EXCHANGE_PENDING);
	state->pending_count--;
}

void place_give_back(struct worker *worker, struct exchange *exchange, bool keep)
{
	struct upstream *upstream = exchange->upstream;

	if (!upstream)
		return;
	struct cluster_state *state = place_cluster(exchange);
	series_note_end(worker->upstreams.series, state->series, exchange->end,
			worker->loop.now_ms - exchange->attempt_began_ms);
	exchange->upstream = NULL;
	upstream->backend->requests--;
	state->requests--;
	upstream->suspect = (exchange->traits & EXCHANGE_TO_HEAD) || exchange->status == 204 ||
			    exchange->status == 304 || upstream_has_more(upstream);
	if (keep)
		upstream_keep(&worker->upstreams, upstream,
			      exchange->cluster->policy.idle_timeout_ms);
	else
		upstream_close(&worker->upstreams, upstream);
	/* The exchange that waits longest gets the place, in its own turn. */
	if (state->pending)
		loop_run_again(&worker->loop, &state->pending->connection);
}

static void end_retry(struct exchange *exchange)
{
	if (exchange->events & EXCHANGE_RETRYING)
		place_cluster(exchange)->retries--;
	exchange_note(exchange, 0, EXCHANGE_RETRYING);
}

void place_abandon(struct worker *worker, struct exchange *exchange)
{
	if (!exchange->cluster)
		return;
	place_give_back(worker, exchange, false);
	if (exchange->events & EXCHANGE_PENDING)
		place_leave_queue(exchange);
	end_retry(exchange);
}
