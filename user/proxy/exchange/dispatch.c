/* SPDX-License-Identifier: GPL-2.0-only */
#include "proxy/exchange/dispatch.h"

#include "kernel/tagger.h"
#include "proxy/exchange/access_log.h"
#include "proxy/exchange/drive.h"
#include "proxy/exchange/reply.h"
#include "proxy/request/answer.h"
#include "proxy/request/generation.h"
#include "proxy/request/stage.h"
#include "proxy/worker/worker.h"

/* What the kernel noted of the request that begins at this stream offset; NULL: nothing. */
static const struct lanetag_mark *find_mark(struct worker *worker, struct dispatch_origin *origin,
					    struct lanetag_mark *memory)
{
	const struct tagger *tagger = worker->shared->tagger;

	origin->mark_missed = false;
	if (!tagger || origin->listener->kind != MESH_LISTENER_GATEWAY)
		return NULL;
	if (tagger_find_mark(tagger, origin->peers, origin->position, memory))
		return memory;
	origin->mark_missed = true;
	return NULL;
}

static struct request_verdict run_request_stage(struct worker *worker, struct exchange *exchange,
						struct dispatch_origin *origin)
{
	struct request *request = &worker->scratch.request;
	struct lanetag_mark mark;

	request->configuration = exchange->lease->configuration;
	request->listener = origin->listener;
	request->connection = origin->peers;
	request->causes = worker->shared->causes;
	request->position = origin->position;
	request->statistics = &worker->statistics;
	request->random = &worker->random;
	request->path_normalization = worker->shared->options.path_normalization;
	request->refuse_foreign_hosts = worker->shared->options.refuse_foreign_hosts;
	generation_choose(&worker->generations, request, worker->loop.now_ms, &exchange->hold);
	struct request_verdict verdict =
		request_tag_and_route(request, find_mark(worker, origin, &mark));

	if (!verdict.status && request->route.action == ROUTE_FORWARD)
		verdict = request_prepare(request);
	return verdict;
}

/* A redirect or a response of the route's own. */
static enum exchange_progress answer_by_route(struct worker *worker, struct exchange *exchange)
{
	const struct request *request = &worker->scratch.request;
	const struct mesh_route *route = request->route.route;
	bool is_redirect = request->route.action == ROUTE_REDIRECT;
	struct buffer *out = &worker->scratch.text;

	buffer_clear(out);
	if (is_redirect)
		answer_redirect(request, exchange->client->closes, out);
	else
		answer_directly(request, exchange->client->closes, out);
	if (out->failed)
		return EXCHANGE_ABORTED;
	return exchange_answer(worker, exchange,
			       is_redirect ? route->redirect.status : route->direct_response.status,
			       buffer_span(out));
}

/* What is not forwarded: a refusal, a redirect, a response of the route's own. */
static enum exchange_progress answer_here(struct worker *worker, struct exchange *exchange,
					  struct request_verdict verdict)
{
	const struct http_request_head *head = &worker->scratch.request.head;

	/*
	 * The body is not read: nothing can follow it. A client of HTTP/1.0 waits for the end, unless
	 * the response says otherwise.
	 */
	relay_start(&exchange->request, head->framing, head->content_length);
	if (head->framing != HTTP_FRAMING_NONE || head->minor_version == 0)
		exchange->client->closes = true;
	exchange->traits |= head->is_head ? EXCHANGE_TO_HEAD : 0;
	if (verdict.status == 431)
		return exchange_refuse(worker, exchange, verdict.status, verdict.reason);
	if (verdict.status)
		return exchange_fail(worker, exchange, verdict.status, verdict.reason);
	return answer_by_route(worker, exchange);
}

/* For the counters: which of its lanes are how well off is what a release is judged by. */
static void note_lanes(struct exchange *exchange, const struct request *request)
{
	const struct tag_rules *rules = request->rules;

	if (request->listener->kind != MESH_LISTENER_GATEWAY)
		return;
	exchange->lane_count = (uint8_t)tag_rules_count(rules);
	for (size_t i = 0; i < exchange->lane_count; i++)
		exchange->lanes[i] =
			(uint16_t)(request->decision.rules[i].lane % LANETAG_MAX_LANES);
}

enum exchange_progress dispatch_request(struct worker *worker, struct exchange *exchange,
					struct dispatch_origin *origin, char *data, size_t length,
					size_t *ret_consumed)
{
	struct request *request = &worker->scratch.request;
	struct request_verdict verdict = run_request_stage(worker, exchange, origin);

	*ret_consumed = 0;
	note_lanes(exchange, request);
	access_log_begin(worker, exchange);
	if (verdict.status || request->route.action != ROUTE_FORWARD)
		return answer_here(worker, exchange, verdict);
	ssize_t written =
		http_edit_write(&request->edit, worker->scratch.head, worker->scratch.head_bytes);
	if (written < 0)
		return answer_here(worker, exchange,
				   (struct request_verdict){431, "request head too large"});
	return exchange_forward(worker, exchange, request,
				(struct span){worker->scratch.head, (size_t)written}, data, length,
				ret_consumed);
}
