/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/*
 * A mark: what the kernel tagger noted of one request. One slot of the mmapable array `lane_marks`;
 * docs/map-abi.md is the description for other programs.
 */
#include <lanetag/connection.h>
#include <lanetag/decision.h>

#define LANETAG_MARK_VERSION 1
#define LANETAG_MARK_SLOTS 16384U /* a power of two */

struct lanetag_mark {
	/* Odd while the kernel writes; the same even number before and after a read: the copy is
	 * whole. */
	__u32 sequence;
	__u32 generation; /* of the ruleset; 0: an empty slot */
	struct lanetag_connection connection;
	__u64 position; /* stream offset of the request's first byte: 0 for a connection's first */
	__u8 rule_count;
	__u8 reserved[7];
	__u8 policy[LANETAG_MAX_RULES]; /* index, LANETAG_POLICY_NONE or LANETAG_POLICY_UNKNOWN */
	__u32 remainder[LANETAG_MAX_RULES]; /* where the rule's source held an id; else all ones */
};

#define LANETAG_NO_REMAINDER 0xffffffffU

LANETAG_STATIC_ASSERT(sizeof(struct lanetag_mark) == 8 + 40 + 8 + 8 + 64 + 256, "mark layout");

/*
 * The slot of the request at `position` of the connection with this lanetag_connection_hash. No
 * request is shorter than 16 bytes: those of one connection never share a slot within 256 KiB.
 */
LANETAG_INLINE __u32 lanetag_mark_slot(__u64 connection_hash, __u64 position)
{
	return ((__u32)(connection_hash >> 24) + (__u32)(position >> 4)) & (LANETAG_MARK_SLOTS - 1);
}

/*
 * `lane_resync`, a mmapable array of __u64: the agent says that a request begins at a position of a
 * connection. One word, so that it is written and read whole.
 */
#define LANETAG_RESYNC_SLOTS 16384U /* a power of two */

LANETAG_INLINE __u32 lanetag_resync_slot(__u64 connection_hash)
{
	return (__u32)connection_hash & (LANETAG_RESYNC_SLOTS - 1);
}

/* Never 0: the upper half is a fingerprint of the connection, the lower the position. */
LANETAG_INLINE __u64 lanetag_resync_word(__u64 connection_hash, __u64 position)
{
	return ((connection_hash >> 32 | 1) << 32) | (__u32)position;
}
