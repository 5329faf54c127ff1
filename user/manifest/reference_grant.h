/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* ReferenceGrant (gateway.networking.k8s.io): whose HTTPRoutes may lead to Services of its namespace. */
#include "base/arena.h"
#include "manifest/resource.h"

struct reference_grant_manifest {
	struct resource resource;
	struct arena arena;
	const char **from; /* namespaces whose HTTPRoutes it lets in */
	size_t from_count;
	const char **to; /* names of Services; a NULL among them: each Service */
	size_t to_count;
};

/* -1: not even its metadata could be read. */
int reference_grant_read(const struct node *document, struct diagnostics *diagnostics,
			 struct reference_grant_manifest *ret_manifest);
void reference_grant_free(struct reference_grant_manifest *manifest);
/* True if it lets HTTPRoutes of the namespace `from` lead to the Service `name` of `namespace`. */
bool reference_grant_permits(const struct reference_grant_manifest *manifest, const char *from,
			     const char *namespace, const char *name);
