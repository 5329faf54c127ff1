/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * The maps of every program that follows connections. All have types, so that a dump shows names
 * and fields.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include <lanetag/flow.h>
#include <lanetag/mark.h>
#include <lanetag/rules.h>

#include "counters.h"
#include "ports.h"

/* One ruleset; the agent makes a new map for each generation and swaps it in. */
struct ruleset_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct lanetag_ruleset);
} lane_ruleset SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, __u32);
	__array(values, struct ruleset_map);
} lane_rules SEC(".maps") = {.values = {&lane_ruleset}};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, LANETAG_FLOW_SLOTS); /* arrivals: as many as the agent says */
	__type(key, __u32);
	__type(value, struct lanetag_flow);
} lane_flows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, LANETAG_RESYNC_SLOTS);
	__type(key, __u32);
	__type(value, __u64);
} lane_resync SEC(".maps");

/* By enum lanetag_event. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, LANETAG_EVENTS);
	__type(key, __u32);
	__type(value, __u64);
} lane_events SEC(".maps");

static __always_inline void count_event(__u32 event)
{
	count_in(&lane_events, event);
}

/* The rules in force, or NULL: none yet. */
static __always_inline const struct lanetag_ruleset *current_ruleset(void)
{
	__u32 zero = 0;
	void *inner = bpf_map_lookup_elem(&lane_rules, &zero);
	const struct lanetag_ruleset *ruleset = inner ? bpf_map_lookup_elem(inner, &zero) : NULL;

	return ruleset && ruleset->generation ? ruleset : NULL;
}
