/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * WasmPlugin (extensions.istio.io/v1alpha1): the hash tagging plug-in's `pluginConfig.rules`, with
 * lanetag's additions (docs/configuration.md). This is the manifest as written; policy/tag_rules.h
 * compiles and checks across rules.
 */
#include <lanetag/rules.h>
#include "manifest/resource.h"

enum policy_form {
	POLICY_FORM_RANGE,   /* range: R        holds remainders 0 .. R, the seed's inclusive form */
	POLICY_FORM_PERCENT, /* percent: P      holds P % of the remainders, half-open */
	POLICY_FORM_SLOTS,   /* slots: [F, T)   holds F <= remainder < T */
	POLICY_FORM_WEIGHT,  /* partitionedPolicies: weight: W   holds the next W remainders */
};

struct tag_policy_manifest {
	struct source_place place;
	enum policy_form form;
	uint64_t range;
	uint64_t percent; /* in 1/100 of a per cent */
	uint64_t slot_from, slot_to;
	uint64_t weight;
	char *tag_value;
};

struct tag_rule_manifest {
	struct source_place place;
	enum lanetag_source_kind source_kind;
	char *source_name; /* as written */
	bool has_modulo;
	uint64_t modulo;
	char *tag_header;
	enum lanetag_hash_kind hash;
	bool has_seed;
	uint64_t seed;
	char *salt; /* or NULL */
	struct tag_policy_manifest *policies;
	size_t policy_count;
	/* id lists: an included id takes the tag value of its list, an excluded one gets no tag */
	struct tag_include_manifest {
		char *tag_value; /* or NULL: the first policy's */
		char **ids;
		size_t id_count;
	} *includes;
	size_t include_count;
	char **excludes;
	size_t exclude_count;
};

struct wasm_plugin_manifest {
	struct resource resource;
	struct tag_rule_manifest *rules;
	size_t rule_count;
};

int wasm_plugin_read(const struct node *document, struct diagnostics *diagnostics,
		     struct wasm_plugin_manifest *ret_manifest);
void wasm_plugin_free(struct wasm_plugin_manifest *manifest);
