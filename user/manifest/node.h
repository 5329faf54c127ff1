/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * A YAML document as a tree that knows where each of its nodes stands. Anchors and aliases are
 * expanded by copy, merge keys ("<<") are not ours; duplicate keys of a mapping are errors.
 */
#include <stdbool.h>
#include <stdint.h>
#include "base/span.h"
#include "manifest/diagnostics.h"

#define NODE_MAX_DEPTH 64
#define NODE_MAX_COUNT 4000000 /* of one file: a bound against alias bombs */

enum node_kind { NODE_SCALAR, NODE_SEQUENCE, NODE_MAPPING };

struct node {
	enum node_kind kind;
	struct source_place place;
	unsigned end_line, end_column; /* of a sequence or mapping: behind its last byte */
	bool plain; /* scalar: written without quotes (so that null, true, 10 have their types) */
	struct span text;    /* scalar: NUL-terminated too; may hold any byte */
	size_t count;	     /* sequence: items; mapping: pairs */
	struct node **keys;  /* mapping */
	struct node **items; /* sequence: items; mapping: values */
};

/*
 * Reads all documents of a file (or of memory, `file` naming it). Errors go into `diagnostics`.
 * Gives the number of documents in front of what cannot be read; *ret_documents is owned by the
 * caller (nodes_free). Empty documents are left out. A document with a key that is there twice, or
 * a merge key, is read for all that, and the error named.
 */
/* The file alone, as text: 0, or -1 (named in `diagnostics`). */
int nodes_read_text(const char *file, struct diagnostics *diagnostics, struct buffer *ret_text);
/* The same of an open file, which stays open; a negative errno as `fd` is named as well. */
int nodes_read_fd(int fd, const char *file, struct diagnostics *diagnostics,
		  struct buffer *ret_text);
size_t nodes_read_file(const char *file, struct diagnostics *diagnostics,
		       struct node ***ret_documents);
size_t nodes_read_memory(const char *file, struct span text, struct diagnostics *diagnostics,
			 struct node ***ret_documents);
/* The same of a part of the file that begins at the start of this line. */
size_t nodes_read_from(const char *file, unsigned line, struct span text,
		       struct diagnostics *diagnostics, struct node ***ret_documents);
/* True if the text could be read to its end. */
bool nodes_are_whole(struct node **documents);
void nodes_free(struct node **documents, size_t count);

/* The value of `key`, or NULL (also if `mapping` is NULL or no mapping). */
struct node *node_get(const struct node *mapping, const char *key);

/* True for absent values, plain null/~ and plain nothing. */
bool node_is_null(const struct node *node);
