/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * Reading into an arena: for manifests with many small parts that are given back together. What is
 * absent or wrong (then named in the diagnostics) leaves its default.
 */
#include "base/arena.h"
#include "manifest/resource.h"

struct builder {
	struct reader reader;
	struct arena *arena;
	const char *file; /* lives as long as the manifest */
	char *title;	  /* the reader's resource; owned */
};

/*
 * Reads what every kind has (resource_read) and stands ready for the rest: 0, then builder_end when
 * all is read; or -1 (named). What is read lives in `arena`, which the manifest owns as it does
 * `resource`.
 */
int builder_begin(struct builder *builder, const struct node *document,
		  struct diagnostics *diagnostics, struct resource *resource, struct arena *arena);
void builder_end(struct builder *builder);

/* Memory for `count` elements, zeroed; NULL (named) when memory is short. */
void *builder_array(const struct builder *builder, const struct node *node, size_t count,
		    size_t size);
struct source_place builder_place(const struct builder *builder, const struct node *node);
/* A copy of the text; NULL if absent or wrong. */
const char *builder_text(const struct builder *builder, const struct node *mapping,
			 const struct path *parent, const char *field);
/* The same; its absence is an error at `mapping`. */
const char *builder_required_text(const struct builder *builder, const struct node *mapping,
				  const struct path *parent, const char *field);
/* A list of texts. */
void builder_texts(const struct builder *builder, const struct node *mapping,
		   const struct path *parent, const char *field, const char *const **ret_texts,
		   size_t *ret_count);
void builder_labels(const struct builder *builder, const struct node *mapping,
		    const struct path *parent, const char *field, struct labels *ret_labels);
/* A number from `minimum` to `maximum`, or `absent`. */
uint32_t builder_number(const struct builder *builder, const struct node *mapping,
			const struct path *parent, const char *field, uint32_t minimum,
			uint32_t maximum, uint32_t absent);
/* A duration in ms of at most UINT32_MAX; 0 if absent. */
uint32_t builder_duration_ms(const struct builder *builder, const struct node *mapping,
			     const struct path *parent, const char *field);
/* A duration that must be more than 0 where it is given. */
uint32_t builder_positive_duration_ms(const struct builder *builder, const struct node *mapping,
				      const struct path *parent, const char *field);
/* exportTo: "." is `own_namespace`, "~" none. */
struct export_manifest builder_export(const struct builder *builder, const struct node *mapping,
				      const struct path *parent, const char *own_namespace);
/* The same where all namespaces see the resource for all that: a warning says so. */
void builder_warn_of_export(const struct builder *builder, const struct node *mapping,
			    const struct path *parent);
/* Errors where `field` is absent; gives the child otherwise. */
struct node *builder_required_child(const struct builder *builder, const struct node *mapping,
				    const struct path *parent, const char *field,
				    enum node_kind kind);

bool builder_is_host(struct span text); /* in lower case, without a wildcard */
/* A host or a wildcard "*", "*.suffix" in lower case; names what is wrong. NULL then. */
const char *builder_host(const struct builder *builder, const struct node *node, struct span text,
			 const struct path *path, bool wildcards);
