/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * Which interfaces the program runs on. Patterns say which it should; a pass of reconciliation
 * makes it so, whatever happened since: interfaces that came, went or changed their name, filters
 * that somebody removed, links and filters that an earlier agent left.
 */
#include <net/if.h>
#include "kernel/pins.h"
#include "kernel/tagger.h"

struct attachment {
	unsigned interface;
	char name[IF_NAMESIZE];
	int link;	   /* a TCX link, or -1 */
	uint32_t priority; /* of a clsact filter, or 0 */
	bool made_qdisc;
	bool stale;   /* runs an earlier agent's program */
	bool present; /* during a pass: should be there */
	int error;    /* of the last try; logged when it changes */
};

struct attachments {
	const struct tagger_options *options;
	struct pins *pins;
	int program;
	bool no_tcx; /* the kernel has none, found by trying */
	uint64_t network_namespace;
	struct attachment *items;
	size_t count;
	uint32_t *own_programs; /* ids, those of earlier agents too */
	size_t own_program_count;
};

/*
 * Starts with what an earlier agent's pins name; nothing is changed yet. `options` and `pins` must
 * outlive it. 0 or a negative errno.
 */
int attachments_open(struct attachments *attachments, const struct tagger_options *options,
		     struct pins *pins, int program);
/* One pass. 0, or the negative errno of a failed attachment if not a single one stands. */
int attachments_reconcile(struct attachments *attachments);
/* Detaches and unpins all. */
void attachments_close(struct attachments *attachments);
/* Forgets all, leaving the pinned ones as they are. */
void attachments_release(struct attachments *attachments);

/* True if pins name an attachment in this thread's network namespace. */
bool attachments_are_pinned_here(const struct pins *pins);

size_t attachments_standing(const struct attachments *attachments);
