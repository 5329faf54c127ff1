/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * Resources of a mesh or a cluster that protect or steer, and that nothing here enforces. They are
 * passed over, but never without a word on what is lost, and for which hosts.
 */
#include "base/span.h"
#include "manifest/manifest.h"

/* One of them, as it was read; freed by unenforced_free. */
struct unenforced {
	char *title;		/* Kind/name */
	const char *lost;	/* "its rules are not checked"; static */
	char *namespace;	/* its own */
	struct labels selector; /* of the workloads that it is for; none: all of the namespace */
	char *hosts;		/* that lose it, for people; NULL: not known yet */
	struct source_place place;
	char *file; /* of the place */
};

/* What is lost with a resource of this kind; NULL: it is none of these. */
const char *unenforced_kind(struct span group, struct span kind);
/* 0, or -ENOMEM. */
int unenforced_read(const struct node *document, const char *lost, struct unenforced *ret_one);
/* Finds the hosts by the services of the set, and warns. */
void unenforced_report(struct unenforced *one, const struct manifest_set *set,
		       struct diagnostics *diagnostics);
void unenforced_free(struct unenforced *one);
