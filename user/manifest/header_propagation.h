/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* ASMHeaderPropagation (istio.alibabacloud.com/v1beta1): which headers travel down the chain. */
#include "base/arena.h"
#include "manifest/resource.h"

/* How tags of a request reach the calls that it causes, in the order in which they are tried. */
enum propagation_way {
	PROPAGATION_HEADER,  /* the application passed the tag header itself on */
	PROPAGATION_BAGGAGE, /* or W3C baggage */
	PROPAGATION_USER_ID, /* or the user id: decided again, by the same rules */
	PROPAGATION_TRACE,   /* or the id of a trace or request that the kernel knows the tags of */
	PROPAGATION_THREAD,  /* nothing: the thread that calls is the one that was called */
	PROPAGATION_WAYS,
};

#define PROPAGATION_WAY(way) (1U << (way))
#define PROPAGATION_ANY_WAY (PROPAGATION_WAY(PROPAGATION_WAYS) - 1)
/* Who calls on which thread proves nothing in an event loop: that way has to be asked for. */
#define PROPAGATION_STANDARD_WAYS (PROPAGATION_ANY_WAY & ~PROPAGATION_WAY(PROPAGATION_THREAD))

/* As annotations and metrics call it: "user-id". */
const char *propagation_way_name(enum propagation_way way);

struct header_propagation_manifest {
	struct resource resource;
	struct arena arena;
	const char *const *headers;
	size_t header_count;
	const char *const *header_prefixes;
	size_t header_prefix_count;
	bool has_workload_selector;
	struct labels workload_selector; /* workloadSelector.labels; in the arena */
	unsigned ways; /* PROPAGATION_WAY bits; annotation lanetag.io/propagation-ways */
};

int header_propagation_read(const struct node *document, struct diagnostics *diagnostics,
			    struct header_propagation_manifest *ret_manifest);
void header_propagation_free(struct header_propagation_manifest *manifest);
