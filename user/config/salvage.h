/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * Loading for an agent: a wrong resource costs only itself. Its last good version stays in force, one
 * that never was good is left out. A VirtualService that is left out keeps its hosts, which answer
 * 503 unless another VirtualService has them; a WasmPlugin keeps its tag headers from clients, and
 * tags no user. A file that cannot be read to its end keeps its last good resources. A route to what
 * is not there answers 503.
 */
#include "config/configuration.h"
#include "config/rejections.h"

struct salvage_source {
	const char *const *paths; /* of the manifests */
	size_t path_count;
	const struct manifest_file *objects; /* of an API server */
	size_t object_count;
	const struct mesh_tag_only *tag_only; /* or NULL */
	/* In force until now: where last good versions are taken from. */
	const struct manifest_file *in_force;
	size_t in_force_count;
	/* What they led to, or NULL: what has not changed since is not read again. */
	const struct manifest_set *previous;
	/* Without anything in force, a path that cannot be read is an error. */
	bool is_first;
};

struct salvage_result {
	struct configuration *configuration; /* NULL: nothing can be brought into force (said) */
	struct rejections *rejections;	     /* NULL: all is well, or memory is short */
	bool is_unchanged;		     /* the same resources as those in force */
	bool has_lost_source; /* one that cannot be read has no last good resources */
};

/* All that is wrong is named in `diagnostics`, with its place in the files as they are. */
void salvage_load(const struct salvage_source *source, uint32_t generation,
		  struct diagnostics *diagnostics, struct salvage_result *ret_result);
