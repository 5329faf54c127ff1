/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* The requests that applications were given last, by connection: the arrivals' programs write, the threads' read. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <lanetag/call.h>

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1); /* as many as the agent says, where threads are looked at */
	__type(key, struct lanetag_connection);
	__type(value, struct lanetag_delivery);
} lane_deliveries SEC(".maps");
