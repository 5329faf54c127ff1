/* SPDX-License-Identifier: GPL-2.0-only */
#include "policy/propagation.h"

#include <stdlib.h>

/* The manifests are the compiled form: a handful of names, compared in turn. */
struct propagation {
	const struct header_propagation_manifest *manifests;
	uint64_t *rules; /* of each manifest: those whose tag headers it names */
	size_t count;
	unsigned all_ways; /* of all of them */
};

int propagation_compile(const struct manifest_set *manifests, struct diagnostics *diagnostics,
			struct propagation **ret_propagation)
{
	struct propagation *propagation = calloc(1, sizeof(*propagation));

	if (propagation)
		propagation->rules = calloc(manifests->header_propagation_count + 1,
					    sizeof(propagation->rules[0]));
	if (!propagation || !propagation->rules) {
		free(propagation);
		diagnostics_add(diagnostics, DIAGNOSTIC_ERROR, (struct source_place){0}, NULL, NULL,
				"out of memory");
		return -1;
	}
	propagation->manifests = manifests->header_propagations;
	propagation->count = manifests->header_propagation_count;
	for (size_t i = 0; i < propagation->count; i++)
		propagation->all_ways |= propagation->manifests[i].ways;
	*ret_propagation = propagation;
	return 0;
}

void propagation_free(struct propagation *propagation)
{
	if (propagation)
		free(propagation->rules);
	free(propagation);
}

bool propagation_is_empty(const struct propagation *propagation)
{
	return propagation->count == 0;
}

bool propagation_uses(const struct propagation *propagation, enum propagation_way way)
{
	return propagation->all_ways & PROPAGATION_WAY(way);
}

static bool names_header(const struct header_propagation_manifest *manifest, struct span name)
{
	for (size_t i = 0; i < manifest->header_count; i++) {
		if (span_equal_ignore_case(name, span_of(manifest->headers[i])))
			return true;
	}
	for (size_t i = 0; i < manifest->header_prefix_count; i++) {
		if (span_starts_with_ignore_case(name, span_of(manifest->header_prefixes[i])))
			return true;
	}
	return false;
}

static bool selects(const struct header_propagation_manifest *manifest, const struct labels *labels)
{
	return !manifest->has_workload_selector ||
	       (labels && labels_select(&manifest->workload_selector, labels));
}

bool propagation_selects(const struct propagation *propagation, const struct labels *labels)
{
	for (size_t i = 0; i < propagation->count; i++) {
		if (selects(&propagation->manifests[i], labels))
			return true;
	}
	return false;
}

unsigned propagation_ways(const struct propagation *propagation, struct span name,
			  const struct labels *labels)
{
	unsigned ways = 0;

	for (size_t i = 0; i < propagation->count; i++) {
		const struct header_propagation_manifest *manifest = &propagation->manifests[i];

		if (!selects(manifest, labels))
			continue;
		if (names_header(manifest, name))
			ways |= manifest->ways;
	}
	return ways;
}

void propagation_know_rules(struct propagation *propagation, const struct tag_rules *rules)
{
	for (size_t i = 0; i < propagation->count; i++) {
		propagation->rules[i] = 0;
		for (size_t j = 0; j < tag_rules_count(rules); j++)
			propagation->rules[i] |= (uint64_t)names_header(&propagation->manifests[i],
									tag_rules_header(rules, j))
						 << j;
	}
}

uint64_t propagation_rules(const struct propagation *propagation, const struct labels *labels,
			   unsigned ways)
{
	uint64_t rules = 0;

	for (size_t i = 0; i < propagation->count; i++) {
		if (propagation->rules[i] && propagation->manifests[i].ways & ways &&
		    selects(&propagation->manifests[i], labels))
			rules |= propagation->rules[i];
	}
	return rules;
}
