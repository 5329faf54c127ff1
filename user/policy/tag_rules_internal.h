/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* What compiling and deciding share; of this room only. */
#include "base/word.h"
#include "manifest/wasm_plugin.h"
#include "policy/spelling.h"
#include "policy/tag_rules.h"

/* Ids of include and exclude lists, sorted by listed_id_compare. */
struct listed_id {
	struct span id;
	uint8_t policy; /* LANETAG_POLICY_NONE: excluded */
	struct source_place place;
};

struct listed_ids {
	struct listed_id *ids; /* owned */
	size_t count;
};

#define TAG_MEMBER_SLOTS (2 * LANETAG_MAX_RULES * LANETAG_MAX_POLICIES) /* a power of two */

_Static_assert((TAG_MEMBER_SLOTS & (TAG_MEMBER_SLOTS - 1)) == 0, "slots are masked");

struct tag_rules {
	struct lanetag_ruleset ruleset;
	const struct tag_rule_manifest *manifests[LANETAG_MAX_RULES];
	struct span headers[LANETAG_MAX_RULES];
	struct span values[LANETAG_MAX_RULES][LANETAG_MAX_POLICIES];
	struct span members[LANETAG_MAX_RULES][LANETAG_MAX_POLICIES]; /* parts of members_text */
	struct buffer members_text;
	/* By tag_member_hash: rule * LANETAG_MAX_POLICIES + policy + 1; 0: free. Probed in turn. */
	uint16_t member_slots[TAG_MEMBER_SLOTS];
	struct listed_ids listed[LANETAG_MAX_RULES];
	struct spelling_set header_spellings, header_starts;
	uint64_t header_lengths; /* bit n: some tag header's length is n modulo 64 */
	uint64_t header_names;	 /* http_names_may_hold, of every spelling */
	uint8_t source_hashes[LANETAG_MAX_SOURCES]; /* http_name_hash */
	uint64_t source_keys[LANETAG_MAX_SOURCES];  /* of kind and name: tag_rules_id_keys */
	uint64_t sources_key; /* equal for the same sources in the same order */
	bool has_hosts;	      /* some rule is for requests to certain hosts alone */
	uint32_t next_lane;   /* numbers from here on were never given out */
};

/* Any total order will do. */
static inline int listed_id_compare(struct span a, struct span b)
{
	if (a.length != b.length)
		return a.length < b.length ? -1 : 1;
	return memcmp(a.data, b.data, a.length);
}

/* Members are short: both ends and the length tell most apart. */
static inline size_t tag_member_hash(struct span member)
{
	const size_t word = sizeof(uint64_t), length = member.length;
	uint64_t hash = length;

	if (length < word) {
		hash ^= word_read_part(member.data, length);
	} else {
		hash ^= word_read(member.data) * UINT64_C(0x9e3779b97f4a7c15);
		hash ^= hash >> 29 ^ word_read(member.data + length - word);
	}
	return (size_t)(hash * UINT64_C(0xbf58476d1ce4e5b9) >> 32) % TAG_MEMBER_SLOTS;
}

/* Of one spelling: a server may take one for the other. */
bool tag_headers_alike(struct span a, struct span b);
