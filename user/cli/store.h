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
 * The directory may be another user's: cli/owned_files.h.
 */
#include "cli/changes.h"

#define STORE_HISTORY 20 /* configurations that are kept */

struct store {
	int directory; /* the manifests */
	int own;       /* DIRECTORY/.lanetag; -1: not there yet */
	int lock;
	uid_t owner; /* of the manifests' directory: what else is in it is this user's or our own */
};

/*
 * Opens and locks. `make`: also makes .lanetag where there is none, and finishes what an earlier
 * command began. 0; -1 (told); or 1: another command holds it (told which). store_close in all
 * cases.
 */
int store_open(const char *command, const char *directory, bool make, struct store *ret_store);
void store_close(struct store *store);

/* Keeps the old texts in the history, then puts the new ones in force. `why`: the command line. */
int store_apply(struct store *store, const char *command, const struct changes *changes,
		const char *why);

/* Takes back what store_apply did with the same changes, as if it had not been. 0, or -1 (told). */
int store_undo(struct store *store, const char *command, const struct changes *changes);

struct history_entry {
	unsigned number; /* of its directory */
	char *why;	 /* the change that ended it */
	long time;	 /* when, seconds since 1970 */
};

/* Newest first. -1 (told). The caller frees with history_free. */
int store_history(struct store *store, const char *command, struct history_entry **ret_entries,
		  size_t *ret_count);
void history_free(struct history_entry *entries, size_t count);
/* Makes the entry's texts the new ones of `changes`. 0, or -1 (told). */
int store_recall(struct store *store, const char *command, const struct history_entry *entry,
		 struct changes *changes);
