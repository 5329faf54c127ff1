/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * The boundary between an exchange and the two protocols beside it: the client's and the endpoint's.
 * An exchange sends heads, pulls bodies and ends messages by these functions, and sees no descriptor.
 * HTTP/1 alone is behind them for now: both sides are connections that carry one exchange at a time,
 * and bodies go from one to the other by the relay, verbatim or by splice(2).
 *
 * Outcomes are the relay's (relay.h). An exchange resumes when the loop says so, for an event of
 * either side (thread.c); it is aborted with the client's session (session_abort).
 */
#include <sys/socket.h>
#include "proxy/http1/client.h"
#include "proxy/http1/relay.h"
#include "proxy/upstream/upstream.h"
#include "proxy/worker/worker.h"

/* A head and 64 KiB of body in one piece; what comes behind may be worth a pipe. */
#define STREAM_RESPONSE_BYTES (72 * 1024)

/*
 * A request's head, and what of data[0, length) is its body (relay_push). `upstream`: NULL if there
 * is none yet; all is kept then.
 */
static inline enum relay_outcome stream_send_request(struct worker *worker, struct relay *relay,
						     struct upstream *upstream, struct span head,
						     char *data, size_t length,
						     size_t *ret_consumed)
{
	return relay_push(worker, relay, upstream ? &upstream->connection : NULL, head, data,
			  length, ret_consumed);
}

/* What the client sends of the request's body, to the endpoint. */
static inline enum relay_outcome stream_pull_request(struct worker *worker, struct relay *relay,
						     struct http1_client *client,
						     struct upstream *upstream)
{
	return relay_run(worker, relay, &client->connection, &upstream->connection);
}

/* The endpoint takes no more of the request: what it has to say is still read. */
static inline void stream_cut_request(struct upstream *upstream)
{
	upstream->connection.state |= CONNECTION_READABLE | CONNECTION_RESET;
}

/* Of a tunnel: nothing more comes from the client. */
static inline void stream_end_request(struct upstream *upstream)
{
	shutdown(upstream->connection.fd, SHUT_WR);
}

/*
 * What the endpoint sends up to the end of a response's head, into worker->scratch.received behind
 * `before` bytes. As connection_receive.
 */
static inline ssize_t stream_receive_response(struct worker *worker, struct upstream *upstream,
					      size_t before)
{
	return connection_receive(&upstream->connection, worker->scratch.received + before,
				  STREAM_RESPONSE_BYTES);
}

/* A response's head, or an answer of our own, and what of data[0, length) is its body. */
static inline enum relay_outcome stream_send_response(struct worker *worker, struct relay *relay,
						      struct http1_client *client, struct span head,
						      char *data, size_t length,
						      size_t *ret_consumed)
{
	return relay_push(worker, relay, &client->connection, head, data, length, ret_consumed);
}

/* What the endpoint sends of the response's body, to the client. `upstream`: NULL once it is read. */
static inline enum relay_outcome stream_pull_response(struct worker *worker, struct relay *relay,
						      struct upstream *upstream,
						      struct http1_client *client)
{
	return relay_run(worker, relay, upstream ? &upstream->connection : NULL,
			 &client->connection);
}

/* Gives back what one direction holds. Most have nothing left at their end. */
static inline void stream_stop(struct worker *worker, struct relay *relay)
{
	if (relay->pipe || relay->pending.length || relay->pending.failed || relay->trailers.data ||
	    relay->pending.capacity > WORKER_KEPT_BUFFER_BYTES)
		relay_stop(worker, relay);
}

/* Of a tunnel: nothing more comes from the endpoint. */
static inline void stream_end_response(struct http1_client *client)
{
	shutdown(client->connection.fd, SHUT_WR);
}
