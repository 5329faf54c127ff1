/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * Requests in a stream: one step of a state machine that reads request lines, heads, and bodies
 * just far enough to know where the next request begins.
 *
 * It does not judge requests, the agent does: a request that the agent refuses closes the
 * connection, and whatever was marked of it is never looked up. So only requests that the agent
 * accepts must be read exactly, and what it may read otherwise ends in UNSYNCHRONISED.
 */
#include "window.h"

#define REQUEST_PROBE_BYTES 8U /* of a request's start: tells HTTP/1 from HTTP/2 and TLS */
#define LOOK_AHEAD_BYTES (8U * LANETAG_PATTERN_WORDS)
#define MAX_DIGITS 15U /* of a length or a size */
#define TLS_HANDSHAKE 0x16
#define HTTP2_PREFACE 0x5448202a20495250ULL /* "PRI * HT", little endian */

enum step { STEP_ON, STEP_DONE };

struct context {
	struct __sk_buff *skb;
	struct lanetag_flow *flow;
	struct window *window;
	const struct lanetag_ruleset *ruleset;
};

/*
 * What a program does with what is found: at the begin of a head; with the value of a source, in
 * the window at [from, to); at the end of the head; in the states that are its own.
 */
static __always_inline void begin_head(void);
static __always_inline void take_value(const struct context *context, __u32 field, __u32 from,
				       __u32 to);
static __always_inline enum step end_head(const struct context *context);
static __always_inline enum step own_step(const struct context *context);

static __always_inline enum step lose(const struct context *context, __u32 event)
{
	context->window->state = LANETAG_FLOW_UNSYNCHRONISED;
	flow_lose(context->flow, event);
	return STEP_DONE;
}

static __always_inline enum step need_more(const struct context *context)
{
	return window_move(context->skb, context->window) ? STEP_DONE : STEP_ON;
}

static __always_inline enum step go_on(struct window *window, __u32 state, __u32 at)
{
	window->state = state;
	window->at = at;
	window->scanned = at;
	return STEP_ON;
}

static __always_inline enum step read_request_start(const struct context *context)
{
	struct window *window = context->window;
	struct lanetag_flow *flow = context->flow;

	if (window->end - window->at < REQUEST_PROBE_BYTES)
		return need_more(context);
	__u64 probe = window_word(window, window->at);
	__u8 first = (__u8)probe;
	if (first == TLS_HANDSHAKE)
		return lose(context, LANETAG_EVENT_TLS);
	if (probe == HTTP2_PREFACE)
		return lose(context, LANETAG_EVENT_HTTP2);
	/* Methods are tokens; those with odd first bytes are nobody's, an empty line is the
	 * agent's. */
	if ((first | 0x20) < 'a' || (first | 0x20) > 'z')
		return lose(context, LANETAG_EVENT_NOT_HTTP);
	flow->position = window->offset + window->at;
	flow->generation = context->ruleset->generation;
	*(__u64 *)flow->sources = 0;
	flow->chunked = 0;
	flow->has_content_length = 0;
	flow->content_length = 0;
	flow->upgrade = 0;
	flow->in_trailers = 0;
	begin_head();
	return go_on(window, LANETAG_FLOW_LINE_REST, window->at);
}

static __always_inline enum step read_line_rest(const struct context *context)
{
	struct window *window = context->window;
	__u32 at = window->at, end = window->end;

	if (at >= end)
		return need_more(context);
	__u32 length = window_find_line_feed(window, at);
	if (at + length >= end || length == SCAN_BYTES) {
		if (length > end - at)
			length = end - at;
		context->flow->last_byte = window_byte(window, at + length - 1);
		window->at = at + length;
		return STEP_ON;
	}
	__u8 before = length ? window_byte(window, at + length - 1) : context->flow->last_byte;
	if (before != '\r')
		return lose(context, LANETAG_EVENT_AMBIGUOUS);
	at += length + 1;
	window->at = at;
	/* Most lines are of no interest: those are gone through without leaving this state. */
	__u8 first = window_byte(window, at);
	if (at < end && first != '\r' && !context->ruleset->candidates[first & 31]) {
		context->flow->last_byte = 0;
		return STEP_ON;
	}
	window->scanned = at;
	window->state = LANETAG_FLOW_LINE_START;
	return STEP_ON;
}

/*
 * The hot path: passes over lines of no interest, a line or SCAN_BYTES at a time. False where it
 * takes a closer look, by the steps; nothing is changed then.
 */
static __always_inline int skim(const struct context *context)
{
	struct window *window = context->window;
	__u32 at = window->at, end = window->end;

	if (window->state != LANETAG_FLOW_LINE_REST)
		return 0;
	__u32 length = window_find_line_feed(window, at);
	if (length == SCAN_BYTES) {
		if (at + length > end)
			return 0;
		context->flow->last_byte = window_byte(window, at + length - 1);
		window->at = at + length;
		return 1;
	}
	if (length == 0 || at + length + 1 >= end || window_byte(window, at + length - 1) != '\r')
		return 0;
	at += length + 1;
	__u8 first = window_byte(window, at);
	if (first == '\r' ||
	    (context->ruleset->candidates[first & 31] && !context->flow->in_trailers))
		window->state = LANETAG_FLOW_LINE_START;
	window->at = at;
	window->scanned = at;
	return 1;
}

/* True if the line at `at` begins with the field's name and colon. */
static __always_inline int matches(const struct window *window, __u32 at,
				   const struct lanetag_pattern *pattern)
{
	for (__u32 i = 0; i < LANETAG_PATTERN_WORDS; i++) {
		if (i >= pattern->word_count)
			break;
		__u64 word = window_word(window, at + i * 8);
		if (((word | pattern->fold[i]) & pattern->mask[i]) != pattern->word[i])
			return 0;
	}
	return 1;
}

/* The field whose line begins at `at`, or LANETAG_FIELDS. */
static __always_inline __u32 match_field(const struct context *context, __u32 at, __u32 candidates)
{
	for (__u32 i = 0; i < LANETAG_FIELDS; i++) {
		if ((candidates >> i & 1) &&
		    matches(context->window, at, &context->ruleset->patterns[i]))
			return i;
	}
	return LANETAG_FIELDS;
}

/* True if the rest of the window, shorter than LOOK_AHEAD_BYTES, has the line's end. */
static __always_inline int has_line_end(const struct window *window)
{
	__u32 left = window->end - window->at;
	__u32 length = window_find_line_feed(window, window->at);

	if (length == SCAN_BYTES)
		length += window_find_line_feed(window, window->at + SCAN_BYTES);
	return length < left;
}

static __always_inline enum step read_empty_line(const struct context *context)
{
	struct window *window = context->window;

	if (window_byte(window, window->at + 1) != '\n')
		return lose(context, LANETAG_EVENT_AMBIGUOUS);
	if (context->flow->in_trailers)
		return go_on(window, LANETAG_FLOW_REQUEST_START, window->at + 2);
	return go_on(window, LANETAG_FLOW_HEAD_END, window->at + 2);
}

static __always_inline enum step read_line_start(const struct context *context)
{
	struct window *window = context->window;
	__u32 left = window->end - window->at;

	if (left < 2)
		return need_more(context);
	__u8 first = window_byte(window, window->at);
	if (first == '\r')
		return read_empty_line(context);
	__u32 candidates = context->ruleset->candidates[first & 31];
	if (!candidates || context->flow->in_trailers)
		return go_on(window, LANETAG_FLOW_LINE_REST, window->at);
	if (left < LOOK_AHEAD_BYTES) {
		if (window->next < window->limit)
			return need_more(context);
		if (!has_line_end(window))
			return STEP_DONE;
	}
	__u32 field = match_field(context, window->at, candidates);
	if (field == LANETAG_FIELDS)
		return go_on(window, LANETAG_FLOW_LINE_REST, window->at);
	window->field = field;
	return go_on(window, LANETAG_FLOW_FIELD, window->at);
}

/*
 * Looks for the end of the line at `at`, which must be in the window as a whole. Gives STEP_DONE
 * where the segment ends first, STEP_ON otherwise: *ret_end is then the line feed's position, or 0
 * if it is not found yet, or 1 if the line is longer than LANETAG_LINE_MAX.
 */
static __always_inline enum step find_line_end(const struct context *context, __u32 *ret_end)
{
	struct window *window = context->window;
	__u32 scanned = window->scanned, end = window->end;
	__u32 length = window_find_line_feed(window, scanned);

	*ret_end = 0;
	if (length < SCAN_BYTES && scanned + length < end) {
		*ret_end = scanned + length;
		return STEP_ON;
	}
	scanned += SCAN_BYTES;
	if (scanned > end)
		scanned = end;
	window->scanned = scanned;
	if (scanned - window->at >= LANETAG_LINE_MAX) {
		*ret_end = 1;
		return STEP_ON;
	}
	return scanned == end ? need_more(context) : STEP_ON;
}

static __always_inline int is_white_space(__u8 byte)
{
	return byte == ' ' || byte == '\t';
}

static __always_inline enum step begin_number(struct window *window, __u32 base)
{
	window->base = base;
	window->digits = 0;
	window->number = 0;
	window->state = LANETAG_FLOW_NUMBER;
	return STEP_ON;
}

static __always_inline enum step end_content_length(const struct context *context)
{
	struct lanetag_flow *flow = context->flow;

	if (flow->has_content_length || context->window->value_from < context->window->value_to)
		return lose(context, LANETAG_EVENT_AMBIGUOUS);
	flow->has_content_length = 1;
	flow->content_length = context->window->number;
	context->window->state = LANETAG_FLOW_LINE_START;
	return STEP_ON;
}

/* Whatever stands behind the size is a chunk extension. */
static __always_inline enum step end_chunk_size(const struct context *context)
{
	struct window *window = context->window;
	__u64 size = window->number;

	if (size == 0) {
		context->flow->in_trailers = 1;
		return go_on(window, LANETAG_FLOW_LINE_START, window->value_to);
	}
	context->flow->body_left = size + 2; /* and the CRLF behind the data */
	return go_on(window, LANETAG_FLOW_BODY, window->value_to);
}

/* A digit a step, of a Content-Length or a chunk's size. */
static __always_inline enum step read_number(const struct context *context)
{
	struct window *window = context->window;
	__u32 from = window->value_from, digit = 16;

	if (from < window->value_to) {
		__u8 byte = window_byte(window, from), letter = byte | 0x20;

		if (byte >= '0' && byte <= '9')
			digit = byte - '0';
		else if (letter >= 'a' && letter <= 'f')
			digit = letter - 'a' + 10;
	}
	if (digit < window->base) {
		window->number = window->number * window->base + digit;
		window->value_from = from + 1;
		window->digits++;
		return STEP_ON;
	}
	if (window->digits == 0 || window->digits > MAX_DIGITS)
		return lose(context, LANETAG_EVENT_AMBIGUOUS);
	return window->base == 10 ? end_content_length(context) : end_chunk_size(context);
}

static __always_inline enum step read_transfer_encoding(const struct context *context, __u32 from,
							__u32 to)
{
	struct lanetag_flow *flow = context->flow;
	/* "chunked", with the byte behind it masked away */
	__u64 word =
		(window_word(context->window, from) | 0x2020202020202020ULL) & 0xffffffffffffffULL;

	if (flow->chunked || to - from != 7 || word != 0x64656b6e756863ULL)
		return lose(context, LANETAG_EVENT_AMBIGUOUS);
	flow->chunked = 1;
	return STEP_ON;
}

static __always_inline enum step read_long_line(const struct context *context)
{
	struct window *window = context->window;

	if (window->field >= LANETAG_MAX_SOURCES)
		return lose(context, LANETAG_EVENT_AMBIGUOUS);
	context->flow->sources[window->field & (LANETAG_MAX_SOURCES - 1)] = LANETAG_ID_UNKNOWN;
	return go_on(window, LANETAG_FLOW_LINE_REST, window->at);
}

static __always_inline enum step read_field(const struct context *context)
{
	struct window *window = context->window;
	__u32 field = window->field, line_feed;

	if (find_line_end(context, &line_feed) == STEP_DONE)
		return STEP_DONE;
	if (line_feed == 0)
		return STEP_ON;
	if (line_feed == 1)
		return read_long_line(context);
	if (field >= LANETAG_FIELDS || window_byte(window, line_feed - 1) != '\r')
		return lose(context, LANETAG_EVENT_AMBIGUOUS);
	window->value_from = window->at + context->ruleset->patterns[field].length;
	window->value_to = line_feed - 1;
	return go_on(window, LANETAG_FLOW_VALUE, line_feed + 1);
}

/* Takes optional white space off the value, a byte a step, then reads it. */
static __always_inline enum step read_value(const struct context *context)
{
	struct window *window = context->window;
	__u32 from = window->value_from, to = window->value_to, field = window->field;

	if (from < to && is_white_space(window_byte(window, from))) {
		window->value_from = from + 1;
		return STEP_ON;
	}
	if (from < to && is_white_space(window_byte(window, to - 1))) {
		window->value_to = to - 1;
		return STEP_ON;
	}
	window->state = LANETAG_FLOW_LINE_START;
	if (field == LANETAG_FIELD_CONTENT_LENGTH)
		return begin_number(window, 10);
	if (field == LANETAG_FIELD_TRANSFER_ENCODING)
		return read_transfer_encoding(context, from, to);
	if (field == LANETAG_FIELD_UPGRADE)
		context->flow->upgrade = 1;
	else
		take_value(context, field, from, to);
	return STEP_ON;
}

/* What follows the head. */
static __always_inline enum step read_body_or_next(const struct context *context)
{
	struct lanetag_flow *flow = context->flow;
	struct window *window = context->window;

	if (flow->upgrade)
		return lose(context, LANETAG_EVENT_UPGRADE);
	if (flow->chunked)
		return go_on(window, LANETAG_FLOW_CHUNK_SIZE, window->at);
	if (flow->content_length) {
		flow->body_left = flow->content_length;
		return go_on(window, LANETAG_FLOW_BODY, window->at);
	}
	return go_on(window, LANETAG_FLOW_REQUEST_START, window->at);
}

static __always_inline enum step read_head_end(const struct context *context)
{
	struct lanetag_flow *flow = context->flow;

	if (flow->chunked && flow->has_content_length)
		return lose(context, LANETAG_EVENT_AMBIGUOUS);
	flow->heads++;
	if (flow->generation != context->ruleset->generation) {
		count_event(LANETAG_EVENT_GENERATION_CHANGED);
		return read_body_or_next(context);
	}
	return end_head(context);
}

static __always_inline enum step read_chunk_size(const struct context *context)
{
	struct window *window = context->window;
	__u32 line_feed;

	if (find_line_end(context, &line_feed) == STEP_DONE)
		return STEP_DONE;
	if (line_feed == 0)
		return STEP_ON;
	if (line_feed == 1 || window_byte(window, line_feed - 1) != '\r')
		return lose(context, LANETAG_EVENT_AMBIGUOUS);
	window->value_from = window->at;
	window->value_to = line_feed + 1;
	return begin_number(window, 16);
}

/* By arithmetic, also over what was not copied. */
static __always_inline enum step skip_body(const struct context *context)
{
	struct window *window = context->window;
	struct lanetag_flow *flow = context->flow;
	__u64 left = flow->body_left;
	__u32 here = window->end - window->at;

	if (left <= here) {
		flow->body_left = 0;
		return go_on(window,
			     flow->chunked ? LANETAG_FLOW_CHUNK_SIZE : LANETAG_FLOW_REQUEST_START,
			     window->at + (__u32)left);
	}
	left -= here;
	__u64 beyond = window->limit - window->next;
	if (beyond > left)
		beyond = left;
	flow->body_left = left - beyond;
	window->offset += window->end + beyond;
	window->next += (__u32)beyond;
	window->at = 0;
	window->scanned = 0;
	window->end = 0;
	window->carried = 0;
	if (!flow->body_left)
		window->state =
			flow->chunked ? LANETAG_FLOW_CHUNK_SIZE : LANETAG_FLOW_REQUEST_START;
	return window->next < window->limit ? STEP_ON : STEP_DONE;
}

/*
 * All steps but the hot one. Not inlined: what it leaves on its stack frame is gone when it
 * returns, so that the verifier sees the same state each time around the loop.
 */
static __attribute__((noinline)) enum step slow_step(const struct context *context)
{
	switch (context->window->state) {
	case LANETAG_FLOW_LINE_START:
		return read_line_start(context);
	case LANETAG_FLOW_FIELD:
		return read_field(context);
	case LANETAG_FLOW_VALUE:
		return read_value(context);
	case LANETAG_FLOW_NUMBER:
		return read_number(context);
	case LANETAG_FLOW_HEAD_END:
		return read_head_end(context);
	case LANETAG_FLOW_REQUEST_START:
		return read_request_start(context);
	case LANETAG_FLOW_BODY:
		return skip_body(context);
	case LANETAG_FLOW_CHUNK_SIZE:
		return read_chunk_size(context);
	default:
		return own_step(context);
	}
}

static __always_inline enum step request_step(const struct context *context)
{
	if (context->window->state == LANETAG_FLOW_LINE_REST)
		return read_line_rest(context);
	return slow_step(context);
}
