/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * Changing a directory of manifests, one command at a time and wholly or not at all. Beside the
 * manifests, in DIRECTORY/.lanetag:
 *   lock       held while a command works; says which
 *   history/   the configurations before each change, N the newest the highest
 *   pending/   a change that is decided and in force: what reads the directory reads it first
 *              (manifest/directory.h); the next command puts the files in their places if this one
 *              could not
 * The directory may be another user's: release/owned_files.h.
 */
#include "release/changes.h"

#define STORE_HISTORY 20 /* configurations that are kept */

struct store {
	int directory; /* the manifests */
	int own;       /* DIRECTORY/.lanetag; -1: not there yet */
	int lock;
	uid_t owner; /* of the manifests' directory: what else is in it is this user's or our own */
};

/*
 * `says` gets what went wrong, or what is worth knowing, in lines; it may be empty. Opens and locks
 * for `command`. `make`: also makes .lanetag where there is none, and finishes what an earlier
 * command began. 0; -1; or 1: another command holds it. store_close in all cases.
 */
int store_open(const char *directory, const char *command, bool make, struct store *ret_store,
	       struct buffer *says);
void store_close(struct store *store);

/* Keeps the old texts in the history, then puts the new ones in force. `why`: the command line. */
int store_apply(struct store *store, const struct changes *changes, const char *why,
		struct buffer *says);

/* Takes back what store_apply did with the same changes, as if it had not been. 0 or -1. */
int store_undo(struct store *store, const struct changes *changes, struct buffer *says);

struct history_entry {
	unsigned number; /* of its directory */
	char *why;	 /* the change that ended it */
	long time;	 /* when, seconds since 1970 */
};

/* Newest first. 0 or -1. The caller frees with history_free. */
int store_history(struct store *store, struct history_entry **ret_entries, size_t *ret_count,
		  struct buffer *says);
void history_free(struct history_entry *entries, size_t count);
/* Makes the entry's texts the new ones of `changes`. 0 or -1. */
int store_recall(struct store *store, const struct history_entry *entry, struct changes *changes,
		 struct buffer *says);
