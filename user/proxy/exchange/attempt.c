/* SPDX-License-Identifier: GPL-2.0-only */
#include "proxy/exchange/attempt.h"

#include "proxy/exchange/phase.h"
#include "proxy/exchange/place.h"
#include "proxy/exchange/reply.h"
#include "proxy/upstream/balance.h"
#include "proxy/upstream/health.h"
#include "proxy/upstream/upstream.h"
#include "proxy/worker/worker.h"

#define BACKOFF_BASE_MS 25 /* as Envoy's: a random pause up to this, doubled with each retry */
#define BACKOFF_MAXIMUM_DOUBLINGS 4
#define MAXIMUM_RESETS 3 /* connections that may be reset before a request fails for it */

static bool has_fallback(const struct exchange *exchange)
{
	const struct mesh_cluster *fallback = exchange->cluster->fallback;

	return fallback && fallback->endpoint_count &&
	       !balance_has_healthy(exchange->lease, exchange->cluster);
}

/* Where no endpoint is up, the lane goes to its fallback rather than dark. */
static void consider_fallback(struct worker *worker, struct exchange *exchange)
{
	const struct mesh_cluster *fallback = exchange->cluster->fallback;

	if (!has_fallback(exchange))
		return;
	if (exchange->events & EXCHANGE_RETRYING) {
		place_cluster(exchange)->retries--;
		exchange->lease->clusters[fallback->index].retries++;
	}
	exchange->cluster = fallback;
	statistics_count(&worker->statistics.fallbacks);
}

static void attach(struct worker *worker, struct exchange *exchange, struct upstream *upstream)
{
	uint32_t timeout = exchange->cluster->policy.connect_timeout_ms;
	const struct mesh_route *route = exchange->route.route;

	upstream->exchange = exchange;
	upstream->backend->requests++;
	place_cluster(exchange)->requests++;
	exchange->upstream = upstream;
	exchange->backend = upstream->backend;
	exchange->end = SERIES_ABANDONED;
	exchange->attempt_began_ms = worker->loop.now_ms;
	exchange_enter(exchange, 0,
		       worker->loop.now_ms +
			       (timeout ? timeout : worker->shared->options.connect_timeout_ms));
	if (route && route->retries.per_try_timeout_ms)
		exchange->try_deadline_ms = worker->loop.now_ms + route->retries.per_try_timeout_ms;
}

static void note_failed_connect(struct worker *worker, struct exchange *exchange,
				struct backend *backend)
{
	health_note_connect(&worker->upstreams, backend, false);
	series_note_failed_connect(worker->upstreams.series, place_cluster(exchange)->series);
}

static struct upstream *connect_somewhere(struct worker *worker, struct exchange *exchange)
{
	bool check = !(exchange->traits & EXCHANGE_IDEMPOTENT) || !exchange_is_replayable(exchange);
	int endpoint = balance_choose(&worker->upstreams, exchange->lease, exchange->cluster,
				      exchange->has_hash ? &exchange->hash : NULL);
	struct backend *backend = endpoint < 0 ? NULL
					       : lease_backend(&worker->upstreams, exchange->lease,
							       exchange->cluster, (size_t)endpoint);
	struct upstream *upstream = NULL;
	int error;

	if (!backend)
		return NULL;
	if (!exchange->fresh_only)
		upstream = upstream_take_idle(&worker->upstreams, backend, check);
	if (!upstream)
		upstream = upstream_connect(&worker->upstreams, backend, &error);
	if (!upstream)
		note_failed_connect(worker, exchange, backend);
	return upstream;
}

enum attempt_result attempt_start(struct worker *worker, struct exchange *exchange)
{
	if (exchange->cluster->fallback)
		consider_fallback(worker, exchange);
	const struct mesh_cluster_policy *policy = &exchange->cluster->policy;
	struct cluster_state *state = place_cluster(exchange);

	if (place_limit_is_reached(worker, state->requests, policy->maximum_requests))
		return ATTEMPT_REFUSED;
	if (!place_is_free(worker, exchange)) {
		if (place_limit_is_reached(worker, state->pending_count,
					   policy->maximum_pending_requests))
			return ATTEMPT_REFUSED;
		place_wait(exchange,
			   worker->loop.now_ms + worker->shared->options.connect_timeout_ms);
		return ATTEMPT_WAITS;
	}
	while (exchange->attempts < ATTEMPT_MAXIMUM) {
		exchange->attempts++;
		struct upstream *upstream = connect_somewhere(worker, exchange);

		if (upstream) {
			attach(worker, exchange, upstream);
			return ATTEMPT_STARTED;
		}
		if (exchange->cluster->endpoint_count == 0)
			break;
		consider_fallback(worker, exchange);
	}
	return ATTEMPT_FAILED;
}

enum exchange_progress attempt_conclude(struct worker *worker, struct exchange *exchange,
					enum attempt_result result)
{
	switch (result) {
	case ATTEMPT_STARTED:
		/* A pooled connection takes the request at once: no event will say so. */
		if (exchange_phase(exchange) != PHASE_CONNECTING)
			loop_run_again(&worker->loop, &exchange->connection);
		return EXCHANGE_WAITING;
	case ATTEMPT_WAITS:
		return EXCHANGE_WAITING;
	case ATTEMPT_REFUSED:
		statistics_count(&worker->statistics.upstream_overflows);
		return exchange_fail(worker, exchange, 503,
				     "too many requests for this destination");
	case ATTEMPT_FAILED:
		break;
	}
	return exchange_fail(worker, exchange, 503, "no upstream connection");
}

enum exchange_progress attempt_resume(struct worker *worker, struct exchange *exchange)
{
	if (exchange->events & EXCHANGE_PENDING) {
		if (!place_is_free(worker, exchange))
			return EXCHANGE_WAITING;
		place_leave_queue(exchange);
	}
	/* Pauses come before retries: this was a fault's delay, and the clock starts only now. */
	if (exchange->events & EXCHANGE_DELAYED && !exchange->retries)
		exchange_start_timeouts(worker, exchange);
	exchange_note(exchange, 0, EXCHANGE_DELAYED);
	if (exchange->fault_status)
		return exchange_fail(worker, exchange, exchange->fault_status, "injected fault");
	return attempt_conclude(worker, exchange, attempt_start(worker, exchange));
}

/* Whether all that has to be sent is still, or again, at hand. */
static bool has_request(const struct exchange *exchange)
{
	return exchange_is_replayable(exchange) ||
	       (exchange->request.sent == 0 && exchange->request.pending.length);
}

/* A pooled connection may close at any time: that is our own affair, not the route's. */
static bool was_stale(const struct exchange *exchange, bool was_reused)
{
	return was_reused && !(exchange->events & EXCHANGE_UPSTREAM_BYTES) &&
	       (exchange->request.sent == 0 || exchange->traits & EXCHANGE_IDEMPOTENT);
}

static bool policy_retries(const struct mesh_retries *retries, const struct exchange *exchange,
			   enum attempt_loss loss)
{
	/* A loss is a 5xx to the client: Envoy takes it as one. */
	const uint32_t any_loss = MESH_RETRY_RESET | MESH_RETRY_GATEWAY_ERROR | MESH_RETRY_5XX;

	switch (loss) {
	case ATTEMPT_CONNECT_FAILED:
		return retries->conditions & (MESH_RETRY_CONNECT_FAILURE | any_loss);
	case ATTEMPT_TIMED_OUT:
		return retries->conditions & any_loss;
	case ATTEMPT_RESET:
		if (exchange->request.sent == 0 &&
		    retries->conditions & MESH_RETRY_RESET_BEFORE_REQUEST)
			return true;
		return retries->conditions & any_loss;
	}
	return false;
}

/* Takes one of the route's retries if one is left. */
static bool take_retry(struct worker *worker, struct exchange *exchange)
{
	const struct mesh_retries *retries = &exchange->route.route->retries;
	struct cluster_state *state = place_cluster(exchange);

	if (exchange->retries >= retries->attempts)
		return false;
	if (!(exchange->events & EXCHANGE_RETRYING)) {
		if (place_limit_is_reached(worker, state->retries,
					   exchange->cluster->policy.maximum_retries))
			return false;
		state->retries++;
		exchange_note(exchange, EXCHANGE_RETRYING, 0);
	}
	exchange->retries++;
	exchange->attempts = 0;
	return true;
}

/* Everything as before the first attempt. False: out of memory. */
static bool rewind_request(struct worker *worker, struct exchange *exchange)
{
	exchange_note(exchange, 0,
		      EXCHANGE_REQUEST_SENT | EXCHANGE_REQUEST_CUT | EXCHANGE_UPSTREAM_BYTES |
			      EXCHANGE_UPSTREAM_SPENT);
	exchange->try_deadline_ms = TIMER_NEVER;
	buffer_clear(&exchange->response_start);
	statistics_count(&worker->statistics.retries);
	if (!exchange_is_replayable(exchange))
		return true;
	return relay_restart(worker, &exchange->request, buffer_span(&exchange->replay));
}

static void back_off(struct worker *worker, struct exchange *exchange)
{
	uint8_t doublings = exchange->retries < BACKOFF_MAXIMUM_DOUBLINGS
				    ? exchange->retries
				    : BACKOFF_MAXIMUM_DOUBLINGS;
	uint64_t bound = (uint64_t)BACKOFF_BASE_MS << (doublings ? doublings - 1 : 0);

	exchange_enter(exchange, EXCHANGE_DELAYED,
		       worker->loop.now_ms + random_take(&worker->random) % bound);
}

static enum exchange_progress fail_lost(struct worker *worker, struct exchange *exchange,
					enum attempt_loss loss)
{
	switch (loss) {
	case ATTEMPT_CONNECT_FAILED:
		return exchange_fail(worker, exchange, 503, "no upstream connection");
	case ATTEMPT_TIMED_OUT:
		return exchange_fail(worker, exchange, 504, "the upstream did not answer in time");
	case ATTEMPT_RESET:
		break;
	}
	return exchange_fail(worker, exchange, 502, "the upstream closed the connection");
}

/*
 * An endpoint that goes down resets what it had not accepted yet, also on fresh connections. Not
 * without end: a request may be what its endpoints die of.
 */
static bool may_go_elsewhere(const struct exchange *exchange)
{
	return exchange->traits & EXCHANGE_IDEMPOTENT &&
	       !(exchange->events & EXCHANGE_UPSTREAM_BYTES) &&
	       exchange->cluster->endpoint_count > 1 && exchange->attempts < MAXIMUM_RESETS;
}

/* How the next attempt comes about: at once, after a pause, or not at all. */
enum retry { RETRY_NEVER, RETRY_AT_ONCE, RETRY_LATER };

static enum retry choose_retry(struct worker *worker, struct exchange *exchange,
			       enum attempt_loss loss, bool was_reused)
{
	const struct mesh_retries *retries =
		exchange->route.route ? &exchange->route.route->retries : NULL;

	if (!has_request(exchange) || exchange->attempts >= ATTEMPT_MAXIMUM)
		return RETRY_NEVER;
	if (loss == ATTEMPT_RESET && was_stale(exchange, was_reused))
		return RETRY_AT_ONCE;
	if (loss == ATTEMPT_CONNECT_FAILED && has_fallback(exchange))
		return RETRY_AT_ONCE;
	if (retries && retries->present) {
		if (!policy_retries(retries, exchange, loss) || !take_retry(worker, exchange))
			return RETRY_NEVER;
		return loss == ATTEMPT_CONNECT_FAILED ? RETRY_AT_ONCE : RETRY_LATER;
	}
	if (loss == ATTEMPT_CONNECT_FAILED &&
	    exchange->attempts < exchange->cluster->endpoint_count)
		return RETRY_AT_ONCE;
	if (loss == ATTEMPT_RESET && may_go_elsewhere(exchange))
		return RETRY_AT_ONCE;
	return RETRY_NEVER;
}

enum exchange_progress attempt_lost(struct worker *worker, struct exchange *exchange,
				    enum attempt_loss loss)
{
	bool was_reused = exchange->upstream->requests > 1;

	if (loss == ATTEMPT_CONNECT_FAILED)
		note_failed_connect(worker, exchange, exchange->backend);
	else if (!was_stale(exchange, was_reused))
		statistics_count(&worker->statistics.upstream_failures);
	if (loss != ATTEMPT_RESET || !was_stale(exchange, was_reused))
		attempt_note_failure(worker, exchange, loss == ATTEMPT_TIMED_OUT ? 504 : 503);
	place_give_back(worker, exchange, false);
	if (exchange->events & EXCHANGE_RESPONSE_STARTED)
		return EXCHANGE_ABORTED;
	enum retry retry = choose_retry(worker, exchange, loss, was_reused);

	if (retry == RETRY_NEVER)
		return fail_lost(worker, exchange, loss);
	if (!rewind_request(worker, exchange))
		return exchange_fail(worker, exchange, 503, "out of memory");
	exchange->fresh_only = exchange->fresh_only || loss == ATTEMPT_RESET;
	if (retry == RETRY_LATER) {
		back_off(worker, exchange);
		return EXCHANGE_WAITING;
	}
	return attempt_conclude(worker, exchange, attempt_start(worker, exchange));
}

static bool policy_retries_status(const struct mesh_retries *retries, unsigned status)
{
	if (status >= 500 && retries->conditions & MESH_RETRY_5XX)
		return true;
	if (status >= 502 && status <= 504 && retries->conditions & MESH_RETRY_GATEWAY_ERROR)
		return true;
	if (status == 409 && retries->conditions & MESH_RETRY_RETRIABLE_4XX)
		return true;
	for (size_t i = 0; i < retries->status_code_count; i++) {
		if (retries->status_codes[i] == status)
			return true;
	}
	return false;
}

bool attempt_retry_status(struct worker *worker, struct exchange *exchange, unsigned status)
{
	const struct mesh_route *route = exchange->route.route;

	if (status < 400 || !route || !route->retries.present ||
	    !exchange_is_replayable(exchange) || !policy_retries_status(&route->retries, status) ||
	    !take_retry(worker, exchange))
		return false;
	place_give_back(worker, exchange, false);
	if (!rewind_request(worker, exchange))
		return false;
	back_off(worker, exchange);
	return true;
}

static void note_health(struct worker *worker, struct exchange *exchange, unsigned status)
{
	if (exchange->cluster->policy.outlier_detection)
		health_note_status(&worker->upstreams, exchange->lease, exchange->cluster,
				   exchange->backend, status);
}

void attempt_note_status(struct worker *worker, struct exchange *exchange, unsigned status)
{
	exchange->end = (uint8_t)(status / 100 % SERIES_FAILED);
	note_health(worker, exchange, status);
}

void attempt_note_failure(struct worker *worker, struct exchange *exchange, unsigned status)
{
	exchange->end = SERIES_FAILED;
	note_health(worker, exchange, status);
}
