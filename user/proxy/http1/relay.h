/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * Moves the body of one message from its source to its sink, one direction of an exchange.
 *
 * Bytes are accounted against the framing before they are sent, so the sink never sees a byte that
 * does not belong to the message. Small bodies are copied through the worker's receive buffer; what
 * the sink does not take at once is kept in `pending`, and nothing more is read until it is gone:
 * at most one receive buffer per direction is ever held. Large runs of content (of a length that is
 * known: Content-Length, or a chunk's data) go through a pipe by splice(2) and never into user
 * space.
 */
#include "http/chunked.h"
#include "proxy/loop/connection.h"
#include "proxy/loop/pipe_pool.h"

struct worker;

/*
 * From here on splice(2) wins over a copy through a 256 KiB buffer: with a body of 128 KiB both
 * cost the same, with 256 KiB copying costs 1.1 times as much, with 512 KiB 1.3 times, with 1
 * MiB 1.6 times.
 */
#define RELAY_SPLICE_MINIMUM (128 * 1024)
/* A body without a length is spliced once this much of it has gone by. */
#define RELAY_SPLICE_STREAM_AFTER (1024 * 1024)

struct relay {
	struct pipe *pipe; /* of a body that is being spliced */
	size_t in_pipe;	   /* bytes that stand in it */

	struct buffer pending; /* framed bytes that the sink has not taken */
	size_t pending_sent;   /* how many at its front it took meanwhile */

	uint64_t left;	   /* of a Content-Length */
	uint64_t bytes;	   /* of the body, passed so far */
	uint64_t received; /* from the source by relay_run, excess included */
	uint64_t sent;	   /* to the sink, the head included */
	struct http_chunked chunked;
	struct buffer trailers; /* an incomplete trailer section */

	http_field_filter trailer_filter; /* or NULL */
	void *trailer_context;

	struct buffer *copy; /* or NULL: what is passed of the body is appended to it */

	struct span excess; /* read by the last relay_run behind the message's end, whatever its
			       outcome; until the next read */

	uint8_t framing; /* enum http_framing */
	/*
	 * The framing is through: nothing more belongs to the message, and all that was read behind
	 * it is in `excess`, or was not counted as consumed. Never so after RELAY_INVALID.
	 */
	bool source_done;
	bool in_trailers;
	bool splicing; /* once begun, a run is spliced to its end */
	bool closes;   /* the sink is shut as soon as it has all */
	bool unchunk;  /* the sink knows no chunked coding (HTTP/1.0): content only */
};

enum relay_outcome {
	RELAY_WAIT,	     /* for an event of source or sink */
	RELAY_AGAIN,	     /* a fair share was moved; there is more to do */
	RELAY_DONE,	     /* all of the message is with the sink */
	RELAY_SOURCE_CLOSED, /* the source ended or failed before the message did */
	RELAY_SINK_FAILED,
	RELAY_INVALID, /* the framing is broken */
	RELAY_NO_MEMORY,
};

/* For a new exchange: counts from zero. The relay is zeroed, or was stopped. */
void relay_open(struct relay *relay);
/* A new message, behind what may still be pending of the last. */
void relay_start(struct relay *relay, enum http_framing framing, uint64_t content_length);
/* For another sink: `message`, all of it, instead of what is pending. False: out of memory. */
bool relay_restart(struct worker *worker, struct relay *relay, struct span message);
/* Gives pipe and memory back. */
void relay_stop(struct worker *worker, struct relay *relay);

/*
 * Sends `head` and then what of data[0, length) belongs to the message; *ret_consumed of these
 * bytes do, whatever the outcome: the rest is still the caller's. `sink` may be NULL or still
 * connecting: all is then kept. RELAY_WAIT or RELAY_DONE if all is well. `data` may be changed in
 * place.
 */
enum relay_outcome relay_push(struct worker *worker, struct relay *relay, struct connection *sink,
			      struct span head, char *data, size_t length, size_t *ret_consumed);
/*
 * Moves what source and sink let through. Each byte that it takes from the source is the message's
 * or is in `excess`, on every way out: take `excess` before looking at the outcome, or close the
 * connection that it came from.
 */
enum relay_outcome relay_run(struct worker *worker, struct relay *relay, struct connection *source,
			     struct connection *sink);

static inline bool relay_is_flushed(const struct relay *relay)
{
	return relay->pending.length == 0 && relay->in_pipe == 0;
}
