/* SPDX-License-Identifier: GPL-2.0-only */
#include "proxy/http1/relay.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "proxy/worker/worker.h"

/* Fair share: so many buffers or pipes full, then it is the others' turn. */
#define RELAY_ROUNDS 4
/* Up to so much goes behind a head. */
#define RELAY_JOIN_BYTES 2048

void relay_start(struct relay *relay, enum http_framing framing, uint64_t content_length)
{
	relay->framing = (uint8_t)framing;
	relay->source_done = framing == HTTP_FRAMING_NONE;
	relay->left = content_length;
	relay->chunked = (struct http_chunked){0};
	relay->in_trailers = false;
	relay->splicing = false;
	relay->closes = false;
	relay->unchunk = false;
	relay->trailer_filter = NULL;
	relay->copy = NULL;
	relay->excess = (struct span){0};
}

void relay_open(struct relay *relay)
{
	relay->bytes = 0;
	relay->received = 0;
	relay->sent = 0;
	relay_start(relay, HTTP_FRAMING_NONE, 0);
}

/* Keeps or frees a buffer that may be used again: a little memory stays, much goes. */
static void retire_buffer(struct buffer *buffer)
{
	if (buffer->capacity > WORKER_KEPT_BUFFER_BYTES)
		buffer_free(buffer);
	else
		buffer_clear(buffer);
}

static void drop_pending(struct worker *worker, struct relay *relay)
{
	worker->pending_bytes -= relay->pending.length;
	relay->pending_sent = 0;
	retire_buffer(&relay->pending);
}

static void drop_pipe(struct worker *worker, struct relay *relay)
{
	if (relay->pipe)
		pipe_pool_give(&worker->pipes, relay->pipe, relay->in_pipe == 0);
	relay->pipe = NULL;
	relay->in_pipe = 0;
}

void relay_stop(struct worker *worker, struct relay *relay)
{
	if (relay->pipe)
		drop_pipe(worker, relay);
	drop_pending(worker, relay);
	if (relay->trailers.data)
		buffer_free(&relay->trailers);
}

static bool keep_pending(struct worker *worker, struct relay *relay, const char *data,
			 size_t length)
{
	size_t before = relay->pending.length;

	buffer_append(&relay->pending, data, length);
	worker->pending_bytes += relay->pending.length - before;
	return !relay->pending.failed;
}

bool relay_restart(struct worker *worker, struct relay *relay, struct span message)
{
	drop_pending(worker, relay);
	relay->source_done = true;
	relay->sent = 0;
	return keep_pending(worker, relay, message.data, message.length);
}

/* Writes pieces in order: to the sink if nothing waits in front, the rest to `pending`. */
static enum relay_outcome write_pieces(struct worker *worker, struct relay *relay,
				       struct connection *sink, const struct iovec *pieces,
				       size_t count)
{
	size_t sent = 0;

	if (sink && relay_is_flushed(relay) && connection_can_write(sink)) {
		ssize_t length = connection_send(worker->loop.epoll_fd, sink, pieces, count,
						 relay->closes && relay->source_done);

		if (length < 0 && length != -EAGAIN)
			return RELAY_SINK_FAILED;
		sent = length > 0 ? (size_t)length : 0;
		relay->sent += sent;
	}
	for (size_t i = 0; i < count; i++) {
		if (sent >= pieces[i].iov_len) {
			sent -= pieces[i].iov_len;
			continue;
		}
		if (!keep_pending(worker, relay, (const char *)pieces[i].iov_base + sent,
				  pieces[i].iov_len - sent))
			return RELAY_NO_MEMORY;
		sent = 0;
	}
	return RELAY_WAIT;
}

/*
 * What is little goes behind the head, for a send(2) of one piece: that is cheaper than to have the
 * kernel read a list of pieces. What already stands behind it needs no copy. Gives the new count.
 */
static size_t join_pieces(struct worker *worker, struct iovec *pieces, size_t count)
{
	size_t length = pieces[0].iov_len, added = 0;

	if (count == 1)
		return count;
	for (size_t i = 1; i < count; i++)
		added += pieces[i].iov_len;
	if (count == 2 && (char *)pieces[0].iov_base + length == pieces[1].iov_base) {
		pieces[0].iov_len += added;
		return 1;
	}
	if (pieces[0].iov_base != worker->scratch.head || added > RELAY_JOIN_BYTES ||
	    length + added > worker->scratch.head_bytes)
		return count;
	for (size_t i = 1; i < count; i++) {
		memcpy(worker->scratch.head + length, pieces[i].iov_base, pieces[i].iov_len);
		length += pieces[i].iov_len;
	}
	pieces[0].iov_len = length;
	return 1;
}

/* What a run of received bytes means: the part to send as it is, what to send behind it, and how
 * much of the run that was. */
struct framed {
	size_t body;	 /* bytes at the front, to be sent */
	size_t consumed; /* bytes of the message; the rest is excess */
	struct span trailers;
};

/* `data` begins behind the last-chunk line. */
static enum relay_outcome frame_trailers(struct worker *worker, struct relay *relay,
					 const char *data, size_t length, struct framed *framed)
{
	size_t before = relay->trailers.length;
	struct http_refusal refusal;

	relay->in_trailers = true;
	if (before) {
		buffer_append(&relay->trailers, data, length);
		if (relay->trailers.failed)
			return RELAY_NO_MEMORY;
		data = relay->trailers.data;
	}
	struct http_trailers *trailers = &worker->scratch.trailers;
	switch (http_trailers_parse(data, before + length, before, trailers, &refusal)) {
	case HTTP_PARSE_REFUSED:
		return RELAY_INVALID;
	case HTTP_PARSE_MORE:
		if (!before)
			buffer_append(&relay->trailers, data, length);
		framed->consumed += length;
		return relay->trailers.failed ? RELAY_NO_MEMORY : RELAY_WAIT;
	case HTTP_PARSE_COMPLETE:
		break;
	}
	framed->consumed += trailers->length - before;
	relay->source_done = true;
	if (relay->unchunk)
		return RELAY_WAIT;
	buffer_clear(&worker->scratch.text);
	http_trailers_write(trailers, relay->trailer_filter, relay->trailer_context,
			    &worker->scratch.text);
	framed->trailers = buffer_span(&worker->scratch.text);
	return worker->scratch.text.failed ? RELAY_NO_MEMORY : RELAY_WAIT;
}

/* Moves the content of chunks together at the front of `data`. */
static enum http_chunk_piece unchunk(struct relay *relay, char *data, size_t length,
				     size_t *ret_consumed, size_t *ret_content)
{
	enum http_chunk_piece piece;
	size_t at = 0, content = 0, taken;

	for (;;) {
		piece = http_chunked_next(&relay->chunked, data + at, length - at, &taken);
		if (piece == HTTP_CHUNK_DATA) {
			memmove(data + content, data + at, taken);
			content += taken;
		} else if (piece != HTTP_CHUNK_FRAMING) {
			break;
		}
		at += taken;
	}
	*ret_consumed = at;
	*ret_content = content;
	return piece;
}

static enum relay_outcome frame_chunked(struct worker *worker, struct relay *relay, char *data,
					size_t length, struct framed *framed)
{
	enum http_chunk_piece piece;

	if (relay->in_trailers)
		return frame_trailers(worker, relay, data, length, framed);
	if (relay->unchunk) {
		piece = unchunk(relay, data, length, &framed->consumed, &framed->body);
	} else {
		piece = http_chunked_scan(&relay->chunked, data, length, &framed->consumed);
		framed->body = framed->consumed;
	}
	if (piece == HTTP_CHUNK_INVALID)
		return RELAY_INVALID;
	if (piece == HTTP_CHUNK_TRAILERS)
		return frame_trailers(worker, relay, data + framed->consumed,
				      length - framed->consumed, framed);
	return RELAY_WAIT;
}

static enum relay_outcome frame(struct worker *worker, struct relay *relay, char *data,
				size_t length, struct framed *framed)
{
	switch ((enum http_framing)relay->framing) {
	case HTTP_FRAMING_NONE:
		return RELAY_WAIT;
	case HTTP_FRAMING_CONTENT_LENGTH:
		framed->body = length < relay->left ? length : (size_t)relay->left;
		framed->consumed = framed->body;
		relay->left -= framed->body;
		relay->source_done = relay->left == 0;
		return RELAY_WAIT;
	case HTTP_FRAMING_CHUNKED:
		return frame_chunked(worker, relay, data, length, framed);
	case HTTP_FRAMING_UNTIL_CLOSE:
		framed->body = framed->consumed = length;
		return RELAY_WAIT;
	}
	return RELAY_INVALID;
}

static enum relay_outcome outcome_now(const struct relay *relay)
{
	return relay->source_done && relay_is_flushed(relay) ? RELAY_DONE : RELAY_WAIT;
}

enum relay_outcome relay_push(struct worker *worker, struct relay *relay, struct connection *sink,
			      struct span head, char *data, size_t length, size_t *ret_consumed)
{
	struct framed framed = {0};
	struct iovec pieces[3];
	size_t count = 0;

	*ret_consumed = 0;
	if (!relay->source_done && length) {
		enum relay_outcome outcome = frame(worker, relay, data, length, &framed);

		*ret_consumed = framed.consumed;
		if (outcome != RELAY_WAIT) {
			/* Where the message ends is not known: nothing can follow it. */
			relay->source_done = false;
			return outcome;
		}
	}
	relay->bytes += framed.body;
	if (relay->copy && framed.body)
		buffer_append(relay->copy, data, framed.body);
	statistics_add(&worker->statistics.copied_bytes, framed.body);
	if (head.length)
		pieces[count++] = (struct iovec){(void *)head.data, head.length};
	if (framed.body)
		pieces[count++] = (struct iovec){data, framed.body};
	if (framed.trailers.length)
		pieces[count++] =
			(struct iovec){(void *)framed.trailers.data, framed.trailers.length};
	if (count) {
		count = join_pieces(worker, pieces, count);
		enum relay_outcome outcome = write_pieces(worker, relay, sink, pieces, count);

		if (outcome != RELAY_WAIT)
			return outcome;
	}
	return outcome_now(relay);
}

static enum relay_outcome flush_pending(struct worker *worker, struct relay *relay,
					struct connection *sink)
{
	while (relay->pending.length) {
		if (!connection_can_write(sink))
			return RELAY_WAIT;
		struct iovec piece = {
			relay->pending.data + relay->pending_sent,
			relay->pending.length - relay->pending_sent,
		};
		ssize_t length = connection_send(worker->loop.epoll_fd, sink, &piece, 1, false);

		if (length == -EAGAIN)
			return RELAY_WAIT;
		if (length < 0)
			return RELAY_SINK_FAILED;
		relay->pending_sent += (size_t)length;
		relay->sent += (size_t)length;
		if (relay->pending_sent == relay->pending.length)
			drop_pending(worker, relay);
	}
	return RELAY_DONE;
}

/* The kernel has no room for it, or can't: neither end is the worse for it. */
static bool is_splice_refusal(int error)
{
	return error == ENOMEM || error == ENOBUFS || error == EINVAL || error == ENOSYS ||
	       error == EPERM;
}

static void copy_from_now_on(struct connection *source, int error)
{
	source->state |= CONNECTION_NO_SPLICE;
	log_warning("splice(2) failed, bodies are copied", log_errno(error));
}

/* What is in the pipe goes the way of copied bytes, in order: behind what is sent, or waits. */
static enum relay_outcome empty_pipe(struct worker *worker, struct relay *relay,
				     struct connection *sink, int error)
{
	log_warning("splice(2) failed, bodies are copied", log_errno(error));
	while (relay->in_pipe) {
		ssize_t length =
			read(relay->pipe->read_fd, worker->scratch.received,
			     relay->in_pipe < SCRATCH_RECEIVE_BYTES ? relay->in_pipe
								    : SCRATCH_RECEIVE_BYTES);
		if (length < 0 && errno == EINTR)
			continue;
		if (length <= 0)
			return RELAY_SINK_FAILED;
		relay->in_pipe -= (size_t)length;
		if (!keep_pending(worker, relay, worker->scratch.received, (size_t)length))
			return RELAY_NO_MEMORY;
	}
	return flush_pending(worker, relay, sink);
}

static enum relay_outcome flush_pipe(struct worker *worker, struct relay *relay,
				     struct connection *sink)
{
	while (relay->in_pipe) {
		if (!connection_can_write(sink))
			return RELAY_WAIT;
		/* No SPLICE_F_MORE: it would hold a body's last bytes back. */
		ssize_t length = splice(relay->pipe->read_fd, NULL, sink->fd, NULL, relay->in_pipe,
					SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
		if (length < 0 && errno == EINTR)
			continue;
		if (length < 0 && is_splice_refusal(errno))
			return empty_pipe(worker, relay, sink, -errno);
		if (length == 0 || (length < 0 && errno != EAGAIN))
			return RELAY_SINK_FAILED;
		if (length > 0) {
			relay->in_pipe -= (size_t)length;
			relay->sent += (size_t)length;
		}
		if (relay->in_pipe && connection_wait_writable(worker->loop.epoll_fd, sink))
			return RELAY_SINK_FAILED;
	}
	return RELAY_DONE;
}

/* RELAY_DONE: the sink has all there is. */
static enum relay_outcome flush(struct worker *worker, struct relay *relay, struct connection *sink)
{
	enum relay_outcome outcome = flush_pending(worker, relay, sink);

	if (outcome == RELAY_DONE && relay->in_pipe)
		outcome = flush_pipe(worker, relay, sink);
	return outcome;
}

/* Bytes of content that lie ahead for sure; 0: not known, or framing comes first. */
static uint64_t run_length(const struct relay *relay)
{
	switch ((enum http_framing)relay->framing) {
	case HTTP_FRAMING_CONTENT_LENGTH:
		return relay->left;
	case HTTP_FRAMING_CHUNKED:
		return relay->chunked.data_left;
	case HTTP_FRAMING_UNTIL_CLOSE:
		return relay->bytes >= RELAY_SPLICE_STREAM_AFTER ? UINT64_MAX : 0;
	default:
		return 0;
	}
}

static bool wants_splice(struct worker *worker, struct relay *relay,
			 const struct connection *source)
{
	uint64_t run = run_length(relay);

	if (source->state & CONNECTION_NO_SPLICE || run == 0)
		return false;
	if (run < RELAY_SPLICE_MINIMUM && !relay->splicing)
		return false;
	if (!relay->pipe)
		relay->pipe = pipe_pool_take(&worker->pipes);
	relay->splicing = relay->pipe;
	return relay->pipe;
}

static void account_spliced(struct worker *worker, struct relay *relay, size_t length)
{
	relay->in_pipe += length;
	relay->bytes += length;
	relay->received += length;
	statistics_add(&worker->statistics.spliced_bytes, length);
	if (relay->framing == HTTP_FRAMING_CHUNKED) {
		http_chunked_spliced(&relay->chunked, length);
	} else if (relay->framing == HTTP_FRAMING_CONTENT_LENGTH) {
		relay->left -= length;
		relay->source_done = relay->left == 0;
	}
}

static enum relay_outcome source_ended(struct relay *relay, const struct connection *source,
				       ssize_t result)
{
	if (result == 0 && relay->framing == HTTP_FRAMING_UNTIL_CLOSE &&
	    !(source->state & CONNECTION_RESET)) {
		relay->source_done = true;
		return RELAY_WAIT;
	}
	return RELAY_SOURCE_CLOSED;
}

static enum relay_outcome copy_in(struct worker *worker, struct relay *relay,
				  struct connection *source, struct connection *sink)
{
	size_t capacity = worker_receive_limit(worker);
	size_t consumed;
	ssize_t length = connection_receive(source, worker->scratch.received, capacity);

	if (length == -EAGAIN)
		return RELAY_WAIT;
	if (length <= 0)
		return source_ended(relay, source, length);
	relay->received += (size_t)length;
	enum relay_outcome outcome =
		relay_push(worker, relay, sink, (struct span){0}, worker->scratch.received,
			   (size_t)length, &consumed);
	/* Whatever became of the message: what came behind it belongs to the next one. */
	if (relay->source_done)
		relay->excess = (struct span){worker->scratch.received + consumed,
					      (size_t)length - consumed};
	/* Something was read: more may be there. */
	return outcome == RELAY_WAIT ? RELAY_AGAIN : outcome;
}

/*
 * splice(2) gave nothing although the pipe is empty. 0 need not be the end, and where BPF has put
 * the socket into a sockmap EAGAIN need not mean that nothing is there: recv(2) decides.
 */
static enum relay_outcome splice_gave_nothing(struct worker *worker, struct relay *relay,
					      struct connection *source, struct connection *sink,
					      ssize_t length)
{
	uint64_t before = relay->bytes;

	if (length < 0 && !(source->state & CONNECTION_FRESH)) {
		source->state &= (uint16_t)~CONNECTION_READABLE;
		return RELAY_WAIT;
	}
	enum relay_outcome outcome = copy_in(worker, relay, source, sink);
	if (relay->bytes != before)
		source->state |= CONNECTION_NO_SPLICE;
	return outcome;
}

static enum relay_outcome splice_in(struct worker *worker, struct relay *relay,
				    struct connection *source, struct connection *sink)
{
	uint64_t run = run_length(relay);
	ssize_t length;

	if (!connection_can_read(source))
		return RELAY_WAIT;
	do {
		length = splice(source->fd, NULL, relay->pipe->write_fd, NULL,
				run < relay->pipe->capacity ? (size_t)run : relay->pipe->capacity,
				SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
	} while (length < 0 && errno == EINTR);
	if (length > 0) {
		source->state &= (uint16_t)~CONNECTION_FRESH;
		account_spliced(worker, relay, (size_t)length);
		return RELAY_AGAIN;
	}
	if (length < 0 && is_splice_refusal(errno)) {
		copy_from_now_on(source, -errno);
		return copy_in(worker, relay, source, sink);
	}
	if (length < 0 && errno != EAGAIN)
		return source_ended(relay, source, -errno);
	return splice_gave_nothing(worker, relay, source, sink, length);
}

static enum relay_outcome run(struct worker *worker, struct relay *relay, struct connection *source,
			      struct connection *sink)
{
	for (unsigned round = 0; round < RELAY_ROUNDS; round++) {
		enum relay_outcome outcome = flush(worker, relay, sink);

		if (outcome != RELAY_DONE)
			return outcome;
		if (relay->source_done)
			return RELAY_DONE;
		if (wants_splice(worker, relay, source))
			outcome = splice_in(worker, relay, source, sink);
		else
			outcome = copy_in(worker, relay, source, sink);
		if (outcome != RELAY_AGAIN && !(outcome == RELAY_WAIT && relay->source_done))
			return outcome;
	}
	return RELAY_AGAIN;
}

enum relay_outcome relay_run(struct worker *worker, struct relay *relay, struct connection *source,
			     struct connection *sink)
{
	/* What an earlier call found behind the message was taken then, or never will be. */
	relay->excess = (struct span){0};
	enum relay_outcome outcome = run(worker, relay, source, sink);

	/* Only bytes hold a pipe: who waits for a slow source leaves it to the others. */
	if (relay->pipe && relay->in_pipe == 0)
		drop_pipe(worker, relay);
	return outcome;
}
