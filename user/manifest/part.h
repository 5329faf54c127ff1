/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * What was read of one document, or of a file as a whole. Never changed once it is read; sets of manifests share
 * parts, so that a reload reads only what has changed. Parts own all that their manifests point to.
 */
#include "manifest/manifest.h"

struct manifest_part {
	_Atomic unsigned references;
	char *file;
	unsigned line; /* of the file, where `text` begins */
	char *text;
	size_t length;
	uint64_t hash; /* manifest_part_hash */
	struct manifest_set own;
	struct diagnostics diagnostics; /* what reading it has said */
};

/* A part with one reference, in which nothing is read yet; NULL when memory is short. */
struct manifest_part *manifest_part_new(const char *file, unsigned line, struct span text,
					unsigned subjects);
struct manifest_part *manifest_part_take(struct manifest_part *part);
void manifest_part_drop(struct manifest_part *part); /* NULL is fine */

uint64_t manifest_part_hash(const char *file, unsigned line, struct span text);

/*
 * True if the text can be read one document at a time, with the result of reading it as a whole: it has no
 * directives, anchors, ends of documents ("...") or line breaks other than line feeds.
 */
bool manifest_text_can_split(struct span text);
size_t manifest_text_line_feeds(struct span text);
/* Cuts the next document off, from its "---" (the first: from the beginning) to the next one's. False: end. */
bool manifest_next_document(struct span *rest, struct span *ret_document);
