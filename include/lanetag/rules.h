/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/*
 * The compiled tag rules: what the agent writes into the map `lane_rules` and what both kernel and
 * agent decide by. One value of struct lanetag_ruleset is one generation; it is never changed in
 * place, only replaced whole.
 *
 *   source  where the user id stands in a request (header, cookie, query parameter)
 *   draw    how a number is drawn from an id: source, hash, salt, seed, modulo. Rules with equal
 *           draws share one, so that three rules on `x-user-id` hash it once
 *   rule    one tag header; of its policies the first that holds the remainder wins
 *   lane    one value of one rule, or its "untagged": an index into the map `lane_counters`
 */
#include <lanetag/types.h>

#define LANETAG_MAX_SOURCES 8
#define LANETAG_MAX_DRAWS 64
#define LANETAG_MAX_RULES 64
#define LANETAG_MAX_POLICIES 16
#define LANETAG_MAX_LANES 2048
#define LANETAG_MAX_NAME 64   /* bytes of a source's name */
#define LANETAG_MAX_VALUE 256 /* longest id that the kernel decides on; longer: it abstains */
#define LANETAG_MAX_SALT 64

enum lanetag_source_kind {
	LANETAG_SOURCE_HEADER = 0,
	LANETAG_SOURCE_COOKIE = 1,
	LANETAG_SOURCE_QUERY_PARAM = 2,
};

enum lanetag_hash_kind {
	LANETAG_HASH_FNV1A32 = 0, /* the seed's; the default */
	LANETAG_HASH_XXH32 = 1,
	LANETAG_HASH_XXH64 = 2,
};

struct lanetag_source {
	__u8 kind; /* enum lanetag_source_kind */
	__u8 name_length;
	__u8 form;  /* of arrivals' fields: enum lanetag_id_form; else 0 */
	__u8 space; /* of arrivals' fields, see struct lanetag_arrival_key; else 0 */
	__u8 reserved[4];
	char name[LANETAG_MAX_NAME]; /* headers' in lower case; cookies' and parameters' exact */
};

struct lanetag_draw {
	__u8 source; /* index into sources */
	__u8 hash;   /* enum lanetag_hash_kind */
	__u8 salt_length;
	__u8 reserved;
	__u32 modulo;		     /* > 0 */
	__u64 seed;		     /* of xxh32 (low half) and xxh64; fnv1a32 has none */
	char salt[LANETAG_MAX_SALT]; /* hashed in front of the id */
};

/* Holds the remainders from <= remainder < to. The seed's `range: R` is from 0, to R + 1. */
struct lanetag_policy {
	__u32 from;
	__u32 to;
	__u32 lane;
};

enum lanetag_rule_flags {
	/* Something the kernel can't do for this rule (an id list): it writes UNKNOWN, the agent
	   decides. */
	LANETAG_RULE_AGENT_ONLY = 1,
};

struct lanetag_rule {
	__u8 draw; /* index into draws */
	__u8 policy_count;
	__u8 flags;
	__u8 reserved;
	__u32 untagged_lane; /* counts the requests that no policy of this rule holds */
	struct lanetag_policy policies[LANETAG_MAX_POLICIES];
};

/* The fields that the kernel looks for: the header sources, then those that frame a message. */
enum lanetag_field {
	LANETAG_FIELD_CONTENT_LENGTH = LANETAG_MAX_SOURCES,
	LANETAG_FIELD_TRANSFER_ENCODING,
	LANETAG_FIELD_UPGRADE,
	LANETAG_FIELDS,
};

#define LANETAG_PATTERN_WORDS 9 /* a name of LANETAG_MAX_NAME bytes and its colon */

/*
 * A field name with its colon, to be compared word by word with the start of a line:
 * (line | fold) & mask == word, fold being 0x20 under letters. Words are little endian.
 */
struct lanetag_pattern {
	__u32 length; /* of name and colon; 0: none */
	__u32 word_count;
	__u64 word[LANETAG_PATTERN_WORDS];
	__u64 fold[LANETAG_PATTERN_WORDS];
	__u64 mask[LANETAG_PATTERN_WORDS];
};

struct lanetag_ruleset {
	__u32 generation; /* > 0 */
	__u8 source_count;
	__u8 draw_count;
	__u8 rule_count;
	__u8 reserved;
	struct lanetag_source sources[LANETAG_MAX_SOURCES];
	struct lanetag_draw draws[LANETAG_MAX_DRAWS];
	struct lanetag_rule rules[LANETAG_MAX_RULES];
	/* An index for the kernel, made by lanetag_ruleset_index from the above. */
	__u16 candidates[32]; /* by a line's first byte & 31 (case falls away): patterns to try */
	struct lanetag_pattern patterns[LANETAG_FIELDS];
};

LANETAG_STATIC_ASSERT(sizeof(struct lanetag_source) == 72, "source layout");
LANETAG_STATIC_ASSERT(sizeof(struct lanetag_draw) == 80, "draw layout");
LANETAG_STATIC_ASSERT(sizeof(struct lanetag_rule) == 8 + 16 * 12, "rule layout");
