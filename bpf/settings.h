/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* What the agent sets for the arrivals' program before it is attached. Included before flow.h. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include <lanetag/arrival.h>

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct lanetag_arrival_settings);
} lane_settings SEC(".maps");

static __always_inline const struct lanetag_arrival_settings *settings(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&lane_settings, &zero);
}

static __always_inline __u32 flow_mask(void)
{
	const struct lanetag_arrival_settings *own = settings();

	return own ? own->flow_mask : 0;
}

#define FLOW_MASK flow_mask()
