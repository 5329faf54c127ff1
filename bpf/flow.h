/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * The table of flows: a connection may stand in one of LANETAG_FLOW_PROBES slots. A new connection
 * that finds them all taken takes one over: its owner is then not followed any more, and the agent
 * decides for it.
 */
#include "maps.h"
#include "packet.h"

/* Kernels before 5.12 have no atomic exchange; see tagger_bounded.bpf.c. */
#ifdef TAGGER_BOUNDED
#define HAS_EXCHANGE 0
#else
#define HAS_EXCHANGE 1
#endif

/*
 * One CPU at a time works on a flow. Without an exchange a spin lock is held around the flag
 * instead (not for the whole work: a program may not call helpers under it).
 */
static __always_inline int flow_try_lock(struct lanetag_flow *flow)
{
	__u32 was;

	if (HAS_EXCHANGE) {
		was = __sync_lock_test_and_set(&flow->busy, 1);
	} else {
		bpf_spin_lock(&flow->lock);
		was = flow->busy;
		flow->busy = 1;
		bpf_spin_unlock(&flow->lock);
	}
	return was == 0;
}

static __always_inline void flow_unlock(struct lanetag_flow *flow)
{
	if (HAS_EXCHANGE) {
		__sync_lock_test_and_set(&flow->busy, 0);
	} else {
		bpf_spin_lock(&flow->lock);
		flow->busy = 0;
		bpf_spin_unlock(&flow->lock);
	}
}

static __always_inline void flow_lose(struct lanetag_flow *flow, __u32 event)
{
	flow->state = LANETAG_FLOW_UNSYNCHRONISED;
	flow->lost_by = event;
	flow->carried = 0;
	count_event(event);
}

/* A program whose table has another size says how many slots it has. */
#ifndef FLOW_SLOTS
#define FLOW_SLOTS LANETAG_FLOW_SLOTS
#endif

static __always_inline __u32 flow_number(__u64 hash, __u32 probe)
{
	return lanetag_flow_slot(hash, probe, FLOW_SLOTS);
}

static __always_inline struct lanetag_flow *flow_slot(__u64 hash, __u32 probe)
{
	__u32 slot = flow_number(hash, probe);

	return bpf_map_lookup_elem(&lane_flows, &slot);
}

/* The connection's flow, or NULL: its start was not seen. */
static __always_inline struct lanetag_flow *flow_find(const struct lanetag_connection *connection,
						      __u64 hash, __u32 *ret_slot)
{
	for (__u32 probe = 0; probe < LANETAG_FLOW_PROBES; probe++) {
		struct lanetag_flow *flow = flow_slot(hash, probe);

		if (flow && flow->state != LANETAG_FLOW_FREE &&
		    lanetag_connection_equal(&flow->connection, connection)) {
			*ret_slot = flow_number(hash, probe);
			return flow;
		}
	}
	return NULL;
}

/* A slot for a new connection, not locked: a free one, else one of another's. */
static __always_inline struct lanetag_flow *flow_find_room(__u64 hash, __u32 sequence)
{
	for (__u32 probe = 0; probe < LANETAG_FLOW_PROBES; probe++) {
		struct lanetag_flow *flow = flow_slot(hash, probe);

		if (flow && flow->state == LANETAG_FLOW_FREE)
			return flow;
	}
	count_event(LANETAG_EVENT_TABLE_FULL);
	return flow_slot(hash, sequence & (LANETAG_FLOW_PROBES - 1));
}

/* The caller holds the lock. */
static __always_inline void flow_begin(struct lanetag_flow *flow, const struct packet *packet)
{
	flow->connection = packet->connection;
	flow->first_sequence = packet->sequence + 1;
	flow->next_sequence = packet->sequence + 1;
	flow->began_ns = bpf_ktime_get_ns();
	flow->heads = 0;
	flow->offset = 0;
	flow->position = 0;
	flow->body_left = 0;
	flow->contended = 0;
	flow->carried = 0;
	flow->in_trailers = 0;
	flow->last_byte = 0;
	flow->state = LANETAG_FLOW_REQUEST_START;
}
