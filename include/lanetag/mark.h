/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/*
 * A mark: what the kernel tagger noted of one request. One slot of the mmapable array `lane_marks`;
 * docs/map-abi.md is the description for other programs.
 */
#include <lanetag/connection.h>
#include <lanetag/decision.h>

#define LANETAG_MARK_VERSION 1
#define LANETAG_MARK_SLOTS 16384 /* a power of two */

struct lanetag_mark {
	/* Odd while the kernel writes; the same even number before and after a read: the copy is whole. */
	__u32 sequence;
	__u32 generation; /* of the ruleset; 0: an empty slot */
	struct lanetag_connection connection;
	__u8 rule_count;
	__u8 reserved[3];
	__u64 position; /* stream offset of the request's first byte: 0 for a connection's first */
	__u8 policy[LANETAG_MAX_RULES];     /* index, LANETAG_POLICY_NONE or LANETAG_POLICY_UNKNOWN */
	__u32 remainder[LANETAG_MAX_RULES]; /* where the rule's source held an id; else 0xffffffff */
};

#define LANETAG_NO_REMAINDER 0xffffffffU

LANETAG_STATIC_ASSERT(sizeof(struct lanetag_mark) == 8 + 36 + 4 + 8 + 64 + 256, "mark layout");
