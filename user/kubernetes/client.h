/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * A cluster's objects, kept up to date by a thread of their own. A reader learns that something
 * changed, and takes all of it as it is then. While the API server cannot be reached, what was
 * known last stays.
 */
#include "kubernetes/access.h"
#include "manifest/manifest.h"

#define KUBERNETES_WATCH_SECONDS 300 /* at least; at most twice this */

struct kubernetes_options {
	struct kubernetes_access access; /* lives longer than the client */
	const char *const *namespaces;	 /* as well */
	size_t namespace_count;		 /* 0: all */
	unsigned subjects;		 /* of enum manifest_subject */
	unsigned watch_seconds;		 /* 0: KUBERNETES_WATCH_SECONDS */
	const char *state_file;		 /* NULL or "": nothing is saved */
};

struct kubernetes_client;

/* 0, or a negative errno. Asks at once; nothing of it blocks. */
int kubernetes_open(const struct kubernetes_options *options,
		    struct kubernetes_client **ret_client);
void kubernetes_close(struct kubernetes_client *client);

/* To poll for POLLIN: each kind was listed, or something changed after that. */
int kubernetes_fd(const struct kubernetes_client *client);
/* True: as said above, since it was asked last. */
bool kubernetes_changed(struct kubernetes_client *client);
/* Each kind that the cluster has was listed since the start. */
bool kubernetes_is_listed(struct kubernetes_client *client);
/* An earlier agent's state was found, and is what is read until each kind was listed. */
bool kubernetes_has_saved(const struct kubernetes_client *client);
/* Why not yet; "" if nothing failed. *ret_failures: the most that a kind failed. */
void kubernetes_describe_failure(struct kubernetes_client *client, char *ret_text, size_t size,
				 uint64_t *ret_failures);

/* All objects: texts named by their place (manifest_files_free). 0 or -ENOMEM. */
int kubernetes_read(struct kubernetes_client *client, struct manifest_file **ret_objects,
		    size_t *ret_count);

/* How a kind is, of all namespaces together. */
struct kubernetes_kind_report {
	char plural[128];
	uint64_t age_s; /* since the API server last said how things are */
	uint64_t objects;
	uint64_t failed;  /* requests */
	uint64_t refused; /* objects that were not understood */
};

#define KUBERNETES_MAX_KINDS 16

/* Gives how many there are. */
size_t kubernetes_report(struct kubernetes_client *client,
			 struct kubernetes_kind_report reports[KUBERNETES_MAX_KINDS]);
