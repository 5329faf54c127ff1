/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * From the bytes of the maps to what kernel/flows.h gives. No system call; any bytes are taken:
 * numbers are held against their bounds, texts end where their room ends.
 */
#include <lanetag/flow.h>
#include <lanetag/lanes.h>
#include "kernel/flows.h"

/* What names marks. */
struct lane_tables {
	struct lanetag_generation generations[LANETAG_GENERATIONS];
	struct lanetag_lane_name names[LANETAG_MAX_LANES];
};

/*
 * The connection in this slot of the table of flows, with its mark out of an array of
 * LANETAG_MARK_SLOTS. False: the slot is free, or does not hold what stands there.
 */
bool flow_decode(const struct lanetag_flow *entry, uint32_t slot, const struct lanetag_mark *marks,
		 uint64_t now_ns, struct flow *ret_flow);

void flow_decode_tag(const struct lane_tables *tables, const struct lanetag_mark *mark, size_t rule,
		     struct flow_tag *ret_tag);
