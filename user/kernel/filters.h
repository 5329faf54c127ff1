/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * clsact filters of traffic control, for kernels without TCX. Others' filters (Cilium's and the
 * like) live on the same hook: ours has a priority of its own that nobody else uses, is replaced in
 * one step, and is removed only if it still runs a program of ours.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The handle of our filters; never 1, which others take for theirs. */
#define FILTER_HANDLE 0x1a6e
/* Where the search for a free priority starts: before those that tc(8) gives by itself (49152 and
 * down). */
#define FILTER_FIRST_PRIORITY 3

enum filter_direction { FILTER_INGRESS, FILTER_EGRESS };

struct filter {
	uint32_t priority;
	uint32_t handle;
	uint32_t program_id; /* 0: not a BPF filter */
};

/* 0, and every filter of an interface in one direction (the caller frees); or a negative errno. */
int filters_list(unsigned interface, enum filter_direction direction, struct filter **ret_filters,
		 size_t *ret_count);

/*
 * Attaches at the lowest priority that is free, making the clsact qdisc if there is none. 0, or a
 * negative errno. *ret_made_qdisc: it was made here.
 */
int filters_attach(unsigned interface, enum filter_direction direction, int program,
		   uint32_t *ret_priority, bool *ret_made_qdisc);

/* Swaps the program of our filter at `priority` without a gap. */
int filters_replace(unsigned interface, enum filter_direction direction, int program,
		    uint32_t priority);

/*
 * Removes our filter if it runs one of these programs, then the qdisc if `made_qdisc` and nobody
 * else has a filter on it, ingress or egress. Nothing there is fine.
 */
int filters_detach(unsigned interface, enum filter_direction direction, uint32_t priority,
		   const uint32_t *program_ids, size_t count, bool made_qdisc);
