/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * User ids from a file, one a line, or made up. Streams: however long the file, the memory is that
 * of one line, and of a line no more is kept than an id may be long.
 */
#include <stdint.h>
#include <stdio.h>
#include "base/buffer.h"
#include "cli/progress.h"

struct id_source {
	const char *command; /* whose messages these are */
	const char *path;    /* "-": standard input; NULL: made up */
	FILE *file;
	uint64_t count; /* how many to make up */
	uint64_t line;	/* of the last id, counted from 1 */
	uint64_t refused;
	uint64_t unlike, first_unlike; /* lines that look unlike ids, and the number of the first */
	const char *unlike_reason;     /* of the first */
	struct buffer text;
	uint64_t file_bytes; /* or PROGRESS_UNKNOWN */
	struct progress progress;
};

/*
 * 0, or -1 (told). With `path` NULL the ids are user-0 to user-COUNT-1. Progress is shown from here
 * to ids_close: who prints meanwhile, and to a terminal too, sets progress.stream to NULL.
 */
int ids_open(struct id_source *source, const char *command, const char *path, uint64_t count);
/* Says how many lines looked unlike ids: a comment, a table or a text given by mistake. */
void ids_close(struct id_source *source);

/*
 * 1: the next id, trimmed as a field value is, valid until the next call; 0: the end; -1: the file
 * can't be read (told). An id that no header may hold is told with its line, counted in `refused`
 * and passed over. A line's CR is taken off.
 */
int ids_next(struct id_source *source, struct span *ret_id);

/* `--count N`: 0, or -1 (told). */
int ids_parse_count(const char *command, const char *text, uint64_t *ret_count);

/* True if a header may hold the id; else says what is wrong behind `where`. */
bool ids_check(const char *command, const char *where, struct span id);
