/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * A configuration is a value: manifests read, checked as a whole and compiled, under one
 * generation. Never changed after configuration_load; shared by reference count. Its rules can
 * outlive it: old requests are decided by them, but not routed.
 */
#include "mesh/mesh.h"
#include "policy/propagation.h"
#include "policy/tag_rules.h"

struct configuration {
	uint32_t generation;
	struct tag_rules *tag_rules;
	struct propagation *propagation;
	struct mesh *mesh;
	struct manifest_set manifests; /* what the above points into */
	_Atomic unsigned references;
	_Atomic unsigned rule_references; /* the references above together count as one */
};

/*
 * Gives a configuration with one reference, or NULL: the errors then stand in `diagnostics`.
 * Warnings stand there in either case.
 */
struct configuration *configuration_load(const char *const *paths, size_t path_count,
					 uint32_t generation, struct diagnostics *diagnostics);
/*
 * The same without routes; what of the manifests is then another's affair is not read. `tag_only`
 * may be NULL: as above.
 */
struct configuration *configuration_load_tag_only(const char *const *paths, size_t path_count,
						  const struct mesh_tag_only *tag_only,
						  uint32_t generation,
						  struct diagnostics *diagnostics);
/* The same of paths and objects. */
struct configuration *configuration_load_input(const struct manifest_input *input,
					       const struct mesh_tag_only *tag_only,
					       uint32_t generation,
					       struct diagnostics *diagnostics);
/* Bits of enum manifest_subject: what the above reads. */
unsigned configuration_subjects(const struct mesh_tag_only *tag_only);
/* The same of tags alone: without routes, hosts or a next hop. */
struct configuration *configuration_load_tags(const char *const *paths, size_t path_count,
					      struct diagnostics *diagnostics);
/* The same of files that were read before; `subjects`: MANIFEST_ALL or MANIFEST_TAGS. */
struct configuration *configuration_load_files(const struct manifest_file *files, size_t file_count,
					       unsigned subjects, uint32_t generation,
					       struct diagnostics *diagnostics);
/*
 * For an agent: the two above, but a route to what is not there (DIAGNOSTIC_ROUTE_ERROR) answers 503
 * and is no reason to give NULL. *ret_files are the files as they were read, in either case; the
 * caller frees them with manifest_files_free.
 */
struct configuration *configuration_read_tolerant(const struct manifest_input *input,
						  const struct mesh_tag_only *tag_only,
						  uint32_t generation,
						  struct diagnostics *diagnostics,
						  struct manifest_file **ret_files,
						  size_t *ret_file_count);
struct configuration *configuration_load_tolerant(const struct manifest_file *files,
						  size_t file_count,
						  const struct mesh_tag_only *tag_only,
						  uint32_t generation,
						  struct diagnostics *diagnostics);
/* Before it is shared: goes on where an earlier agent ended. */
void configuration_set_generation(struct configuration *configuration, uint32_t generation);
struct configuration *configuration_take(struct configuration *configuration);
void configuration_drop(struct configuration *configuration); /* NULL is fine */
/* True: the caller has the only reference. */
bool configuration_is_sole(const struct configuration *configuration);
/* The same of the rules and the generation alone; mesh, propagation and manifests may be gone. */
struct configuration *configuration_take_rules(struct configuration *configuration);
void configuration_drop_rules(struct configuration *configuration); /* NULL is fine */
