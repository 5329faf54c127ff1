/* SPDX-License-Identifier: GPL-2.0-only */
#include "proxy/exchange/phase.h"

#include "proxy/worker/worker.h"

/* The deadline of what is waited for right now. */
static uint64_t phase_deadline(const struct worker *worker, const struct exchange *exchange)
{
	const struct proxy_options *options = &worker->shared->options;
	uint64_t now_ms = worker->loop.now_ms;

	switch (exchange_phase(exchange)) {
	case PHASE_DELAYED:
	case PHASE_QUEUED:
	case PHASE_CONNECTING:
	case PHASE_AWAITING:
		return exchange->phase_deadline_ms;
	case PHASE_SENDING:
		return now_ms + options->body_timeout_ms;
	case PHASE_RESPONDING:
		/* Which side is waited for: the client to take bytes, or the upstream to give some? */
		return now_ms + (relay_is_flushed(&exchange->response)
					 ? options->upstream_response_timeout_ms
					 : options->body_timeout_ms);
	case PHASE_TUNNEL:
		break;
	}
	return now_ms + options->tunnel_timeout_ms;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* A tunnel outlives the timeout of the request that asked for it, as in Envoy. */
uint64_t exchange_deadline(const struct worker *worker, const struct exchange *exchange)
{
	uint64_t deadline = phase_deadline(worker, exchange);

	if (exchange->events & EXCHANGE_TUNNEL)
		return deadline;
	if (!(exchange->events & EXCHANGE_RESPONSE_STARTED))
		deadline = earlier(deadline, exchange->try_deadline_ms);
	return earlier(deadline, exchange->deadline_ms);
}
