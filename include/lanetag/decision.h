/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/*
 * The tag decision, written once for kernel, agent and CLI:
 * hash(salt + id) % modulo, then the first policy in order that holds the remainder.
 */
#include <lanetag/hash.h>
#include <lanetag/rules.h>

/* Outcomes of a rule besides a policy's index (0 .. LANETAG_MAX_POLICIES - 1). */
#define LANETAG_POLICY_NONE 0xff    /* decided: no tag */
#define LANETAG_POLICY_UNKNOWN 0xfe /* not decided here (the kernel abstains) */

/*
 * The hash of a salted id. `bytes` holds the draw's salt followed by the id, `length` both together
 * (at most LANETAG_MAX_SALT + LANETAG_MAX_VALUE in the kernel; any length in the agent).
 */
LANETAG_INLINE __u64 lanetag_draw_hash(const struct lanetag_draw *draw, const __u8 *bytes,
				       __u32 length)
{
	if (draw->hash == LANETAG_HASH_XXH64)
		return lanetag_xxh64(bytes, length, draw->seed);
	if (draw->hash == LANETAG_HASH_XXH32)
		return lanetag_xxh32(bytes, length, (__u32)draw->seed);
	return lanetag_fnv1a32(LANETAG_FNV1A32_BASIS, bytes, length);
}

/* `draw->modulo` is > 0: the agent refuses rules without (BPF defines x % 0 as x). */
LANETAG_INLINE __u32 lanetag_draw_remainder(const struct lanetag_draw *draw, __u64 hash)
{
	return (__u32)(hash % draw->modulo);
}

/* Gives the index of the first policy that holds `remainder`, or LANETAG_POLICY_NONE. */
LANETAG_INLINE __u8 lanetag_rule_policy(const struct lanetag_rule *rule, __u32 remainder)
{
	for (__u32 i = 0; i < LANETAG_MAX_POLICIES; i++) {
		if (i >= rule->policy_count)
			break;
		if (remainder >= rule->policies[i].from && remainder < rule->policies[i].to)
			return (__u8)i;
	}
	return LANETAG_POLICY_NONE;
}
