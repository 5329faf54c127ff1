/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * What a command would make of a directory of manifests: each file's text before and after. Texts
 * are edited where something stands, not written anew, so that comments and form stay.
 */
#include <sys/stat.h>
#include "base/buffer.h"
#include "manifest/diagnostics.h"

struct text_edit {
	size_t from, to; /* bytes of the old text: from <= byte < to */
	char *text;	 /* stands there instead */
};

struct changed_file {
	char *name;   /* below the directory */
	bool was, is; /* there before, there after */
	struct buffer old, new;
	struct text_edit *edits; /* in any order; one within another goes with it */
	size_t edit_count;
	bool is_link;	  /* before: the file is elsewhere and is not replaced */
	struct stat like; /* mode and owner of the file before; of a recalled one, its mode */
	bool is_recalled; /* `new` is what it shall be; else it is made of the edits */
};

struct changes {
	const char *directory;
	struct changed_file *files;
	size_t file_count;
};

/* Reads all manifests of a directory: nothing changed yet. 0, or -1: `says` why. changes_free. */
int changes_open(const char *directory, struct changes *ret_changes, struct buffer *says);
void changes_free(struct changes *changes);

/* The whole text of a file that may be new; NULL when memory is short. */
struct changed_file *changes_file(struct changes *changes, const char *name);

/* The file that a place of a manifest is in, or NULL; *ret_offset is where in its old text. */
struct changed_file *changes_find(struct changes *changes, struct source_place place,
				  size_t *ret_offset);
/* Once, however often it is asked for. 0, or -1 when memory is short. */
int changes_edit(struct changed_file *file, size_t from, size_t to, const char *text);
/*
 * What goes with the item of a list whose content begins at `offset`: "- …" with all its lines, or
 * what stands between commas. Items that go are to be edited in their order. -1: no such item.
 */
int changes_item(const struct changed_file *file, size_t offset, size_t *ret_from, size_t *ret_to);
/* The item of a list goes. 0, or -1: `says` why. */
int changes_remove_item(struct changes *changes, struct source_place place, struct buffer *says);
/* All items of the list `key` ("rules:") go: an empty list remains. 0, or -1: `says` why. */
int changes_empty_list(struct changes *changes, const char *key, const struct source_place *places,
		       size_t count, struct buffer *says);
/* Makes the new texts of the edits; true if any file differs. */
bool changes_finish(struct changes *changes);

/* Appends "FILE:LINE:COLUMN: what" to `says`; gives -1. */
int changes_refuse(struct buffer *says, struct source_place place, const char *what);

bool changed_file_differs(const struct changed_file *file);
/* Unified diff of all files that differ. */
void changes_diff(const struct changes *changes, struct buffer *out);
