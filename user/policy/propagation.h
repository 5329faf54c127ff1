/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * Which headers travel down the chain (ASMHeaderPropagation, several add up). Immutable.
 */
#include "manifest/manifest.h"

struct propagation;

int propagation_compile(const struct manifest_set *manifests, struct diagnostics *diagnostics,
			struct propagation **ret_propagation);
void propagation_free(struct propagation *propagation);

/*
 * True if a header of this name travels to and from a workload with `labels` (NULL: not known; then
 * only resources without a workloadSelector count).
 */
bool propagation_matches(const struct propagation *propagation, struct span name,
			 const struct labels *labels);
bool propagation_is_empty(const struct propagation *propagation);
