/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * Follows connections: from a packet to its flow, and through the steps of request.h over what of
 * it is new. A program includes this behind its own part (marking.h, noting.h) and loops in one of
 * three ways, for what kernels offer; the agent loads the first variant that the kernel takes:
 *
 *   may_goto  >= 6.9
 *   bpf_loop  >= 5.17
 *   bounded   >= 5.10, a plain loop; built apart with TAGGER_BOUNDED, which also does without the
 *             atomic exchanges that make an older kernel refuse an object
 *
 * None changes a packet or its fate: others' programs run behind it.
 */
#include "checksum.h"
#include "request.h"

#define PASS_ON (-1) /* TC_ACT_UNSPEC and TCX_NEXT */
#define MAX_STEPS 16384U

/* clang 14 has no mnemonic for may_goto: its bytes (BPF_JMP | BPF_JCOND). */
#define may_go_on                                                                             \
	({                                                                                    \
		__label__ l_stop, l_next;                                                     \
		int on = 1;                                                                   \
		asm volatile goto(                                                            \
			"1:.byte 0xe5; .byte 0; .long ((%l[l_stop] - 1b - 8) / 8) & 0xffff; " \
			".short 0" :: ::l_stop);                                              \
		goto l_next;                                                                  \
l_stop:                                                                                       \
		on = 0;                                                                       \
l_next:;                                                                                      \
		on;                                                                           \
	})

/* A SYN: follow the connection from here on. */
static __always_inline void begin(const struct packet *packet, struct lanetag_flow *flow,
				  __u64 hash)
{
	if (flow && flow->first_sequence == packet->sequence + 1 && flow->offset == 0)
		return; /* the SYN again */
	if (!flow)
		flow = flow_find_room(hash, packet->sequence);
	if (!flow || !flow_try_lock(flow)) {
		count_event(LANETAG_EVENT_CONTENDED);
		return;
	}
	flow_begin(flow, packet);
	flow_unlock(flow);
}

/*
 * A flow that lost its place finds it where the agent says that a request begins: *start moves
 * there. False: not in this segment.
 */
static __always_inline int resynchronise(struct lanetag_flow *flow, __u64 hash, __u32 *start,
					 __u32 limit)
{
	__u32 slot = lanetag_resync_slot(hash);
	__u64 *word = bpf_map_lookup_elem(&lane_resync, &slot);

	if (!word || *word >> 32 != (hash >> 32 | 1))
		return 0;
	__u32 ahead = (__u32)*word - (__u32)flow->offset;
	if (ahead >= limit - *start)
		return 0;
	*word = 0;
	*start += ahead;
	flow->offset += ahead;
	flow->next_sequence += ahead;
	flow->carried = 0;
	flow->state = LANETAG_FLOW_REQUEST_START;
	count_event(LANETAG_EVENT_RESYNCHRONISED);
	return 1;
}

/*
 * Brings the flow to the segment: passes over what was seen, notes what is missing. The offset in
 * the packet of the first byte to read, or 0: nothing to read.
 */
static __always_inline __u32 line_up(struct lanetag_flow *flow, const struct packet *packet,
				     __u64 hash)
{
	__u32 sequence = packet->sequence + packet->syn, start = packet->payload;
	__s32 ahead = (__s32)(sequence - flow->next_sequence);

	if (ahead < 0) {
		__u32 seen = (__u32)-ahead;
		if (seen >= packet->end - start) {
			count_event(LANETAG_EVENT_RETRANSMISSION);
			return 0;
		}
		start += seen;
	} else if (ahead > 0) {
		flow->next_sequence += (__u32)ahead;
		flow->offset += (__u32)ahead;
		if (flow->state != LANETAG_FLOW_UNSYNCHRONISED)
			flow_lose(flow, LANETAG_EVENT_GAP);
	}
	if (flow->contended) {
		flow->contended = 0;
		flow_lose(flow, LANETAG_EVENT_CONTENDED);
	}
	if (flow->state == LANETAG_FLOW_UNSYNCHRONISED &&
	    !resynchronise(flow, hash, &start, packet->end)) {
		__u32 length = packet->end - start;

		flow->next_sequence += length;
		flow->offset += length;
		return 0;
	}
	return start;
}

/* Sets everything up to read the packet; 0, or -1: there is nothing to read and the flow is
 * unlocked. */
static __always_inline int prepare(struct __sk_buff *skb, struct context *context)
{
	struct packet packet = {0};
	__u32 slot = 0;

	if (packet_parse(skb, &packet))
		return -1;
	int is_empty = packet.payload == packet.end && !packet.fin && !packet.rst && !packet.syn;
	/* TCP takes nothing without an acknowledgement but what opens or resets a connection. */
	if (is_empty || (!packet.ack && !packet.syn && !packet.rst) ||
	    !packet_is_whole(skb, &packet))
		return -1;
	__u64 hash = lanetag_connection_hash(&packet.connection);
	struct lanetag_flow *flow = flow_find(&packet.connection, hash, &slot);
	if (packet.syn && !packet.ack) {
		begin(&packet, flow, hash);
		if (packet.payload == packet.end)
			return -1;
		flow = flow_find(&packet.connection, hash, &slot);
	}
	if (!flow) {
		if (packet.payload < packet.end)
			count_event(LANETAG_EVENT_NOT_FOLLOWED);
		return -1;
	}
	if (!flow_try_lock(flow)) {
		flow->contended = 1;
		return -1;
	}
	/* Between finding and locking, a new connection may have taken the slot. */
	if (!lanetag_connection_equal(&flow->connection, &packet.connection))
		goto leave;
	if (packet.rst || packet.payload == packet.end) {
		flow->state = LANETAG_FLOW_FREE;
		goto leave;
	}
	__u32 start = line_up(flow, &packet, hash);
	context->skb = skb;
	context->flow = flow;
	context->window = own_window();
	context->ruleset = current_ruleset();
	if (!start)
		goto leave;
	if (!context->window || !context->ruleset) {
		flow_lose(flow, LANETAG_EVENT_NOT_FOLLOWED);
		flow->next_sequence += packet.end - start;
		flow->offset += packet.end - start;
		goto leave;
	}
	window_begin(context->window, flow, start, packet.end);
	context->window->fin = packet.fin;
	context->window->flow_slot = slot;
	flow->next_sequence += packet.end - start;
	flow->offset += packet.end - start;
	window_load(skb, context->window);
	begin_segment(context);
	return 0;
leave:
	flow_unlock(flow);
	return -1;
}

/* Leaves the flow as the next segment shall find it. */
static __always_inline void finish(const struct context *context)
{
	struct window *window = context->window;
	struct lanetag_flow *flow = context->flow;
	__u32 state = window->state;

	if (state == LANETAG_FLOW_FIELD)
		state = LANETAG_FLOW_LINE_START; /* looked at again when there is more of it */
	flow->carried = 0;
	end_segment(context);
	if (state == LANETAG_FLOW_UNSYNCHRONISED) {
		flow->state = state;
	} else if (window->next < window->limit ||
		   (state >= LANETAG_FLOW_VALUE && state <= LANETAG_FLOW_MARK)) {
		flow_lose(flow, LANETAG_EVENT_TOO_MANY_STEPS);
	} else {
		flow->state = state;
		if (window->at < window->end)
			window_leave(window, flow);
	}
	if (window->fin)
		flow->state = LANETAG_FLOW_FREE;
	flow_unlock(flow);
}

/* What a global function works on, as prepare left it. 0, or -1: it isn't there any more. */
static __always_inline int own_context(struct __sk_buff *skb, struct context *context)
{
	context->skb = skb;
	context->window = own_window();
	context->ruleset = current_ruleset();
	if (!context->window || !context->ruleset)
		return -1;
	__u32 slot = context->window->flow_slot;
	context->flow = bpf_map_lookup_elem(&lane_flows, &slot);
	return context->flow ? 0 : -1;
}

/*
 * One step, as a global function: the verifier goes through it once, not anew for each way around
 * the loop that calls it. It takes no pointer but the packet, as kernels before 5.12 want it.
 */
__attribute__((noinline)) int take_step(struct __sk_buff *skb)
{
	struct context context;

	return own_context(skb, &context) ? STEP_DONE : request_step(&context);
}

#ifdef TAGGER_BOUNDED

/* The verifier walks through every round: more than 8192 exits it does not remember. */
#define BOUNDED_STEPS 4096U

static __always_inline int follow_bounded(struct __sk_buff *skb)
{
	struct context context = {0};

	if (prepare(skb, &context))
		return PASS_ON;
	for (__u32 i = 0; i < BOUNDED_STEPS; i++) {
		if (take_step(skb) == STEP_DONE)
			break;
	}
	finish(&context);
	return PASS_ON;
}

#else

/*
 * Lines of no interest, as many as there are. In a loop of its own: with the other steps in one,
 * the verifier of Linux 6.12 comes to no end.
 */
__attribute__((noinline)) int skim_lines(struct __sk_buff *skb)
{
	struct context context;

	if (own_context(skb, &context))
		return 0;
	while (may_go_on) {
		if (!skim(&context))
			break;
	}
	return 0;
}

/* All steps. Global for the same reason: it begins with one state, not with all of prepare's. */
__attribute__((noinline)) int read_on(struct __sk_buff *skb)
{
	const struct window *window = own_window();

	if (!window)
		return STEP_DONE;
	while (may_go_on) {
		if (window->state == LANETAG_FLOW_LINE_REST)
			skim_lines(skb);
		if (take_step(skb) == STEP_DONE)
			break;
	}
	return STEP_DONE;
}

static __always_inline int follow_may_goto(struct __sk_buff *skb)
{
	struct context context = {0};

	if (prepare(skb, &context))
		return PASS_ON;
	read_on(skb);
	finish(&context);
	return PASS_ON;
}

static long loop_step(__u32 index, struct __sk_buff **skb)
{
	(void)index;
	return take_step(*skb) == STEP_DONE;
}

static __always_inline int follow_bpf_loop(struct __sk_buff *skb)
{
	struct context context = {0};

	if (prepare(skb, &context))
		return PASS_ON;
	bpf_loop(MAX_STEPS, loop_step, &context.skb, 0);
	finish(&context);
	return PASS_ON;
}

#endif
