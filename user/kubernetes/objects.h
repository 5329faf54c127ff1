/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * The objects of one kind by namespace and name, each as the text that manifests are read from:
 * what lanetag reads of it, and no more, so that a change of anything else is none.
 */
#include <jansson.h>

#include "manifest/manifest.h"

#define KUBERNETES_MAX_OBJECTS 1000000
#define KUBERNETES_MAX_BYTES (1ULL << 30) /* of all texts of a kind */

struct kubernetes_object {
	char *namespace, *name;
	char *text; /* one line */
};

/* All zero: empty. In order, but while a list is gathered. */
struct kubernetes_objects {
	struct kubernetes_object *items;
	size_t count;
	uint64_t bytes;
};

/*
 * The object of an item of a list, or of an event; items of core lists do not say their kind. 0;
 * -EINVAL: it is none (no name, no namespace, or what no text may hold); -ENOMEM.
 */
int kubernetes_object_read(const struct manifest_kind *kind, const char *version, json_t *item,
			   struct kubernetes_object *ret_object);
void kubernetes_object_free(struct kubernetes_object *object);

/* At the end, in no order: takes the object over, also where it fails. 0, -ENOMEM or -E2BIG. */
int kubernetes_objects_add(struct kubernetes_objects *objects, struct kubernetes_object *object);
/* Brings them into order; of several of one name the last one stays. */
void kubernetes_objects_sort(struct kubernetes_objects *objects);
/* Into its place; as above. *ret_changed: it is new, or another one. */
int kubernetes_objects_put(struct kubernetes_objects *objects, struct kubernetes_object *object,
			   bool *ret_changed);
/* True: it was there. */
bool kubernetes_objects_remove(struct kubernetes_objects *objects, const char *namespace,
			       const char *name);
bool kubernetes_objects_equal(const struct kubernetes_objects *left,
			      const struct kubernetes_objects *right);
void kubernetes_objects_free(struct kubernetes_objects *objects);
