/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* What compiling and deciding share; of this room only. */
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

struct tag_rules {
	struct lanetag_ruleset ruleset;
	const struct tag_rule_manifest *manifests[LANETAG_MAX_RULES];
	struct span headers[LANETAG_MAX_RULES];
	struct span values[LANETAG_MAX_RULES][LANETAG_MAX_POLICIES];
	struct span members[LANETAG_MAX_RULES][LANETAG_MAX_POLICIES]; /* parts of members_text */
	struct buffer members_text;
	struct listed_ids listed[LANETAG_MAX_RULES];
	struct spelling_set header_spellings, header_starts;
	uint64_t header_lengths; /* bit n: some tag header's length is n modulo 64 */
	uint64_t header_names;	 /* http_names_may_hold, of every spelling */
	uint8_t source_hashes[LANETAG_MAX_SOURCES]; /* http_name_hash */
	uint64_t source_keys[LANETAG_MAX_SOURCES];  /* of kind and name: tag_rules_id_keys */
	uint64_t sources_key; /* equal for the same sources in the same order */
	uint32_t next_lane;   /* numbers from here on were never given out */
};

/* Any total order will do. */
static inline int listed_id_compare(struct span a, struct span b)
{
	if (a.length != b.length)
		return a.length < b.length ? -1 : 1;
	return memcmp(a.data, b.data, a.length);
}

/* Of one spelling: a server may take one for the other. */
bool tag_headers_alike(struct span a, struct span b);
