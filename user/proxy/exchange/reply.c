/* SPDX-License-Identifier: GPL-2.0-only */
#include "proxy/exchange/reply.h"

#include <time.h>

#include "http/answer.h"
#include "proxy/exchange/access_log.h"
#include "proxy/exchange/phase.h"
#include "proxy/exchange/place.h"
#include "proxy/http1/stream.h"
#include "proxy/upstream/upstream.h"
#include "proxy/worker/worker.h"

enum exchange_progress exchange_answer(struct worker *worker, struct exchange *exchange,
				       unsigned status, struct span response)
{
	size_t consumed;

	place_abandon(worker, exchange);
	exchange_note(exchange, EXCHANGE_RESPONSE_STARTED | EXCHANGE_REQUEST_CUT, EXCHANGE_DELAYED);
	exchange_note_status(worker, exchange, status);
	relay_start(&exchange->response, HTTP_FRAMING_NONE, 0);
	exchange->response.closes = exchange->client->closes;
	return exchange_response_progress(worker, exchange,
					  stream_send_response(worker, &exchange->response,
							       exchange->client, response, NULL, 0,
							       &consumed));
}

enum exchange_progress exchange_fail(struct worker *worker, struct exchange *exchange,
				     unsigned status, const char *reason)
{
	if (exchange->events & EXCHANGE_RESPONSE_STARTED)
		return EXCHANGE_ABORTED;
	/* What of the body still comes is not read; a client of HTTP/1.0 waits for the end. */
	if (!exchange->request.source_done || exchange->traits & EXCHANGE_HTTP10)
		exchange->client->closes = true;
	buffer_clear(&worker->scratch.text);
	http_error_response(status, reason, time(NULL), exchange->client->closes,
			    exchange->traits & EXCHANGE_TO_HEAD, &worker->scratch.text);
	if (worker->scratch.text.failed)
		return EXCHANGE_ABORTED;
	return exchange_answer(worker, exchange, status, buffer_span(&worker->scratch.text));
}

/* The endpoint has had nothing of this request. */
static bool is_untouched(const struct worker *worker, const struct exchange *exchange)
{
	return exchange->upstream && exchange->request.sent == 0 && !worker->draining &&
	       !(exchange->events & EXCHANGE_UPSTREAM_BYTES) &&
	       !upstream_is_connecting(exchange->upstream) && upstream_is_fit(exchange->upstream);
}

enum exchange_progress exchange_refuse(struct worker *worker, struct exchange *exchange,
				       unsigned status, const char *reason)
{
	statistics_count(&worker->statistics.bad_requests);
	access_log_note_refused(worker, exchange, reason);
	if (is_untouched(worker, exchange))
		place_give_back(worker, exchange, true);
	return exchange_fail(worker, exchange, status, reason);
}
