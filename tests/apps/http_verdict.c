/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Reads what a client might send and says what user/http makes of it, without sockets: the requests
 * that it sees, how it ends, and the bytes that the next hop would get.
 *
 * Standard input: cases, each a line with its length in bytes, then these bytes. Standard output,
 * for each case: "METHOD TARGET BODY-LENGTH BODY-HASH" lines, then "end STATE REASON" and
 * "forwarded LENGTH" with that many bytes and a line feed behind them. States: done, closed,
 * tunnel, more, refused. Each case is also fed cut at every byte and byte by byte: "cut POSITION"
 * in front of "end" names a cut that changed anything.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/number.h"
#include "http/chunked.h"
#include "http/edit.h"

#define MAXIMUM_CASE (1 << 20)

enum stage { STAGE_HEAD, STAGE_BODY, STAGE_TRAILERS, STAGE_END };

struct session {
	enum stage stage;
	const char *data; /* of the whole case, as far as it has come */
	size_t length;
	size_t at;	/* done with */
	size_t scanned; /* from `at` */
	bool keep_alive;
	uint64_t body_left;
	struct http_chunked chunked;
	bool is_chunked;
	uint64_t body_length, body_hash;
	const char *state; /* why it ended */
	const char *reason;
	char line[70000]; /* of the request under way */
	struct buffer report, forwarded;
};

static void end(struct session *session, const char *state, const char *reason)
{
	session->stage = STAGE_END;
	session->state = state;
	session->reason = reason;
}

static void end_request(struct session *session)
{
	buffer_printf(&session->report, "%s %llu %08llx\n", session->line,
		      (unsigned long long)session->body_length,
		      (unsigned long long)(session->body_hash & 0xffffffff));
	session->stage = STAGE_HEAD;
	session->scanned = 0;
	if (!session->keep_alive)
		end(session, "closed", "");
}

static void take_content(struct session *session, const char *data, size_t length)
{
	for (size_t i = 0; i < length; i++) /* FNV-1a, as the peers' recorders do */
		session->body_hash =
			(uint32_t)((session->body_hash ^ (unsigned char)data[i]) * 16777619);
	session->body_length += length;
}

static void forward_head(struct session *session, const struct http_request_head *head)
{
	static struct http_edit edit;

	http_edit_start(&edit, head);
	http_edit_remove_hop_by_hop(&edit);
	http_edit_append(&edit, &session->forwarded);
	snprintf(session->line, sizeof(session->line), "%.*s %.*s%s%.*s",
		 SPAN_ARGUMENTS(head->method), SPAN_ARGUMENTS(head->path),
		 head->query.data ? "?" : "", SPAN_ARGUMENTS(head->query));
}

static bool step_head(struct session *session)
{
	static struct http_request_head head;
	struct http_refusal refusal;
	size_t length = session->length - session->at;
	enum http_parse parse =
		http_request_parse(session->data + session->at, length, session->scanned,
				   &http_default_limits, &head, &refusal);

	session->scanned = length;
	if (parse == HTTP_PARSE_MORE)
		return false;
	if (parse == HTTP_PARSE_REFUSED) {
		end(session, "refused", refusal.reason);
		return false;
	}
	forward_head(session, &head);
	session->at += head.length;
	session->scanned = 0;
	session->keep_alive = head.keep_alive;
	session->body_left = head.content_length;
	session->is_chunked = head.framing == HTTP_FRAMING_CHUNKED;
	session->chunked = (struct http_chunked){0};
	session->body_length = 0;
	session->body_hash = 2166136261;
	session->stage = STAGE_BODY;
	if (head.framing == HTTP_FRAMING_NONE)
		end_request(session);
	if (head.upgrade)
		end(session, "tunnel", "");
	return true;
}

static bool step_length(struct session *session)
{
	size_t length = session->length - session->at;

	if (length > session->body_left)
		length = (size_t)session->body_left;
	take_content(session, session->data + session->at, length);
	buffer_append(&session->forwarded, session->data + session->at, length);
	session->at += length;
	session->body_left -= length;
	if (session->body_left)
		return false;
	end_request(session);
	return true;
}

static bool step_chunked(struct session *session)
{
	const char *data = session->data + session->at;
	size_t taken;
	enum http_chunk_piece piece =
		http_chunked_next(&session->chunked, data, session->length - session->at, &taken);

	if (piece == HTTP_CHUNK_DATA)
		take_content(session, data, taken);
	buffer_append(&session->forwarded, data, taken);
	session->at += taken;
	if (piece == HTTP_CHUNK_TRAILERS)
		session->stage = STAGE_TRAILERS;
	if (piece == HTTP_CHUNK_INVALID)
		end(session, "refused", "malformed chunk");
	return piece != HTTP_CHUNK_MORE && piece != HTTP_CHUNK_INVALID;
}

static bool step_trailers(struct session *session)
{
	struct http_trailers trailers;
	struct http_refusal refusal;
	size_t length = session->length - session->at;
	enum http_parse parse = http_trailers_parse(session->data + session->at, length,
						    session->scanned, &trailers, &refusal);

	session->scanned = length;
	if (parse == HTTP_PARSE_MORE)
		return false;
	if (parse == HTTP_PARSE_REFUSED) {
		end(session, "refused", "malformed trailers");
		return false;
	}
	http_trailers_write(&trailers, NULL, NULL, &session->forwarded);
	session->at += trailers.length;
	end_request(session);
	return true;
}

/* One more run of bytes has come. */
static void feed(struct session *session, size_t length)
{
	bool goes_on = true;

	session->length = length;
	while (goes_on) {
		switch (session->stage) {
		case STAGE_HEAD:
			goes_on = session->at < session->length && step_head(session);
			break;
		case STAGE_BODY:
			goes_on =
				session->is_chunked ? step_chunked(session) : step_length(session);
			break;
		case STAGE_TRAILERS:
			goes_on = step_trailers(session);
			break;
		case STAGE_END:
			goes_on = false;
		}
	}
}

/* No more will come. A fault in what is there is found at the latest now. */
static void finish(struct session *session)
{
	session->scanned = 0;
	feed(session, session->length);
	if (session->stage == STAGE_HEAD && session->at == session->length)
		end(session, "done", "");
	else if (session->stage != STAGE_END)
		end(session, "more", session->stage == STAGE_HEAD ? "in a head" : "in a body");
}

static void start(struct session *session, const char *data)
{
	struct buffer report = session->report, forwarded = session->forwarded;

	buffer_clear(&report);
	buffer_clear(&forwarded);
	*session = (struct session){.data = data, .report = report, .forwarded = forwarded};
}

static bool is_same(const struct session *a, const struct session *b)
{
	/* How much of a body went out before its fault was seen may differ: it never ends there. */
	return strcmp(a->state, b->state) == 0 && strcmp(a->reason, b->reason) == 0 &&
	       span_equal(buffer_span(&a->report), buffer_span(&b->report)) &&
	       (strcmp(a->state, "refused") == 0 ||
		span_equal(buffer_span(&a->forwarded), buffer_span(&b->forwarded)));
}

static void judge(const char *data, size_t length)
{
	static struct session whole, cut;

	start(&whole, data);
	feed(&whole, length);
	finish(&whole);
	fwrite(whole.report.data, 1, whole.report.length, stdout);
	for (size_t at = 0; at <= length; at++) {
		start(&cut, data);
		for (size_t part = 1; at == 0 && part < length; part++)
			feed(&cut, part); /* byte by byte */
		if (at)
			feed(&cut, at);
		feed(&cut, length);
		finish(&cut);
		if (!is_same(&whole, &cut))
			printf("cut %zu\n", at);
	}
	printf("end %s %s\nforwarded %zu\n", whole.state, whole.reason, whole.forwarded.length);
	fwrite(whole.forwarded.data, 1, whole.forwarded.length, stdout);
	putchar('\n');
}

int main(void)
{
	static char data[MAXIMUM_CASE];
	char line[32];

	while (fgets(line, sizeof(line), stdin)) {
		uint64_t length;

		line[strcspn(line, "\n")] = '\0';
		if (parse_unsigned(span_of(line), MAXIMUM_CASE, &length) != 0 ||
		    fread(data, 1, length, stdin) != length) {
			fprintf(stderr, "http_verdict: malformed input\n");
			return 1;
		}
		judge(data, length);
	}
	return 0;
}
