/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* What the files of this room share of a tagger; nobody else includes it. */
#include "kernel/attachments.h"
#include "kernel/pins.h"
#include "kernel/program.h"
#include "kernel/tagger.h"

struct tagger {
	struct tagger_options options;
	struct pins pins;
	struct program program;
	struct attachments attachments;
	int events;    /* netlink, see interface_events.h */
	bool released; /* to another agent */

	/* Memory shared with the kernel (marks.c); NULL where a map is not there. */
	const struct lanetag_mark *marks;
	size_t marks_size; /* bytes mapped */
	void *confirmations;
	size_t confirmations_size;

	_Atomic uint64_t marks_overwritten; /* as tagger_count_tables said last */

	/* by arrivals_sweep */
	uint64_t arrivals_ended, arrivals_pushed_out;
	uint64_t arrivals_noted_before; /* and not there any more at the first sweep */
	bool arrivals_swept;
};

/*
 * marks.c: maps what tagger_find_mark reads and tagger_confirm_position writes, after program_load.
 * 0 or a negative errno.
 */
int marks_open(struct tagger *tagger);
void marks_close(struct tagger *tagger);
/* Maps `size` bytes of a map into memory; its whole pages are *ret_size. 0 or a negative errno. */
int marks_map_memory(int map, size_t size, int protection, void **ret_memory, size_t *ret_size);
/* As tagger_find_mark, in an array of LANETAG_MARK_SLOTS. */
bool marks_find(const struct lanetag_mark *marks, const struct lanetag_connection *connection,
		uint64_t position, struct lanetag_mark *ret_mark);

/*
 * tables.c: elements 0 to count - 1 (at most LANETAG_MAX_LANES) of a per-CPU map of 64-bit
 * counters, summed over the processors. 0 or a negative errno.
 */
int tables_sum_map(int map, uint32_t count, uint64_t *ret_sums);
int tables_sum(const struct tagger *tagger, const char *name, uint32_t count, uint64_t *ret_sums);
/*
 * Visits all entries of a map, in batches: `keys` and `values` are arrays of `count`. What comes or
 * goes meanwhile may be seen or not. 0 or a negative errno.
 */
typedef void (*tables_visitor)(void *context, const void *keys, const void *values, uint32_t count);
int tables_each(int map, size_t key_size, size_t value_size, tables_visitor visit, void *context);
/* Sets a map of ports, 64 in each word. 0 or a negative errno. */
int tables_set_ports(int map, const uint16_t *ports, size_t port_count);
