/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* What the files of this room share of a tagger; nobody else includes it. */
#include "kernel/attachments.h"
#include "kernel/pins.h"
#include "kernel/program.h"
#include "kernel/tagger.h"

struct tagger {
	struct tagger_options options;
	struct pins pins;
	struct program program;
	struct attachments attachments;
	int events; /* netlink, see interface_events.h */

	/* Memory shared with the kernel (marks.c); NULL where a map is not there. */
	const struct lanetag_mark *marks;
	size_t marks_size; /* bytes mapped */
	void *confirmations;
	size_t confirmations_size;
};

/*
 * marks.c: maps what tagger_find_mark reads and tagger_confirm_position writes, after program_load.
 * 0 or a negative errno.
 */
int marks_open(struct tagger *tagger);
void marks_close(struct tagger *tagger);
