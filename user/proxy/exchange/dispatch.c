/* SPDX-License-Identifier: GPL-2.0-only */
#include "proxy/exchange/dispatch.h"

#include "proxy/exchange/access_log.h"
#include "proxy/request/answer.h"
#include "proxy/request/generation.h"
#include "proxy/request/stage.h"
#include "proxy/downstream/listener.h"
#include "proxy/downstream/session.h"
#include "proxy/worker/worker.h"

/* What the kernel noted of the request that begins at this stream offset; NULL: nothing. */
static const struct lanetag_mark *find_mark(struct worker *worker, struct session *session,
					    uint64_t position, struct lanetag_mark *memory)
{
	const struct tagger *tagger = worker->proxy->tagger;

	session->state &= (uint16_t)~SESSION_MARK_MISSED;
	if (!tagger || session->listener->mesh_listener->kind != MESH_LISTENER_GATEWAY)
		return NULL;
	if (tagger_find_mark(tagger, &session->peers, position, memory))
		return memory;
	session->state |= SESSION_MARK_MISSED;
	return NULL;
}

static struct request_verdict run_request_stage(struct worker *worker, struct session *session,
						uint64_t position)
{
	struct request *request = &worker->request;
	struct lanetag_mark mark;

	request->configuration = session->exchange->lease->configuration;
	request->listener = session->listener->mesh_listener;
	request->connection = &session->peers;
	request->causes = worker->proxy->causes;
	request->position = position;
	request->statistics = &worker->statistics;
	request->random = &worker->random;
	request->path_normalization = worker->proxy->options.path_normalization;
	generation_choose(worker, request, &session->exchange->hold);
	struct request_verdict verdict =
		request_tag_and_route(request, find_mark(worker, session, position, &mark));

	if (!verdict.status && request->route.action == ROUTE_FORWARD)
		verdict = request_prepare(request);
	return verdict;
}

/* A redirect or a response of the route's own. */
static enum exchange_progress answer_by_route(struct worker *worker, struct session *session)
{
	const struct request *request = &worker->request;
	const struct mesh_route *route = request->route.route;
	bool is_redirect = request->route.action == ROUTE_REDIRECT;
	struct buffer *out = &worker->scratch;

	buffer_clear(out);
	if (is_redirect)
		answer_redirect(request, session->state & SESSION_CLOSE, out);
	else
		answer_directly(request, session->state & SESSION_CLOSE, out);
	if (out->failed)
		return EXCHANGE_ABORTED;
	return exchange_answer(worker, session->exchange,
			       is_redirect ? route->redirect.status : route->direct_response.status,
			       buffer_span(out));
}

/* What is not forwarded: a refusal, a redirect, a response of the route's own. */
static enum exchange_progress answer_here(struct worker *worker, struct session *session,
					  struct request_verdict verdict)
{
	const struct http_request_head *head = &worker->request.head;

	/*
	 * The body is not read: nothing can follow it. A client of HTTP/1.0 waits for the end, unless
	 * it is told otherwise.
	 */
	relay_start(&session->exchange->request, head->framing, head->content_length);
	if (head->framing != HTTP_FRAMING_NONE || head->minor_version == 0)
		session->state |= SESSION_CLOSE;
	session->exchange->traits |= head->is_head ? EXCHANGE_TO_HEAD : 0;
	if (verdict.status == 431)
		return exchange_refuse(worker, session->exchange, verdict.status, verdict.reason);
	if (verdict.status)
		return exchange_fail(worker, session->exchange, verdict.status, verdict.reason);
	return answer_by_route(worker, session);
}

/* Whether this is the connection's last request, by the client's wish or by ours. */
static void note_if_last(const struct worker *worker, struct session *session)
{
	size_t maximum = worker->proxy->options.maximum_requests_per_connection;

	if (!worker->request.head.keep_alive)
		session->state |= SESSION_CLOSE | SESSION_ENDS_ITSELF;
	else if (worker->draining || (maximum && session->requests >= maximum))
		session->state |= SESSION_CLOSE;
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

enum exchange_progress dispatch_request(struct worker *worker, struct session *session, char *data,
					size_t length, uint64_t position, size_t *ret_consumed)
{
	*ret_consumed = 0;
	session->requests++;
	session_end_head(session);
	note_if_last(worker, session);
	statistics_count(&worker->statistics.requests);
	struct exchange *exchange = session->exchange = exchange_open(worker, session);
	if (!exchange)
		return EXCHANGE_ABORTED;
	struct request_verdict verdict = run_request_stage(worker, session, position);

	note_lanes(exchange, &worker->request);
	access_log_begin(worker, exchange);
	if (verdict.status || worker->request.route.action != ROUTE_FORWARD)
		return answer_here(worker, session, verdict);
	ssize_t written = http_edit_write(&worker->request.edit, worker->head_memory,
					  worker->head_memory_bytes);
	if (written < 0)
		return answer_here(worker, session,
				   (struct request_verdict){431, "request head too large"});
	return exchange_forward(worker, exchange, &worker->request,
				(struct span){worker->head_memory, (size_t)written}, data, length,
				ret_consumed);
}
