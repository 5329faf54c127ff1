/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * The arrivals' part: keeps `baggage` and the ids of a head until its end, then notes the former
 * under each of the latter. Where it cannot tell the tags it says so in the entry: an id that
 * passed by unnoted could be taken for another request's.
 */
#include <linux/errno.h>
#include <lanetag/arrival.h>
#include <lanetag/call.h>
#include <lanetag/flow.h>

const volatile struct lanetag_arrival_settings settings = {LANETAG_FLOW_SLOTS - 1, 0};
#define FLOW_SLOTS (settings.flow_mask + 1)

#include "counters.h"
#include "deliveries.h"
#include "request.h"

#define CUT_HEADS 1024

/* What was found of the head under way, by source. */
struct findings {
	__u32 length[LANETAG_MAX_SOURCES]; /* of BAGGAGE: the tags', else the ids' */
	__u64 tags[LANETAG_ARRIVAL_TAG_WORDS];
	__u64 ids[LANETAG_MAX_SOURCES][LANETAG_ARRIVAL_ID_WORDS];
};

/* Which head of more than one segment, between two of them. */
struct cut_head {
	__u64 began_ns; /* the flow's: a slot has many, one after the other */
	__u64 offset;	/* where the next segment begins: what was not kept is not found */
	__u32 flow_slot;
	__u32 reserved; /* 0 */
};

struct head {
	struct findings found;
	struct cut_head cut;
	struct lanetag_arrival_key key;
	struct lanetag_arrival arrival;
	struct lanetag_delivery delivery;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct head);
} lane_head SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, CUT_HEADS);
	__type(key, struct cut_head);
	__type(value, struct findings);
} lane_cut_heads SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1); /* as many as the agent says */
	__type(key, struct lanetag_arrival_key);
	__type(value, struct lanetag_arrival);
} lane_arrivals SEC(".maps");

/* By enum lanetag_arrival_count. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, LANETAG_ARRIVAL_COUNTS);
	__type(key, __u32);
	__type(value, __u64);
} lane_arrival_counts SEC(".maps");

/* The state of this program: the ids of a head are noted, one a step. */
#define STATE_NOTE LANETAG_FLOW_MARK

static __always_inline void count_arrival(__u32 which)
{
	count_in(&lane_arrival_counts, which);
}

static __always_inline struct head *own_head(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&lane_head, &zero);
}

static __always_inline void begin_head(void)
{
	struct head *head = own_head();

	if (head)
		__builtin_memset(head->found.length, 0, sizeof(head->found.length));
}

/*
 * Copies a value of at least one byte out of the window; ids in lower case. A global function: the
 * verifier goes through the copy once. It takes only numbers, as kernels before 5.12 want it.
 */
__attribute__((noinline)) int keep_value(__u32 place, __u32 from, __u32 length)
{
	const struct window *window = own_window();
	struct head *head = own_head();

	if (!window || !head || place >= LANETAG_MAX_SOURCES || !length)
		return -1;
	if (place == LANETAG_ARRIVAL_BAGGAGE) {
		__builtin_memset(head->found.tags, 0, sizeof(head->found.tags));
		for (__u32 i = 0; i < LANETAG_ARRIVAL_TAG_WORDS; i++) {
			if (i * 8 >= length)
				break;
			head->found.tags[i] = window_word(window, from + i * 8);
		}
		__u32 last = (length - 1) / 8 & (LANETAG_ARRIVAL_TAG_WORDS - 1);
		head->found.tags[last] =
			lanetag_first_bytes(head->found.tags[last], length - last * 8);
	} else {
		__u64 *id = head->found.ids[place];

		__builtin_memset(id, 0, LANETAG_ARRIVAL_MAX_ID);
		for (__u32 i = 0; i < LANETAG_ARRIVAL_ID_WORDS; i++) {
			if (i * 8 >= length)
				break;
			id[i] = lanetag_fold_word(window_word(window, from + i * 8));
		}
		__u32 last = (length - 1) / 8 & (LANETAG_ARRIVAL_ID_WORDS - 1);
		id[last] = lanetag_first_bytes(id[last], length - last * 8);
	}
	head->found.length[place] = length;
	return 0;
}

static __always_inline int same_tags(const struct lanetag_arrival *a,
				     const struct lanetag_arrival *b)
{
	__u64 difference = a->length ^ b->length;

	for (__u32 i = 0; i < LANETAG_ARRIVAL_TAG_WORDS; i++)
		difference |= a->tags[i] ^ b->tags[i];
	return difference == 0;
}

/* Meets an entry: its tags stay as long as it does, whatever comes; the agent ends it by age. */
static __always_inline void meet(struct lanetag_arrival *known, const struct lanetag_arrival *fresh)
{
	known->seen_ns = fresh->seen_ns;
	if (!fresh->ambiguous && !known->ambiguous && same_tags(known, fresh)) {
		count_arrival(LANETAG_ARRIVAL_SEEN_AGAIN);
		return;
	}
	if (!known->ambiguous)
		count_arrival(LANETAG_ARRIVAL_AMBIGUOUS);
	known->ambiguous = 1;
}

/* Global, too, for the verifier's sake. */
__attribute__((noinline)) int sign_arrival(void)
{
	struct head *head = own_head();

	if (head)
		head->arrival.check = lanetag_arrival_check(&head->key, &head->arrival);
	return 0;
}

/* Puts the head's entry into the map; head->key and head->arrival are filled but for time and
 * check. */
static __always_inline void put_arrival(struct head *head)
{
	struct lanetag_arrival *fresh = &head->arrival;

	fresh->seen_ns = bpf_ktime_get_ns();
	sign_arrival();
	struct lanetag_arrival *known = bpf_map_lookup_elem(&lane_arrivals, &head->key);
	if (known) {
		meet(known, fresh);
		return;
	}
	long error = bpf_map_update_elem(&lane_arrivals, &head->key, fresh, BPF_NOEXIST);
	if (!error) {
		count_arrival(LANETAG_ARRIVAL_NOTED);
		return;
	}
	/* Another CPU has just noted a request with the id. */
	known = error == -EEXIST ? bpf_map_lookup_elem(&lane_arrivals, &head->key) : NULL;
	if (known)
		meet(known, fresh);
	else
		count_arrival(LANETAG_ARRIVAL_NO_ROOM);
}

/* Of the id of one source, see lanetag_id_substance. Global, so that its stack is small. */
__attribute__((noinline)) int has_substance(__u32 source)
{
	const struct head *head = own_head();
	__u64 substance = 0;

	if (!head || source >= LANETAG_MAX_SOURCES)
		return 0;
#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < LANETAG_ARRIVAL_ID_WORDS; i++)
		substance |= lanetag_id_substance(head->found.ids[source][i]);
	return substance != 0;
}

/* Notes the id of one source. A global function, as keep_value. */
__attribute__((noinline)) int note_id(__u32 source)
{
	const struct lanetag_ruleset *ruleset = current_ruleset();
	const struct window *window = own_window();
	struct head *head = own_head();

	/* Without a length: there, but never kept, longer than any id that is looked up. */
	if (!ruleset || !window || !head || source >= LANETAG_MAX_SOURCES ||
	    !head->found.length[source])
		return -1;
	if (!has_substance(source))
		return 0;
	__u32 slot = window->flow_slot;
	const struct lanetag_flow *flow = bpf_map_lookup_elem(&lane_flows, &slot);
	if (!flow)
		return -1;
	__u8 tags = flow->sources[LANETAG_ARRIVAL_BAGGAGE];
	head->arrival.ambiguous =
		tags == LANETAG_ID_UNKNOWN || flow->sources[source] == LANETAG_ID_UNKNOWN;
	if (tags == LANETAG_ID_PRESENT) {
		head->arrival.length = head->found.length[LANETAG_ARRIVAL_BAGGAGE];
		__builtin_memcpy(head->arrival.tags, head->found.tags, LANETAG_ARRIVAL_MAX_TAGS);
	} else {
		head->arrival.length = 0;
		__builtin_memset(head->arrival.tags, 0, LANETAG_ARRIVAL_MAX_TAGS);
	}
	head->key.space = ruleset->sources[source].space;
	head->key.length = (__u8)head->found.length[source];
	__builtin_memcpy(head->key.pod_address, flow->connection.local_address, 16);
	__builtin_memcpy(head->key.id, head->found.ids[source], sizeof(head->key.id));
	put_arrival(head);
	return 0;
}

static __always_inline void keep_tags(const struct context *context, __u32 from, __u32 length)
{
	__u8 *state = &context->flow->sources[LANETAG_ARRIVAL_BAGGAGE];

	if (*state != LANETAG_ID_MISSING || length > LANETAG_ARRIVAL_MAX_TAGS) {
		*state = LANETAG_ID_UNKNOWN;
		return;
	}
	*state = LANETAG_ID_PRESENT;
	keep_value(LANETAG_ARRIVAL_BAGGAGE, from, length);
}

/*
 * A second field of the same name: the first one's id is noted as nobody's now, and this one's in
 * its place at the end of the head.
 */
static __always_inline void keep_id(const struct context *context, __u32 field, __u32 from,
				    __u32 length)
{
	__u8 *state = &context->flow->sources[field & (LANETAG_MAX_SOURCES - 1)];

	if (*state == LANETAG_ID_MISSING) {
		*state = LANETAG_ID_PRESENT;
	} else {
		if (*state == LANETAG_ID_PRESENT)
			count_arrival(LANETAG_ARRIVAL_ID_TWICE);
		*state = LANETAG_ID_UNKNOWN;
		note_id(field);
	}
	keep_value(field, from, length);
}

static __always_inline void take_value(const struct context *context, __u32 field, __u32 from,
				       __u32 to)
{
	struct window *window = context->window;
	__u32 length;

	if (from >= to)
		return;
	if (field == LANETAG_ARRIVAL_BAGGAGE) {
		keep_tags(context, from, to - from);
		return;
	}
	from += lanetag_id_part(context->ruleset->sources[field & (LANETAG_MAX_SOURCES - 1)].form,
				to - from, window_byte(window, from + 2),
				window_byte(window, from + 16), window_byte(window, from + 32),
				window_byte(window, from + 35), &length);
	if (length > LANETAG_ARRIVAL_MAX_ID)
		count_arrival(LANETAG_ARRIVAL_ID_TOO_LONG);
	else if (length)
		keep_id(context, field, from, length);
}

/*
 * For the thread that will receive it. The head ends at the window's place. Global, as keep_value.
 */
__attribute__((noinline)) int note_delivery(void)
{
	const struct window *window = own_window();
	struct head *head = own_head();

	if (!window || !head)
		return -1;
	__u32 slot = window->flow_slot;
	const struct lanetag_flow *flow = bpf_map_lookup_elem(&lane_flows, &slot);
	if (!flow)
		return -1;
	struct lanetag_delivery *delivery = &head->delivery;
	__u8 tags = flow->sources[LANETAG_ARRIVAL_BAGGAGE];
	delivery->number = flow->heads;
	delivery->end_sequence = flow->first_sequence + (__u32)window->offset + window->at;
	delivery->known = tags != LANETAG_ID_UNKNOWN;
	delivery->length = 0;
	if (tags == LANETAG_ID_PRESENT)
		delivery->length = head->found.length[LANETAG_ARRIVAL_BAGGAGE];
	__builtin_memcpy(delivery->tags, head->found.tags, LANETAG_ARRIVAL_MAX_TAGS);
	bpf_map_update_elem(&lane_deliveries, &flow->connection, delivery, BPF_ANY);
	return 0;
}

static __always_inline enum step end_head(const struct context *context)
{
	count_arrival(LANETAG_ARRIVAL_REQUESTS);
	if (settings.deliveries)
		note_delivery();
	if (!(*(__u64 *)context->flow->sources >> 8)) {
		count_arrival(LANETAG_ARRIVAL_WITHOUT_ID);
		return read_body_or_next(context);
	}
	if (context->flow->sources[LANETAG_ARRIVAL_BAGGAGE] == LANETAG_ID_UNKNOWN)
		count_arrival(LANETAG_ARRIVAL_TAGS_UNKNOWN);
	context->window->rule = LANETAG_ARRIVAL_BAGGAGE + 1;
	context->window->state = STATE_NOTE;
	return STEP_ON;
}

/* One id a step. */
static __always_inline enum step note_ids(const struct context *context)
{
	struct window *window = context->window;
	__u32 source = window->rule;

	if (source >= LANETAG_MAX_SOURCES)
		return read_body_or_next(context);
	window->rule = source + 1;
	if (context->flow->sources[source & (LANETAG_MAX_SOURCES - 1)] != LANETAG_ID_MISSING)
		note_id(source);
	return STEP_ON;
}

static __always_inline enum step own_step(const struct context *context)
{
	return context->window->state == STATE_NOTE ? note_ids(context) : STEP_DONE;
}

/* True in the middle of a head. */
static __always_inline int in_head(const struct lanetag_flow *flow, __u32 state)
{
	return (state == LANETAG_FLOW_LINE_START || state == LANETAG_FLOW_LINE_REST ||
		state == LANETAG_FLOW_FIELD) &&
	       !flow->in_trailers;
}

static __always_inline int has_findings(const struct lanetag_flow *flow)
{
	return *(const __u64 *)flow->sources != 0;
}

/* Not on the stack: kernels before 5.12 count that of the deepest call in. */
static __always_inline struct cut_head *cut_head_of(const struct context *context,
						    struct head *head, __u64 offset)
{
	head->cut.began_ns = context->flow->began_ns;
	head->cut.offset = offset;
	head->cut.flow_slot = context->window->flow_slot;
	return &head->cut;
}

/* Goes on with a head of which the segment before had the begin. */
static __always_inline void begin_segment(const struct context *context)
{
	struct lanetag_flow *flow = context->flow;
	struct head *head = own_head();

	if (!head || !in_head(flow, flow->state))
		return;
	if (!has_findings(flow)) {
		begin_head(); /* what this processor has is of another connection */
		return;
	}
	const struct cut_head *key =
		cut_head_of(context, head, context->window->offset + context->window->carried);
	const struct findings *found = bpf_map_lookup_elem(&lane_cut_heads, key);
	if (found) {
		__builtin_memcpy(&head->found, found, sizeof(*found));
		bpf_map_delete_elem(&lane_cut_heads, key);
		return;
	}
	count_arrival(LANETAG_ARRIVAL_HEAD_LOST);
	begin_head();
	*(__u64 *)flow->sources = 0;
	flow->sources[LANETAG_ARRIVAL_BAGGAGE] = LANETAG_ID_UNKNOWN;
}

static __always_inline void end_segment(const struct context *context)
{
	struct lanetag_flow *flow = context->flow;
	struct head *head = own_head();

	if (!head || !in_head(flow, context->window->state) || !has_findings(flow))
		return;
	bpf_map_update_elem(&lane_cut_heads, cut_head_of(context, head, flow->offset), &head->found,
			    BPF_ANY);
}
