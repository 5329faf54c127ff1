/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * The manifests of a directory as one moment has them. A command that changes several files decides
 * on all of them with one rename (release/store.h): from then on DIRECTORY/.lanetag/pending holds the
 * new ones, and an empty NAME.removed for each that goes, until all are in their places. What reads
 * the directory looks there first, so it sees a change wholly or not at all, even if the command
 * was killed between two files.
 */
#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#define MANIFEST_OWN_DIRECTORY ".lanetag"  /* what commands keep; holds no manifests in force */
#define MANIFEST_PENDING "pending"	   /* in it: a change that is decided */
#define MANIFEST_REMOVED_SUFFIX ".removed" /* in that: this manifest goes */

struct manifest_directory {
	int fd, pending; /* pending -1: no change is pending */
	char **names;	 /* of manifests, in order; owned */
	size_t count;
	struct timespec opened, stamp;
};

/* 0 or a negative errno; manifest_directory_close in both cases. */
int manifest_directory_open(const char *path, struct manifest_directory *ret_directory);
void manifest_directory_close(struct manifest_directory *directory);

/*
 * Opens for reading what `name` is now, without waiting for a FIFO's writer. Or a negative errno.
 * *ret_holder (may be NULL): in which of the two directories that is.
 */
int manifest_directory_open_file(const struct manifest_directory *directory, const char *name,
				 int *ret_holder);

/*
 * Whether a change may have been decided since it was opened: what was read may be of both sides.
 * True as well where clocks cannot tell, for 20 ms after a change.
 */
bool manifest_directory_changed(const struct manifest_directory *directory);

/* Names of manifests: *.yaml, *.yml, *.json in any case, without a leading dot. */
bool is_manifest_name(const char *name);
