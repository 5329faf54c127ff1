/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The relay against a model: every message × every place where its bytes are cut × what follows it ×
 * every way out. Whatever the outcome, each byte that was taken is the message's or is given back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dlfcn.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/http1/relay.h"
#include "proxy/worker/worker.h"

#define HEAD "HEAD\r\n\r\n"

/* Allocations that still succeed; negative: all do. */
static int allocations_left = -1;

void *realloc(void *memory, size_t size)
{
	static void *(*next)(void *, size_t);

	if (!next)
		*(void **)&next = dlsym(RTLD_NEXT, "realloc");
	if (allocations_left == 0)
		return NULL;
	if (allocations_left > 0)
		allocations_left--;
	return next(memory, size);
}

struct message {
	const char *bytes;
	const char *sent; /* what the sink gets of it; NULL: the same */
	enum http_framing framing;
	bool unchunk;
	bool invalid; /* from some byte on */
};

static const struct message messages[] = {
	{"hello", NULL, HTTP_FRAMING_CONTENT_LENGTH},
	{"5\r\nhello\r\n0\r\n\r\n", NULL, HTTP_FRAMING_CHUNKED},
	{"3;a=b\r\nabc\r\n2\r\nde\r\n0\r\nX: y\r\n\r\n", NULL, HTTP_FRAMING_CHUNKED},
	{"3;a=b\r\nabc\r\n2\r\nde\r\n0\r\nX: y\r\n\r\n", "abcde", HTTP_FRAMING_CHUNKED, true},
	{"0\r\n\r\n", NULL, HTTP_FRAMING_CHUNKED},
	{"0x5\r\nhello\r\n0\r\n\r\n", NULL, HTTP_FRAMING_CHUNKED, false, true},
	{"3\r\nabcjunk\r\n0\r\n\r\n", NULL, HTTP_FRAMING_CHUNKED, false, true},
	{"3\r\nabc\r\n0\r\nContent-Length: 3\r\n\r\n", NULL, HTTP_FRAMING_CHUNKED, false, true},
	{"hello", NULL, HTTP_FRAMING_UNTIL_CLOSE},
	{"", NULL, HTTP_FRAMING_NONE},
};

static const char *const followers[] = {"", "G", "GET /next HTTP/1.1\r\n\r\n", "\r\n0\r\n\r\n"};

enum sink_kind { SINK_OPEN, SINK_LATER, SINK_STUCK, SINK_GONE, SINK_GOES, SINK_NONE, SINK_KINDS };

struct drive {
	const struct message *message;
	const char *follows;
	size_t pushed; /* of the stream, behind the head; the rest comes at once, or … */
	size_t cut;    /* … only up to here first */
	enum sink_kind sink_kind;
	int allocations;
	bool is_closed; /* the source, behind the stream, or already behind … */
	bool is_short;	/* … the cut */
};

struct stage {
	struct worker worker;
	struct relay relay;
	struct connection source, sink;
	int source_peer, sink_peer;
	char stream[256], expected[256];
	size_t message_length, stream_length, expected_length;
	size_t given;	    /* of the stream, to the relay or its source */
	struct buffer kept; /* what the relay gave back */
	struct buffer got;  /* what the sink has */
	size_t taken;	    /* of the stream, by the relay */
	size_t outcomes[RELAY_NO_MEMORY + 1];
	size_t drives;
};

static struct stage *stage_of(void **state)
{
	return *state;
}

static int set_up(void **state)
{
	struct stage *stage = calloc(1, sizeof(*stage));
	struct worker *worker = &stage->worker;

	signal(SIGPIPE, SIG_IGN); /* splice(2) knows no MSG_NOSIGNAL */
	worker->loop.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	worker->scratch.received = malloc(SCRATCH_RECEIVE_BYTES);
	worker->scratch.head_bytes = 4096;
	worker->scratch.head = malloc(worker->scratch.head_bytes);
	*state = stage;
	return worker->loop.epoll_fd < 0 || !worker->scratch.received || !worker->scratch.head;
}

static int tear_down(void **state)
{
	struct stage *stage = *state;

	pipe_pool_free(&stage->worker.pipes);
	buffer_free(&stage->relay.pending);
	buffer_free(&stage->worker.scratch.text);
	buffer_free(&stage->kept);
	buffer_free(&stage->got);
	close(stage->worker.loop.epoll_fd);
	free(stage->worker.scratch.received);
	free(stage->worker.scratch.head);
	free(stage);
	return 0;
}

static void open_pair(struct stage *stage, struct connection *connection, int *ret_peer)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	*connection = (struct connection){
		.kind = CONNECTION_UPSTREAM,
		.state = CONNECTION_READABLE | CONNECTION_WRITABLE,
		.fd = fds[0],
	};
	*ret_peer = fds[1];
	assert_int_equal(connection_watch_upstream(stage->worker.loop.epoll_fd, connection), 0);
}

static void close_peer(int *peer)
{
	if (*peer >= 0)
		close(*peer);
	*peer = -1;
}

static void close_pair(struct connection *connection, int *peer)
{
	close(connection->fd);
	close_peer(peer);
}

static size_t end_of(const struct stage *stage, const struct drive *drive)
{
	return drive->is_short ? drive->cut : stage->stream_length;
}

static void note_events(struct stage *stage)
{
	struct epoll_event events[4];
	int count = epoll_wait(stage->worker.loop.epoll_fd, events, 4, 0);

	for (int i = 0; i < count; i++)
		connection_note_events(events[i].data.ptr, events[i].events);
}

static void give(struct stage *stage, size_t up_to)
{
	size_t length = up_to - stage->given;

	if (length)
		assert_int_equal(write(stage->source_peer, stage->stream + stage->given, length),
				 length);
	stage->given = up_to;
	stage->source.state |= CONNECTION_READABLE;
}

static void collect(struct stage *stage)
{
	char bytes[4096];
	ssize_t length;

	while (stage->sink_peer >= 0 && (length = read(stage->sink_peer, bytes, sizeof(bytes))) > 0)
		buffer_append(&stage->got, bytes, (size_t)length);
}

/* What the sink has and what waits for it is what the message says, as far as it goes. */
static void check_sent(const struct stage *stage, enum relay_outcome outcome)
{
	const struct relay *relay = &stage->relay;
	size_t waits = relay->pending.length - relay->pending_sent;

	assert_true(stage->got.length <= stage->expected_length);
	assert_memory_equal(stage->got.data ? stage->got.data : "", stage->expected,
			    stage->got.length);
	if (outcome == RELAY_WAIT || outcome == RELAY_AGAIN) {
		assert_true(stage->got.length + waits <= stage->expected_length);
		if (waits)
			assert_memory_equal(relay->pending.data + relay->pending_sent,
					    stage->expected + stage->got.length, waits);
	}
	if (outcome == RELAY_DONE)
		assert_int_equal(stage->got.length, stage->expected_length);
}

/* Each byte that was taken is accounted for. */
static void check_taken(const struct stage *stage, const struct drive *drive,
			enum relay_outcome outcome)
{
	const struct message *message = drive->message;
	bool ends = message->framing != HTTP_FRAMING_UNTIL_CLOSE;

	if (stage->relay.source_done && ends) {
		assert_false(message->invalid);
		assert_true(stage->taken >= stage->message_length);
		assert_int_equal(stage->kept.length, stage->taken - stage->message_length);
		if (stage->kept.length)
			assert_memory_equal(stage->kept.data, stage->stream + stage->message_length,
					    stage->kept.length);
		return;
	}
	if (outcome == RELAY_DONE)
		assert_true(!ends && drive->is_closed);
	assert_int_equal(stage->relay.excess.length, 0);
	if (outcome == RELAY_SOURCE_CLOSED)
		assert_true(drive->is_closed);
	if (!message->invalid && ends && outcome != RELAY_NO_MEMORY)
		assert_true(stage->taken < stage->message_length);
	if (!message->invalid)
		assert_int_not_equal(outcome, RELAY_INVALID);
}

static void note(struct stage *stage, const struct drive *drive, enum relay_outcome outcome)
{
	int left = allocations_left;

	allocations_left = -1; /* the model's own memory */
	stage->outcomes[outcome]++;
	collect(stage);
	check_sent(stage, outcome);
	check_taken(stage, drive, outcome);
	allocations_left = left;
}

static enum relay_outcome push(struct stage *stage, const struct drive *drive)
{
	struct connection *sink = drive->sink_kind == SINK_NONE ? NULL : &stage->sink;
	size_t consumed = 1000;

	memcpy(stage->worker.scratch.received, stage->stream, drive->pushed);
	allocations_left = drive->allocations;
	enum relay_outcome outcome =
		relay_push(&stage->worker, &stage->relay, sink, span_of(HEAD),
			   stage->worker.scratch.received, drive->pushed, &consumed);
	int left = allocations_left;

	allocations_left = -1;
	assert_true(consumed <= drive->pushed);
	buffer_clear(&stage->kept);
	if (stage->relay.source_done)
		buffer_append(&stage->kept, stage->stream + consumed, drive->pushed - consumed);
	stage->taken = stage->given = drive->pushed;
	allocations_left = left;
	note(stage, drive, outcome);
	return outcome;
}

static enum relay_outcome run_once(struct stage *stage, const struct drive *drive)
{
	uint64_t before = stage->relay.received;
	enum relay_outcome outcome =
		relay_run(&stage->worker, &stage->relay, &stage->source, &stage->sink);
	int left = allocations_left;

	allocations_left = -1;
	stage->taken += stage->relay.received - before;
	buffer_append(&stage->kept, stage->relay.excess.data, stage->relay.excess.length);
	allocations_left = left;
	note(stage, drive, outcome);
	return outcome;
}

/* Until nothing more comes of it; bounded. */
static enum relay_outcome run_on(struct stage *stage, const struct drive *drive)
{
	enum relay_outcome outcome = RELAY_AGAIN;

	for (int round = 0; round < 20; round++) {
		outcome = run_once(stage, drive);
		if (outcome != RELAY_AGAIN && outcome != RELAY_WAIT)
			return outcome;
		if (outcome == RELAY_WAIT && drive->sink_kind == SINK_STUCK)
			return outcome;
		if (outcome == RELAY_WAIT && stage->given == end_of(stage, drive) &&
		    !(stage->source.state & CONNECTION_READABLE))
			return outcome;
		if (stage->given < drive->cut)
			give(stage, drive->cut);
		else
			give(stage, end_of(stage, drive));
		if (stage->given == end_of(stage, drive) && drive->is_closed)
			close_peer(&stage->source_peer);
		if (drive->sink_kind == SINK_GOES)
			close_peer(&stage->sink_peer);
		if (drive->sink_kind != SINK_STUCK)
			note_events(stage);
	}
	return outcome;
}

static void write_expected(struct stage *stage, const struct drive *drive)
{
	const struct message *message = drive->message;
	bool is_stream = message->framing == HTTP_FRAMING_UNTIL_CLOSE;

	stage->message_length = strlen(message->bytes);
	stage->stream_length = (size_t)snprintf(stage->stream, sizeof(stage->stream), "%s%s",
						message->bytes, drive->follows);
	stage->expected_length = (size_t)snprintf(
		stage->expected, sizeof(stage->expected), HEAD "%s%s",
		message->sent ? message->sent : message->bytes, is_stream ? drive->follows : "");
	if (is_stream)
		stage->expected_length = strlen(HEAD) + end_of(stage, drive);
}

static enum relay_outcome drive_relay(struct stage *stage, const struct drive *drive)
{
	const struct message *message = drive->message;
	struct relay *relay = &stage->relay;

	stage->drives++;
	buffer_free(&stage->kept);
	buffer_clear(&stage->got);
	write_expected(stage, drive);
	open_pair(stage, &stage->source, &stage->source_peer);
	open_pair(stage, &stage->sink, &stage->sink_peer);
	relay_open(relay);
	relay_start(relay, message->framing, stage->message_length);
	relay->unchunk = message->unchunk;
	if (drive->sink_kind == SINK_LATER || drive->sink_kind == SINK_STUCK)
		stage->sink.state &= (uint16_t)~CONNECTION_WRITABLE;
	if (drive->sink_kind == SINK_GONE)
		close_peer(&stage->sink_peer);
	enum relay_outcome outcome = push(stage, drive);
	if (outcome == RELAY_WAIT)
		outcome = run_on(stage, drive);
	allocations_left = -1;
	relay_stop(&stage->worker, relay);
	buffer_free(&relay->pending); /* so that the next drive's allocations are the same */
	buffer_free(&stage->worker.scratch.text);
	assert_int_equal(stage->worker.pending_bytes, 0);
	close_pair(&stage->source, &stage->source_peer);
	close_pair(&stage->sink, &stage->sink_peer);
	return outcome;
}

static void drive_every_way_out(struct stage *stage, struct drive *drive)
{
	for (int kind = 0; kind < SINK_KINDS; kind++) {
		for (int allocations = -1; allocations < 3; allocations++) {
			for (int end = 0; end < 3; end++) {
				drive->sink_kind = (enum sink_kind)kind;
				drive->allocations = allocations;
				drive->is_closed = end > 0;
				drive->is_short = end > 1;
				drive_relay(stage, drive);
			}
		}
	}
}

static void every_byte_that_is_taken_is_the_messages_or_given_back(void **state)
{
	struct stage *stage = stage_of(state);

	for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++) {
		for (size_t j = 0; j < sizeof(followers) / sizeof(followers[0]); j++) {
			struct drive drive = {.message = &messages[i], .follows = followers[j]};
			size_t length = strlen(messages[i].bytes) + strlen(followers[j]);

			/* A part of it stands in the head's segment; or it comes in two pieces. */
			for (drive.pushed = 0; drive.pushed <= length; drive.pushed++) {
				drive.cut = length;
				drive_every_way_out(stage, &drive);
			}
			drive.pushed = 0;
			for (drive.cut = 1; drive.cut < length; drive.cut++)
				drive_every_way_out(stage, &drive);
		}
	}
	/* AGAIN has a test of its own. */
	for (int outcome = RELAY_WAIT; outcome <= RELAY_NO_MEMORY; outcome++) {
		if (outcome != RELAY_AGAIN && stage->outcomes[outcome] == 0)
			fail_msg("outcome %d never came up in %zu drives", outcome, stage->drives);
	}
}

/* Sends a body that is larger than one read, and a pipe, while `sink` takes it or breaks. */
static void relay_large(struct stage *stage, size_t body, bool sink_breaks, bool small_reads)
{
	static const char follows[] = "GET /next HTTP/1.1\r\n\r\n";
	struct relay *relay = &stage->relay;
	char piece[8192] = {0}, rest[sizeof(follows)];
	int room = 16384;
	size_t fed = 0, total = body + strlen(follows), got = 0;
	enum relay_outcome outcome = RELAY_WAIT;

	buffer_clear(&stage->kept);
	stage->worker.pending_bytes = small_reads ? WORKER_PENDING_BYTES : 0;
	open_pair(stage, &stage->source, &stage->source_peer);
	open_pair(stage, &stage->sink, &stage->sink_peer);
	if (sink_breaks)
		setsockopt(stage->sink.fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
	relay_open(relay);
	relay_start(relay, HTTP_FRAMING_CONTENT_LENGTH, body);
	for (int round = 0; round < 4000; round++) {
		while (fed < total) {
			const char *from = fed < body ? piece : follows + (fed - body);
			size_t length = fed < body ? body - fed : total - fed;
			ssize_t taken = write(stage->source_peer, from,
					      length < sizeof(piece) ? length : sizeof(piece));
			if (taken <= 0)
				break;
			fed += (size_t)taken;
		}
		if (sink_breaks && got > body / 2)
			close_peer(&stage->sink_peer);
		note_events(stage);
		outcome = relay_run(&stage->worker, relay, &stage->source, &stage->sink);
		stage->outcomes[outcome]++;
		buffer_append(&stage->kept, relay->excess.data, relay->excess.length);
		if (outcome != RELAY_WAIT && outcome != RELAY_AGAIN)
			break;
		buffer_clear(&stage->got);
		collect(stage);
		got += stage->got.length;
	}
	buffer_clear(&stage->got);
	collect(stage);
	assert_int_equal(outcome, sink_breaks ? RELAY_SINK_FAILED : RELAY_DONE);
	if (!sink_breaks)
		assert_int_equal(got + stage->got.length, body);
	if (relay->source_done) {
		ssize_t unread = read(stage->source.fd, rest, sizeof(rest));

		if (unread > 0)
			buffer_append(&stage->kept, rest, (size_t)unread);
		assert_int_equal(stage->kept.length, strlen(follows));
		assert_memory_equal(stage->kept.data, follows, strlen(follows));
	} else {
		assert_int_equal(stage->kept.length, 0);
	}
	relay_stop(&stage->worker, relay);
	close_pair(&stage->source, &stage->source_peer);
	close_pair(&stage->sink, &stage->sink_peer);
	stage->worker.pending_bytes = 0;
}

static void large_bodies_keep_what_follows_them_too(void **state)
{
	struct stage *stage = stage_of(state);

	for (size_t body = 100000; body < 4000000; body = body * 3 + 1) {
		for (int way = 0; way < 4; way++)
			relay_large(stage, body, way & 1, way & 2);
	}
	assert_true(stage->outcomes[RELAY_AGAIN] > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_byte_that_is_taken_is_the_messages_or_given_back),
		cmocka_unit_test(large_bodies_keep_what_follows_them_too),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
