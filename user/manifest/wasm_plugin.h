/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * WasmPlugin (extensions.istio.io/v1alpha1): the hash tagging plug-in's `pluginConfig.rules`, with
 * lanetag's additions (docs/configuration.md). policy/tag_rules.h compiles it and checks across
 * rules.
 */
#include <lanetag/rules.h>
#include "base/arena.h"
#include "manifest/resource.h"

#define TAG_MAX_MODULO 0xffffffffU
#define TAG_PERCENT_MODULO 10000U /* where percent is used and no modulo given: 0.01 % each */
#define TAG_WEIGHT_MODULO 100U	  /* where partitionedPolicies has no modulo */
#define TAG_MAX_LISTED_IDS 10000U /* of one rule */

enum policy_form {
	POLICY_FORM_RANGE,   /* range: R      holds remainders 0 .. R, the seed's inclusive form */
	POLICY_FORM_PERCENT, /* percent: P    holds P % of the remainders, half-open */
	POLICY_FORM_SLOTS,   /* slots: [F, T) holds F <= remainder < T */
	POLICY_FORM_WEIGHT,  /* partitionedPolicies: weight: W   holds the next W remainders */
};

struct tag_policy_manifest {
	struct source_place place;
	enum policy_form form;
	uint32_t from, to;   /* the remainders it holds: from <= remainder < to <= modulo */
	uint64_t as_written; /* the range, percent (in 1/100) or weight */
	const char *tag_value;
	struct source_place tag_value_place;
};

/* Ids that get a tag value whatever their remainder. */
struct tag_include_manifest {
	struct source_place place;
	const char *tag_value; /* of one of the rule's policies */
	const char *const *ids;
	size_t id_count;
};

struct tag_rule_manifest {
	struct source_place place;
	enum lanetag_source_kind source_kind;
	const char *source_name; /* as written */
	uint32_t modulo;
	const char *name; /* or NULL */
	const char *tag_header;
	struct source_place tag_header_place;
	/* match: the hosts, in lower case, "*" or "*.suffix", that requests must be to; none: any. */
	const char *const *hosts;
	size_t host_count;
	enum lanetag_hash_kind hash;
	uint64_t seed;
	const char *salt; /* "" for none */
	struct tag_policy_manifest *policies;
	size_t policy_count;
	struct tag_include_manifest *includes;
	size_t include_count;
	const char *const *excludes; /* ids that get no tag */
	size_t exclude_count;
};

struct wasm_plugin_manifest {
	struct resource resource;
	struct arena arena;
	struct tag_rule_manifest *rules; /* only those without errors */
	size_t rule_count;
};

/* The hash's name as manifests write it. */
const char *hash_kind_name(enum lanetag_hash_kind kind);

int wasm_plugin_read(const struct node *document, struct diagnostics *diagnostics,
		     struct wasm_plugin_manifest *ret_manifest);
void wasm_plugin_free(struct wasm_plugin_manifest *manifest);
