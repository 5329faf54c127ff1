/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* Which rules a request is decided by: those of the generation that its ids are held with. */
#include "proxy/sharing/holds.h"

struct request;
struct worker;

/*
 * Sets request->rules and request->ids, and holds the ids until holds_release. Of the request,
 * `configuration` and `head` are looked at.
 */
void generation_choose(struct worker *worker, struct request *request, struct hold *ret_hold);

/* The worker keeps the rules of the configurations of which holds_keeps says so. */
struct configuration;
void generation_keep(struct worker *worker, struct configuration *configuration);
/* Drops those that are no longer kept; gives when to come again (ms from now), or -1. */
int generation_expire(struct worker *worker);
void generation_drop_all(struct worker *worker);
