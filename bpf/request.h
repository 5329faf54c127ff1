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
#include <lanetag/decision.h>
#include "window.h"

#define REQUEST_PROBE_BYTES 8U /* of a request's start: tells HTTP/1 from HTTP/2 and TLS */
#define LOOK_AHEAD_BYTES (8U * LANETAG_PATTERN_WORDS)
#define MAX_DIGITS 15U /* of a length or a size */
#define RULES_PER_STEP 4U
#define TLS_HANDSHAKE 0x16
#define HTTP2_PREFACE 0x5448202a20495250ULL /* "PRI * HT", little endian */

enum step { STEP_ON, STEP_DONE };

struct context {
	struct __sk_buff *skb;
	struct lanetag_flow *flow;
	struct window *window;
	const struct lanetag_ruleset *ruleset;
};

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

static __always_inline void read_id(const struct context *context, __u32 field, __u32 from,
				    __u32 to)
{
	struct window *window = context->window;
	__u8 *state = &context->flow->sources[field & (LANETAG_MAX_SOURCES - 1)];

	if (from >= to)
		return; /* empty: as if it were not there */
	if (*state != LANETAG_ID_MISSING || to - from > LANETAG_MAX_VALUE) {
		*state = LANETAG_ID_UNKNOWN;
		return;
	}
	*state = LANETAG_ID_PRESENT;
	window->draw = 0;
	window->state = LANETAG_FLOW_DRAW;
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
		read_id(context, field, from, to);
	return STEP_ON;
}

/* The salt and the id, one behind the other, as the hash takes them. */
static __always_inline void join_salt_and_id(struct window *window, const struct lanetag_draw *draw)
{
	__u32 salt = draw->salt_length, length = window->value_to - window->value_from;

	if (salt > LANETAG_MAX_SALT)
		salt = LANETAG_MAX_SALT;
	if (length > LANETAG_MAX_VALUE)
		length = LANETAG_MAX_VALUE;
	window->salted_length = salt + length;
	if (salt)
		__builtin_memcpy(window->salted_id, draw->salt, LANETAG_MAX_SALT);
	for (__u32 i = 0; i < LANETAG_MAX_VALUE; i += 8) {
		if (i >= length)
			break;
		*(__u64 *)(window->salted_id + salt + i) =
			window_word(window, window->value_from + i);
	}
}

/*
 * Draws one number for the id in the window. A global function: the verifier goes through the
 * hashes once, not anew for every way that leads here. It takes only numbers, as kernels
 * before 5.12 want it. The remainder stands in the window then. 0, or -1.
 */
__attribute__((noinline)) int draw_number(__u32 index)
{
	struct window *window = own_window();
	const struct lanetag_ruleset *ruleset = current_ruleset();

	if (!window || !ruleset || index >= LANETAG_MAX_DRAWS)
		return -1;
	const struct lanetag_draw *draw = &ruleset->draws[index];
	join_salt_and_id(window, draw);
	/* Read back: however long the copy was, the verifier goes on from here with one state. */
	__u32 length = *(volatile __u32 *)&window->salted_length;
	if (length > LANETAG_MAX_SALT + LANETAG_MAX_VALUE)
		return -1;
	__u64 hash = lanetag_draw_hash(draw, window->salted_id, length);
	window->remainder = lanetag_draw_remainder(draw, hash);
	return ruleset->generation == window->generation ? 0 : -1;
}

/* One draw a step. */
static __always_inline enum step draw_numbers(const struct context *context)
{
	struct window *window = context->window;
	__u32 index = window->draw;

	if (index >= context->ruleset->draw_count || index >= LANETAG_MAX_DRAWS) {
		window->state = LANETAG_FLOW_LINE_START;
		return STEP_ON;
	}
	window->draw = index + 1;
	if (context->ruleset->draws[index].source != window->field)
		return STEP_ON;
	window->generation = context->ruleset->generation;
	if (draw_number(index))
		context->flow->generation =
			0; /* rules were swapped just now: no mark for this head */
	context->flow->remainders[index] = window->remainder;
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

/* Takes the slot for writing: its sequence becomes odd. NULL: another CPU is at it. */
static __always_inline struct lanetag_mark *mark_open(__u32 slot)
{
	struct lanetag_mark *mark = bpf_map_lookup_elem(&lane_marks, &slot);
	__u32 sequence;

	if (!mark)
		return NULL;
	if (HAS_EXCHANGE) {
		sequence = mark->sequence;
		if (sequence & 1)
			return NULL;
		if (__sync_val_compare_and_swap(&mark->sequence, sequence, sequence + 1) !=
		    sequence)
			return NULL;
	} else {
		/* A mapped value can hold no lock: the flow's of the same slot number serves. */
		struct lanetag_flow *flow = bpf_map_lookup_elem(&lane_flows, &slot);
		if (!flow)
			return NULL;
		bpf_spin_lock(&flow->lock);
		sequence = mark->sequence;
		mark->sequence = sequence | 1;
		bpf_spin_unlock(&flow->lock);
		if (sequence & 1)
			return NULL;
	}
	return mark;
}

static __always_inline enum step read_head_end(const struct context *context)
{
	struct lanetag_flow *flow = context->flow;
	const struct lanetag_ruleset *ruleset = context->ruleset;

	if (flow->chunked && flow->has_content_length)
		return lose(context, LANETAG_EVENT_AMBIGUOUS);
	if (flow->generation != ruleset->generation) {
		count_event(LANETAG_EVENT_GENERATION_CHANGED);
		return read_body_or_next(context);
	}
	__u64 hash = lanetag_connection_hash(&flow->connection);
	__u32 slot = lanetag_mark_slot(hash, flow->position);
	struct lanetag_mark *mark = mark_open(slot);
	if (!mark) {
		count_event(LANETAG_EVENT_SLOT_BUSY);
		return read_body_or_next(context);
	}
	mark->generation = ruleset->generation;
	mark->connection = flow->connection;
	mark->position = flow->position;
	mark->rule_count = ruleset->rule_count;
	context->window->mark_slot = slot;
	context->window->rule = 0;
	context->window->state = LANETAG_FLOW_MARK;
	return STEP_ON;
}

static __always_inline void count_lane(__u32 lane)
{
	__u64 *requests = bpf_map_lookup_elem(&lane_counters, &lane);

	if (requests)
		(*requests)++;
}

static __always_inline void mark_rule(const struct context *context, struct lanetag_mark *mark,
				      __u32 index)
{
	const struct lanetag_ruleset *ruleset = context->ruleset;
	const struct lanetag_rule *rule = &ruleset->rules[index & (LANETAG_MAX_RULES - 1)];
	__u32 draw = rule->draw & (LANETAG_MAX_DRAWS - 1);
	__u32 source = ruleset->draws[draw].source & (LANETAG_MAX_SOURCES - 1);
	__u8 state = context->flow->sources[source], policy = LANETAG_POLICY_NONE;
	__u32 remainder = LANETAG_NO_REMAINDER, lane = rule->untagged_lane;

	if (state == LANETAG_ID_UNKNOWN || (rule->flags & LANETAG_RULE_AGENT_ONLY) ||
	    ruleset->sources[source].kind != LANETAG_SOURCE_HEADER) {
		policy = LANETAG_POLICY_UNKNOWN;
	} else if (state == LANETAG_ID_PRESENT) {
		remainder = context->flow->remainders[draw];
		policy = lanetag_rule_policy(rule, remainder);
	}
	/* Written and read back: whichever policy it was, the verifier goes on with one state. */
	mark->policy[index & (LANETAG_MAX_RULES - 1)] = policy;
	policy = *(volatile __u8 *)&mark->policy[index & (LANETAG_MAX_RULES - 1)];
	if (policy < LANETAG_MAX_POLICIES)
		lane = rule->policies[policy & (LANETAG_MAX_POLICIES - 1)].lane;
	if (policy != LANETAG_POLICY_UNKNOWN)
		count_lane(lane);
	mark->remainder[index & (LANETAG_MAX_RULES - 1)] = remainder;
}

static __always_inline enum step write_mark(const struct context *context)
{
	struct window *window = context->window;
	struct lanetag_mark *mark = bpf_map_lookup_elem(&lane_marks, &window->mark_slot);

	if (!mark)
		return lose(context, LANETAG_EVENT_SLOT_BUSY);
	if (mark->generation != context->ruleset->generation) {
		/* The rules were swapped between two steps: a mark of both would be a wrong one. */
		mark->generation = 0;
		mark->sequence++;
		count_event(LANETAG_EVENT_GENERATION_CHANGED);
		return read_body_or_next(context);
	}
	for (__u32 i = 0; i < RULES_PER_STEP; i++) {
		__u32 index = window->rule;

		if (index >= context->ruleset->rule_count) {
			asm volatile("" ::: "memory");
			mark->sequence++;
			count_event(LANETAG_EVENT_MARKS);
			if (*(__u64 *)context->flow->sources & 0x0202020202020202ULL)
				count_event(LANETAG_EVENT_UNKNOWN_SOURCE);
			return read_body_or_next(context);
		}
		mark_rule(context, mark, index);
		window->rule = index + 1;
	}
	return STEP_ON;
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
	case LANETAG_FLOW_DRAW:
		return draw_numbers(context);
	case LANETAG_FLOW_HEAD_END:
		return read_head_end(context);
	case LANETAG_FLOW_MARK:
		return write_mark(context);
	case LANETAG_FLOW_REQUEST_START:
		return read_request_start(context);
	case LANETAG_FLOW_BODY:
		return skip_body(context);
	case LANETAG_FLOW_CHUNK_SIZE:
		return read_chunk_size(context);
	default:
		return STEP_DONE;
	}
}

static __always_inline enum step request_step(const struct context *context)
{
	if (context->window->state == LANETAG_FLOW_LINE_REST)
		return read_line_rest(context);
	return slow_step(context);
}
