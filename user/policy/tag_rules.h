/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * Tag rules compiled from the WasmPlugins of a manifest set. Immutable after compilation; read by
 * any number of threads. The numbers to decide by are a struct lanetag_ruleset, the very value that
 * the kernel gets; beside it stand the strings that only the agent needs.
 */
#include <lanetag/decision.h>
#include "http/head.h"
#include "manifest/manifest.h"

/* Longest id that is decided on; no head is longer. Longer ids count as missing. */
#define TAG_MAX_ID 65536

struct tag_rules;

/*
 * 0 and *ret_rules (tag_rules_free), or -1 with the errors named in `diagnostics`. The compiled
 * rules point into `manifests`, which must outlive them. Lanes are numbered afresh by rule and
 * policy; tag_rules_assign_lanes renumbers them so that counters go on across generations.
 */
int tag_rules_compile(const struct manifest_set *manifests, uint32_t generation,
		      struct diagnostics *diagnostics, struct tag_rules **ret_rules);
void tag_rules_free(struct tag_rules *rules);
/* Before they are shared. */
void tag_rules_set_generation(struct tag_rules *rules, uint32_t generation);

const struct lanetag_ruleset *tag_rules_ruleset(const struct tag_rules *rules);
size_t tag_rules_count(const struct tag_rules *rules);
struct span tag_rules_header(const struct tag_rules *rules, size_t rule); /* as written: appver-a */
struct span tag_rules_source_name(const struct tag_rules *rules, size_t rule); /* as written */
/* "header", "cookie" or "queryParam", as manifests call it. */
const char *tag_rules_source_kind(const struct tag_rules *rules, size_t rule);
/* The tag value of a policy index that a decision gave. */
struct span tag_rules_value(const struct tag_rules *rules, size_t rule, uint8_t policy);
/*
 * The tag as a member of baggage: header in lower case, '=', value encoded. TAG_MEMBER_PADDING
 * bytes from its start on may be read, however short it is.
 */
#define TAG_MEMBER_PADDING 32
struct span tag_rules_member(const struct tag_rules *rules, size_t rule, uint8_t policy);
/* The rule as written. */
const struct tag_rule_manifest *tag_rules_manifest(const struct tag_rules *rules, size_t rule);
/* Remainders: from <= remainder < to. */
struct tag_interval {
	uint32_t from, to;
};

/*
 * The remainders that the policy really holds: those that no earlier policy does, in order and
 * apart from each other. Gives the number of intervals.
 */
size_t tag_rules_intervals(const struct tag_rules *rules, size_t rule, uint8_t policy,
			   struct tag_interval ret_intervals[LANETAG_MAX_POLICIES]);
/* How many these remainders are. */
uint64_t tag_rules_share(const struct tag_rules *rules, size_t rule, uint8_t policy);

/*
 * Takes the lane numbers of `previous` for the lanes that both have (same tag header and value),
 * and numbers of their own for the others. Before anybody else sees `rules`.
 */
void tag_rules_assign_lanes(struct tag_rules *rules, const struct tag_rules *previous);

/* Why a source gave no id. */
enum tag_id_state {
	TAG_ID_PRESENT,
	TAG_ID_MISSING,	    /* absent or empty */
	TAG_ID_CONFLICTING, /* twice with different values */
};

/* The ids in one request, one per source of the rules; spans into the head or into `decoded`. */
struct tag_ids {
	enum tag_id_state states[LANETAG_MAX_SOURCES];
	struct span ids[LANETAG_MAX_SOURCES]; /* where the state is TAG_ID_PRESENT */
	char decoded[LANETAG_MAX_SOURCES][LANETAG_MAX_VALUE]; /* parameters with escapes */
};

struct tag_decision {
	enum tag_id_state sources[LANETAG_MAX_SOURCES];
	struct tag_rule_decision {
		uint8_t policy;	    /* index, or LANETAG_POLICY_NONE */
		bool has_remainder; /* there was an id to hash */
		uint32_t remainder;
		uint64_t hash;
		uint32_t lane; /* of lane_counters */
	} rules[LANETAG_MAX_RULES];
};

/*
 * Decides every rule for a request, in two steps or in one. Never fails, never allocates. A query
 * parameter's value is percent-decoded; a broken escape stands as it is. A cookie's value is taken
 * as sent.
 */
void tag_rules_find_ids(const struct tag_rules *rules, const struct http_request_head *head,
			struct tag_ids *ret_ids);
void tag_rules_decide_ids(const struct tag_rules *rules, const struct tag_ids *ids,
			  struct tag_decision *ret_decision);
/*
 * Takes back the tags of rules for other hosts than this authority's (`match`); NULL: of all that are
 * for certain hosts alone, where it is not known how a request came in. Gives bit n for such a rule n.
 * The kernel decides without hosts.
 */
uint64_t tag_rules_match_host(const struct tag_rules *rules, const struct span *authority,
			      struct tag_decision *decision);
/* True: what tag_rules_find_ids finds by the one is what it finds by the other. */
bool tag_rules_same_sources(const struct tag_rules *a, const struct tag_rules *b);
/*
 * Numbers for the ids that are present, equal where source and id are; at most LANETAG_MAX_SOURCES,
 * gives how many. No secret: who chooses ids can choose numbers that are equal.
 */
size_t tag_rules_id_keys(const struct tag_rules *rules, const struct tag_ids *ids,
			 uint64_t ret_keys[LANETAG_MAX_SOURCES]);
void tag_rules_decide(const struct tag_rules *rules, const struct http_request_head *head,
		      struct tag_decision *ret_decision);

/* The same for one id that stands in every source (explain, simulate); trimmed as a field value. */
void tag_rules_decide_id(const struct tag_rules *rules, struct span id,
			 struct tag_decision *ret_decision);

/*
 * The rule and the first policy of which tag_rules_member is this member, byte for byte; false: there is
 * none, or its header is one that never travels.
 */
bool tag_rules_find_member(const struct tag_rules *rules, struct span member, size_t *ret_rule,
			   uint8_t *ret_policy);

/*
 * True if `name` is a tag header of any rule in any spelling that a server might take for it: any
 * case, and any bytes for those that are neither letters nor digits. Such fields from clients are
 * removed.
 */
bool tag_rules_owns_header(const struct tag_rules *rules, struct span name);
/* False: none of the `names` (http_names_may_hold) is a tag header. */
bool tag_rules_may_own(const struct tag_rules *rules, uint64_t names);
/*
 * True if a library for baggage might read a key out of this member that is a tag header or starts
 * with one (see spelling_starts_in, which says what `scratch` is for). The same for a field's name
 * with '%' or '+' in it.
 */
bool tag_rules_owns_member(const struct tag_rules *rules, struct span member,
			   struct buffer *scratch);
