/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * One kind of the API server's as it is now: whether the cluster has it, a list of all its objects,
 * then their changes as they come, from where an answer ended to the next. Knows no socket and no
 * clock: it says what to ask for, and takes the bytes of answers and how they ended. What it has
 * stays until something newer is known.
 */
#include "base/random.h"
#include "kubernetes/list.h"
#include "kubernetes/objects.h"

#define KUBERNETES_PAGE 500 /* items of a list's answer */

enum reflector_step {
	REFLECTOR_GROUP,     /* does the cluster have the kind's group? */
	REFLECTOR_RESOURCES, /* and the kind? */
	REFLECTOR_LIST,
	REFLECTOR_WATCH,
	REFLECTOR_STEPS
};

const char *reflector_step_name(enum reflector_step step);

struct reflector_answer {
	int status;
	uint64_t asked_ns;
	bool heard; /* a whole event, of a watch */
	bool expired;
	struct kubernetes_list list;
	struct buffer body; /* of other answers; a watch's event that is not whole yet */
	char reason[200];
};

struct reflector {
	struct manifest_kind kind;
	char resource[64]; /* in paths: the kind's plural */
	/* The same for people and files; with its group where two kinds share it. */
	char plural[128];
	const char *field_selector; /* NULL: all objects */
	const char *namespace;	    /* NULL: of all; the caller's */
	unsigned watch_seconds;	    /* the least that a watch lasts; twice this is the most */
	struct random_numbers *random;

	enum reflector_step step;
	char version[32];
	char *resource_version; /* of what `objects` holds */
	char *rest;		/* of the list, where there is more; "continue" in its words */
	bool from_cache;	/* the server's own copy is fresh enough for the list */
	struct kubernetes_objects listing;
	struct reflector_answer answer;
	unsigned failures; /* one after the other */
	uint64_t
		absent_ns; /* since when the cluster does not have the kind; 0: it has, or who knows */
	uint64_t due_ns; /* of the next request; 0: at once */

	/* What others read: */
	bool listed;  /* what `objects` holds is what the cluster had */
	bool changed; /* since the reader set it to false */
	struct kubernetes_objects objects;
	uint64_t heard_ns;	  /* when the server last said how things are */
	uint64_t failed, refused; /* requests; objects */
	char latest_failure[200];
};

struct reflector_request {
	struct buffer target; /* path and query */
	unsigned timeout_s;   /* silence and all */
	bool is_watch;
};

/* The kind as manifest_kind_describe gives it. */
void reflector_init(struct reflector *reflector, const struct manifest_kind *kind,
		    const char *namespace, unsigned watch_seconds, struct random_numbers *random);
void reflector_free(struct reflector *reflector);

/* What to ask for next; target.failed: memory was short. */
void reflector_ask(struct reflector *reflector, uint64_t now_ns,
		   struct reflector_request *ret_request);
/*
 * Some of the answer's body: 0, or a negative errno: it is of no use any more. `now_ns`: an event
 * that comes says how things are.
 */
int reflector_receive(struct reflector *reflector, int status, struct span bytes, uint64_t now_ns);
/*
 * The answer's end. `failure` NULL: it came whole; otherwise what broke it off. `retry_after_s`: what
 * the server asks for, or 0. Sets what comes next, and when: due_ns.
 */
void reflector_end(struct reflector *reflector, int status, const char *failure,
		   unsigned retry_after_s, uint64_t now_ns);
