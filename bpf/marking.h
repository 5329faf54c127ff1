/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* The tagger's part: draws numbers for ids, decides by the rules, writes the mark. */
#include <lanetag/decision.h>
#include <lanetag/lanes.h>
#include "counters.h"
#include "request.h"

#define RULES_PER_STEP 4U

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, LANETAG_MARK_SLOTS);
	__type(key, __u32);
	__type(value, struct lanetag_mark);
} lane_marks SEC(".maps");

/* Requests per lane. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, LANETAG_MAX_LANES);
	__type(key, __u32);
	__type(value, __u64);
} lane_counters SEC(".maps");

/* For people who dump the maps, and for programs that read marks: which lane is which. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, LANETAG_MAX_LANES);
	__type(key, __u32);
	__type(value, struct lanetag_lane_name);
} lane_names SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, LANETAG_GENERATIONS);
	__type(key, __u32);
	__type(value, struct lanetag_generation);
} lane_generations SEC(".maps");

static __always_inline void take_value(const struct context *context, __u32 field, __u32 from,
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

static __always_inline enum step end_head(const struct context *context)
{
	struct lanetag_flow *flow = context->flow;
	const struct lanetag_ruleset *ruleset = context->ruleset;
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
	count_in(&lane_counters, lane);
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

static __always_inline enum step own_step(const struct context *context)
{
	switch (context->window->state) {
	case LANETAG_FLOW_DRAW:
		return draw_numbers(context);
	case LANETAG_FLOW_MARK:
		return write_mark(context);
	default:
		return STEP_DONE;
	}
}

static __always_inline void begin_head(void)
{
}

/* Before a segment of the flow is read; after all of it was. */
static __always_inline void begin_segment(const struct context *context)
{
	(void)context;
}

/* A mark that was not written to its end must not keep its slot: it is emptied. */
static __always_inline void mark_abandon(const struct window *window)
{
	__u32 slot = window->mark_slot;
	struct lanetag_mark *mark = bpf_map_lookup_elem(&lane_marks, &slot);

	if (!mark)
		return;
	mark->generation = 0;
	asm volatile("" ::: "memory");
	mark->sequence++;
}

static __always_inline void end_segment(const struct context *context)
{
	if (context->window->state == LANETAG_FLOW_MARK)
		mark_abandon(context->window);
}
