/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * Which headers travel down the chain (ASMHeaderPropagation, several add up). Immutable.
 */
#include "manifest/header_propagation.h"
#include "manifest/manifest.h"
#include "policy/tag_rules.h"

struct propagation;

int propagation_compile(const struct manifest_set *manifests, struct diagnostics *diagnostics,
			struct propagation **ret_propagation);
void propagation_free(struct propagation *propagation);
/* Before it is shared: with which rules' tag headers propagation_rules is to be asked. */
void propagation_know_rules(struct propagation *propagation, const struct tag_rules *rules);
/* The rules, a bit each, whose tag headers travel to a workload with `labels` (as below). */
/* Of these those with tag headers that travel by one of `ways` (PROPAGATION_WAY bits) at least. */
uint64_t propagation_rules(const struct propagation *propagation, const struct labels *labels,
			   unsigned ways);

/*
 * The ways (PROPAGATION_WAY bits) by which a header of this name travels to and from a workload
 * with `labels` (NULL: not known; then only resources without a workloadSelector count). 0: it does
 * not travel.
 */
unsigned propagation_ways(const struct propagation *propagation, struct span name,
			  const struct labels *labels);
static inline bool propagation_matches(const struct propagation *propagation, struct span name,
				       const struct labels *labels)
{
	return propagation_ways(propagation, name, labels) != 0;
}
/* True if any header travels to and from a workload with `labels`; NULL: from every workload. */
bool propagation_selects(const struct propagation *propagation, const struct labels *labels);
/* True if some header travels by this way, to or from some workload. */
bool propagation_uses(const struct propagation *propagation, enum propagation_way way);
bool propagation_is_empty(const struct propagation *propagation);
