/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* What all kinds share: metadata and where the resource stands. */
#include "manifest/reader.h"

struct label {
	char *key;
	char *value;
};

struct labels {
	struct label *items;
	size_t count;
};

/* exportTo: the namespaces that see a resource; without is_limited all do. */
struct export_manifest {
	bool is_limited;
	const char *const *namespaces;
	size_t count;
};

struct resource {
	char *api_version;
	char *kind;
	char *name;
	char *namespace; /* "default" where the manifest says none */
	struct labels labels;
	struct labels annotations;
	struct source_place place; /* of the document; `file` is owned by the resource (strdup) */
};

/* True if every label of `selector` stands in `labels` with the same value. */
bool labels_select(const struct labels *selector, const struct labels *labels);
const char *labels_get(const struct labels *labels, const char *key); /* or NULL */
int reader_labels(const struct reader *reader, const struct node *mapping,
		  const struct path *parent, const char *field, struct labels *ret_labels);
void labels_free(struct labels *labels);

/* Kind/name into a text that the caller frees. */
char *resource_title(const struct resource *resource);
/* Reads apiVersion, kind, metadata. 0, or -1 (named). */
int resource_read(const struct node *document, struct diagnostics *diagnostics,
		  struct resource *ret_resource);
void resource_free(struct resource *resource);
/* True if resources of this namespace see it; NULL: of one that is not known. */
bool export_includes(const struct export_manifest *export_to, const char *namespace);
