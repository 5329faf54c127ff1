/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * Where manifests come from: files and directories, a cluster's API server, or both. Says that
 * something changed, never what; all of it is read again then. A manifest's place is a file's line,
 * or NAMESPACE/KINDS/NAME of an object, in which a field's path says where.
 */
#include "kubernetes/client.h"
#include "manifest/manifest.h"

struct manifest_source;

struct manifest_source_options {
	const char *const *paths; /* they live longer than the source */
	size_t path_count;
	const struct kubernetes_options *kubernetes; /* NULL: files alone */
};

/*
 * 0, or a negative errno. Files that cannot be watched are logged, and read all the same. What comes
 * from an API server is there only once manifest_source_is_ready says so.
 */
int manifest_source_open(const struct manifest_source_options *options,
			 struct manifest_source **ret_source);
void manifest_source_close(struct manifest_source *source); /* NULL is fine */

/* To poll for POLLIN. */
int manifest_source_fd(const struct manifest_source *source);
/* True if a manifest may have changed since it was asked last. Never blocks. */
bool manifest_source_changed(struct manifest_source *source);
/* All that is to be known at the start is known. */
bool manifest_source_is_ready(struct manifest_source *source);
/* NULL: files alone. */
struct kubernetes_client *manifest_source_kubernetes(const struct manifest_source *source);

/* The API server's objects as they are now, which the caller frees (manifest_files_free). 0 or -ENOMEM. */
int manifest_source_read_objects(struct manifest_source *source, struct manifest_file **ret_objects,
				 size_t *ret_count);
