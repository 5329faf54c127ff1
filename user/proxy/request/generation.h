/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* Which rules a request is decided by: those of the generation that its ids are held with. */
#include "proxy/sharing/holds.h"

struct configuration;
struct lease_queue;
struct request;

/* A worker's: the rules of replaced configurations that holds_keeps says so of. */
struct generations {
	struct holds *holds;	    /* all workers' */
	struct lease_queue *posted; /* configurations that the worker will adopt */
	struct configuration *kept[HOLDS_GENERATIONS];
	size_t kept_count;
};

/*
 * Sets request->rules and request->ids, and holds the ids until holds_release. Of the request,
 * `configuration` and `head` are looked at.
 */
void generation_choose(struct generations *generations, struct request *request, uint64_t now_ms,
		       struct hold *ret_hold);

/* The worker keeps the rules of the configurations of which holds_keeps says so. */
void generation_keep(struct generations *generations, struct configuration *configuration);
/* Drops those that are no longer kept; gives when to come again (ms from now), or -1. */
int generation_expire(struct generations *generations, uint64_t now_ms);
void generation_drop_all(struct generations *generations);
