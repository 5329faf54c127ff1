/* SPDX-License-Identifier: GPL-2.0-only */
#include "proxy/exchange/mirror.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "mesh/apply.h"
#include "proxy/upstream/balance.h"
#include "proxy/request/request.h"
#include "proxy/upstream/upstream.h"
#include "proxy/worker/waiting.h"
#include "proxy/worker/worker.h"

#define MIRROR_TIMEOUT_MS 15000
#define MIRROR_MAXIMUM 1024 /* under way; more are not made */

struct mirror {
	struct connection connection;
	struct timer timer;
	const struct mesh_cluster *cluster; /* where it goes; until it is under way */
	struct mirror *next;		    /* of all the worker's, or of those that wait */
	struct mirror **previous_next;
	struct buffer request;
	size_t sent;
};

static void end_mirror(struct worker *worker, struct mirror *mirror)
{
	timer_remove(&worker->loop.timers, &mirror->timer);
	waiting_give(worker, &mirror->request);
	buffer_free(&mirror->request);
	*mirror->previous_next = mirror->next;
	if (mirror->next)
		mirror->next->previous_next = mirror->previous_next;
	worker->mirror_count--;
	loop_close(&worker->loop, &mirror->connection);
}

void mirror_expired(struct worker *worker, struct mirror *mirror)
{
	end_mirror(worker, mirror);
}

/* 1: go on; 0: wait; -1: over. */
static int send_some(struct worker *worker, struct mirror *mirror)
{
	struct iovec piece = {mirror->request.data + mirror->sent,
			      mirror->request.length - mirror->sent};

	if (piece.iov_len == 0)
		return 1;
	if (!connection_can_write(&mirror->connection))
		return 0;
	ssize_t length =
		connection_send(worker->loop.epoll_fd, &mirror->connection, &piece, 1, false);
	if (length < 0)
		return length == -EAGAIN ? 0 : -1;
	mirror->sent += (size_t)length;
	return mirror->sent == mirror->request.length;
}

void mirror_handle_event(struct worker *worker, struct mirror *mirror, uint32_t events)
{
	connection_note_events(&mirror->connection, events);
	if (mirror->connection.state & CONNECTION_WRITABLE)
		mirror->connection.state &= (uint16_t)~CONNECTION_CONNECTING;
	int result = send_some(worker, mirror);

	while (result > 0) {
		ssize_t length = connection_receive(&mirror->connection, worker->scratch.received,
						    SCRATCH_RECEIVE_BYTES);

		if (length == -EAGAIN)
			return;
		if (length <= 0)
			result = -1;
	}
	if (result < 0)
		end_mirror(worker, mirror);
}

/* The head for the shadow: its Host says so, as Istio's does; the connection carries it alone. */
static bool write_head(struct mirror *mirror, struct request *request, struct span authority,
		       struct buffer *host)
{
	struct http_edit *edit = &request->edit;
	struct span name, port;
	bool has_port = span_cut(authority, ':', &name, &port) && authority.data[0] != '[';

	buffer_clear(host);
	buffer_append_span(host, has_port ? name : authority);
	/* Nothing may stand behind the brackets of an IPv6 address (RFC 3986 3.2.2). */
	if (authority.length && authority.data[0] != '[')
		buffer_append_text(host, "-shadow");
	if (has_port)
		buffer_printf(host, ":%.*s", SPAN_ARGUMENTS(port));
	if (host->failed ||
	    http_edit_set(edit, (struct span){"Connection", 10}, (struct span){"close", 5}))
		return false;
	http_edit_set_authority(edit, buffer_span(host));
	http_edit_append(edit, &mirror->request);
	return !mirror->request.failed;
}

static void free_mirror(struct mirror *mirror)
{
	buffer_free(&mirror->request);
	free(mirror);
}

static void link_mirror(struct mirror *mirror, struct mirror **list)
{
	mirror->next = *list;
	mirror->previous_next = list;
	if (mirror->next)
		mirror->next->previous_next = &mirror->next;
	*list = mirror;
}

/* With its body; from here on the worker has it, unless it can't be sent. */
static void launch(struct worker *worker, struct exchange *exchange, struct mirror *mirror,
		   struct span body)
{
	int endpoint = balance_choose(&worker->upstreams, exchange->lease, mirror->cluster, NULL);
	struct backend *backend = endpoint < 0 ? NULL
					       : lease_backend(&worker->upstreams, exchange->lease,
							       mirror->cluster, (size_t)endpoint);

	buffer_append_span(&mirror->request, body);
	int fd = backend && !mirror->request.failed
			 ? upstream_open_socket(&worker->upstreams, backend)
			 : -ENOMEM;
	if (fd < 0) {
		free_mirror(mirror);
		return;
	}
	mirror->connection = (struct connection){
		.kind = CONNECTION_MIRROR,
		.state = CONNECTION_CONNECTING | CONNECTION_WATCHES_WRITE,
		.fd = fd,
	};
	if (connection_watch_upstream(worker->loop.epoll_fd, &mirror->connection)) {
		close(fd);
		free_mirror(mirror);
		return;
	}
	link_mirror(mirror, &worker->mirrors);
	worker->mirror_count++;
	waiting_take(worker, &mirror->request);
	timer_set(&worker->loop.timers, &mirror->timer, worker->loop.now_ms + MIRROR_TIMEOUT_MS);
	statistics_count(&worker->statistics.requests_mirrored);
}

static struct mirror *new_mirror(struct worker *worker, struct request *request,
				 struct span authority, const struct mesh_cluster *cluster)
{
	struct mirror *mirror = calloc(1, sizeof(*mirror));

	if (mirror && write_head(mirror, request, authority, &worker->scratch.text)) {
		mirror->cluster = cluster;
		return mirror;
	}
	if (mirror)
		free_mirror(mirror);
	return NULL;
}

void mirror_request(struct worker *worker, struct exchange *exchange, struct request *request,
		    const char *data, size_t length)
{
	const struct mesh_route *route = request->route.route;
	struct span authority =
		request->edit.authority.data ? request->edit.authority : request->head.authority;
	uint64_t body = request->head.content_length;

	if (!route || route->mirror_count == 0 || request->head.framing == HTTP_FRAMING_CHUNKED ||
	    (body > length && body > EXCHANGE_REPLAY_BYTES))
		return;
	for (size_t i = 0; i < route->mirror_count; i++) {
		if (worker->mirror_count >= MIRROR_MAXIMUM ||
		    !mesh_share_holds(route->mirrors[i].share, random_take(&worker->random)))
			continue;
		const struct mesh_cluster *cluster =
			mesh_cluster_at_port(route->mirrors[i].cluster, request->listener->port);
		struct mirror *mirror = new_mirror(worker, request, authority, cluster);
		if (!mirror)
			continue;
		if (body <= length)
			launch(worker, exchange, mirror, (struct span){data, (size_t)body});
		else
			link_mirror(mirror, &exchange->mirrors);
	}
}

static struct mirror *unlink_first(struct exchange *exchange)
{
	struct mirror *mirror = exchange->mirrors;

	if (!mirror)
		return NULL;
	exchange->mirrors = mirror->next;
	if (mirror->next)
		mirror->next->previous_next = &exchange->mirrors;
	return mirror;
}

void mirror_release(struct worker *worker, struct exchange *exchange)
{
	const struct buffer *replay = &exchange->replay;
	size_t body = (size_t)exchange->request.bytes;
	struct mirror *mirror;

	if (!exchange_is_replayable(exchange)) {
		mirror_drop(exchange);
		return;
	}
	while ((mirror = unlink_first(exchange)))
		launch(worker, exchange, mirror,
		       (struct span){replay->data + replay->length - body, body});
}

void mirror_drop(struct exchange *exchange)
{
	struct mirror *mirror;

	while ((mirror = unlink_first(exchange)))
		free_mirror(mirror);
}

size_t mirror_held(const struct exchange *exchange)
{
	size_t held = 0;

	for (const struct mirror *mirror = exchange->mirrors; mirror; mirror = mirror->next)
		held += mirror->request.capacity;
	return held;
}
