/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * A file's text cut into its resources: documents, and the items of lists. Each piece can be read by
 * itself. For putting one resource in the place of another without touching the rest.
 */
#include "manifest/manifest.h"

struct manifest_piece {
	const struct manifest_file *file;
	/* Of the resource; "" where the text does not say. Owned. */
	char *group, *kind, *namespace, *name;
	struct span text;      /* in the file's; bytes behind it in its last line are not part */
	unsigned line, column; /* where it starts, from 1 */
	unsigned end_line, end_column; /* behind its last byte */
};

/* Appends the piece as a document of its own. */
void manifest_piece_print(const struct manifest_piece *piece, struct buffer *out);
/* True if both are of one kind, namespace and name, and say which. */
bool manifest_pieces_same_resource(const struct manifest_piece *one,
				   const struct manifest_piece *other);
/* True if the place is in the piece. */
bool manifest_piece_holds(const struct manifest_piece *piece, unsigned line, unsigned column);

struct manifest_pieces {
	struct manifest_piece *items;
	size_t count;
};

/*
 * Appends the pieces of a file, which must outlive them. *ret_whole is false if its text could not
 * be read to its end: the pieces are those in front of the error then. 0, or -ENOMEM.
 */
int manifest_pieces_read(const struct manifest_file *file, struct manifest_pieces *pieces,
			 bool *ret_whole);
void manifest_pieces_free(struct manifest_pieces *pieces);
/* The number of lines that end in the text, as YAML counts them. */
unsigned manifest_text_lines(struct span text);
