/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * What is wrong with manifests, told as
 *   file:line:column: kind/name: field: what is wrong
 * Collected over all files, so that one run names every error.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include "base/buffer.h"

/* A place in a manifest. Lines and columns count from 1; 0: not known. `file` is not owned. */
struct source_place {
	const char *file;
	unsigned line;
	unsigned column;
};

enum diagnostic_severity {
	DIAGNOSTIC_ERROR,	/* costs the resource */
	DIAGNOSTIC_ROUTE_ERROR, /* costs one route of it: what the route names is not there */
	DIAGNOSTIC_WARNING,
};

struct diagnostic {
	enum diagnostic_severity severity;
	char *file; /* owned */
	unsigned line;
	unsigned column;
	char *text; /* owned: "kind/name: field: what is wrong" */
	/* The other side of a conflict: a place in another resource. `file` owned; line 0: none. */
	char *other_file;
	unsigned other_line;
	unsigned other_column;
};

struct diagnostics {
	struct diagnostic *items;
	size_t count;
	size_t error_count;	  /* of DIAGNOSTIC_ERROR */
	size_t route_error_count; /* of DIAGNOSTIC_ROUTE_ERROR */
};

/* `resource` is "Kind/name" and `field` a path such as "spec.http[0].route"; either may be NULL. */
void diagnostics_add(struct diagnostics *diagnostics, enum diagnostic_severity severity,
		     struct source_place place, const char *resource, const char *field,
		     const char *format, ...) __attribute__((format(printf, 6, 7)));

/* Takes the latest diagnostic back if one of the few before it says the same. */
void diagnostics_drop_repeated(struct diagnostics *diagnostics);

/* Notes for the latest diagnostic which resource it is in conflict with. */
void diagnostics_note_other(struct diagnostics *diagnostics, struct source_place other);

/* Adds one that was made before. */
void diagnostics_add_copy(struct diagnostics *diagnostics, const struct diagnostic *item);
/* Moves all of `from` behind those that are there; `from` is empty then. */
void diagnostics_take(struct diagnostics *diagnostics, struct diagnostics *from);

/* In the order of file, line, column. */
void diagnostics_sort(struct diagnostics *diagnostics);
void diagnostics_print(const struct diagnostics *diagnostics, FILE *stream);
void diagnostics_free(struct diagnostics *diagnostics);
