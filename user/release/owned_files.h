/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * Files in a directory that another user may own, for a command that may run as root: no link is
 * followed to what only root can read or write, and nothing is written into what was there before.
 * Names are of one step. Errors are negative errnos; OWNED_FOREIGN: it belongs to neither this user
 * nor `owner`, or has a second name somewhere (a hard link).
 */
#include <errno.h>
#include <sys/stat.h>
#include "base/buffer.h"

#define OWNED_FOREIGN (-EXDEV)

/* strerror, and in words what OWNED_FOREIGN and a refused link are. */
const char *owned_error(int error);

/* The directory `at`/`name`, which must belong to this user or to `owner`. */
int owned_open_directory(int at, const char *name, uid_t owner);
/* The same; makes it with `mode` if it is not there. */
int owned_make_directory(int at, const char *name, mode_t mode, uid_t owner);
/* Makes it, readable by this user alone; -EEXIST if something has that name. */
int owned_make_new_directory(int at, const char *name);

/* Opens a regular file with one name. `flags` as open's; with O_CREAT its mode is 0600. */
int owned_open_file(int at, const char *name, int flags, uid_t owner);
/* Writes a file that was not there. `like`: its mode, and its owner where that may be set; or NULL. */
int owned_write_new(int at, const char *name, struct span text, const struct stat *like);

/*
 * Reads a manifest, opened by whatever name: 0, with what it is. A file that belongs to this user
 * is refused as OWNED_FOREIGN if a link led to it that another user made.
 */
int owned_read_manifest(int fd, int directory, const char *name, struct buffer *out,
			struct stat *ret_status);
/* Reads what owned_open_file opened; closes it. A negative `fd` is given back. */
int owned_read(int fd, struct buffer *out, struct stat *ret_status);
