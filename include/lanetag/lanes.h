/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/*
 * What marks say, in words, for programs that have no manifests: a mark's generation and policies
 * lead to lanes (map `lane_generations`), lanes to tag headers and values (map `lane_names`).
 */
#include <lanetag/rules.h>

struct lanetag_lane_name {
	__u32 since; /* a generation: marks of earlier ones mean another lane of that number */
	char tag_header[LANETAG_MAX_NAME + 1];
	char tag_value[LANETAG_MAX_NAME + 1]; /* empty: untagged; cut where longer */
};

#define LANETAG_GENERATIONS 64U /* so many of the latest are kept; a power of two */

struct lanetag_generation {
	__u32 generation; /* 0: an empty slot */
	__u8 rule_count;
	__u8 reserved[3];
	__u16 untagged_lane[LANETAG_MAX_RULES];
	__u16 lane[LANETAG_MAX_RULES][LANETAG_MAX_POLICIES]; /* by a mark's `policy` */
};

LANETAG_STATIC_ASSERT(sizeof(struct lanetag_generation) == 8 + 128 + 2048, "generation layout");

LANETAG_INLINE __u32 lanetag_generation_slot(__u32 generation)
{
	return generation & (LANETAG_GENERATIONS - 1);
}
