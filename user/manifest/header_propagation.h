/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* ASMHeaderPropagation (istio.alibabacloud.com/v1beta1): which headers travel down the chain. */
#include "base/arena.h"
#include "manifest/resource.h"

struct header_propagation_manifest {
	struct resource resource;
	struct arena arena;
	const char *const *headers;
	size_t header_count;
	const char *const *header_prefixes;
	size_t header_prefix_count;
	bool has_workload_selector;
	struct labels workload_selector; /* workloadSelector.labels; in the arena */
};

int header_propagation_read(const struct node *document, struct diagnostics *diagnostics,
			    struct header_propagation_manifest *ret_manifest);
void header_propagation_free(struct header_propagation_manifest *manifest);
