/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* What of the newest manifests is not in force, and why. Shared by reference count. */
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

enum rejection_outcome {
	REJECTION_LAST_GOOD, /* an earlier version of the resource stays in force */
	REJECTION_LEFT_OUT,  /* it never was good */
	REJECTION_ROUTE,     /* the resource is in force; a route of it names what is not there */
	REJECTION_OUTCOMES,
};

struct rejection {
	char *kind, *namespace, *name; /* "" where the text does not say */
	char *reason;		       /* FILE:LINE:COLUMN: Kind/name: field: what is wrong */
	enum rejection_outcome outcome;
};

struct rejections {
	_Atomic unsigned references;
	struct rejection *items;
	size_t count;
	size_t unreadable; /* files and directories that could not be read to their end */
};

struct rejections *rejections_new(void); /* NULL when memory is short */
struct rejections *rejections_take(struct rejections *rejections);
void rejections_drop(struct rejections *rejections); /* NULL is fine */
/* The texts are copied. 0, or -1 when memory is short. */
int rejections_add(struct rejections *rejections, const struct rejection *rejection);
size_t rejections_count(const struct rejections *rejections, enum rejection_outcome outcome);
/* "lastGood", "leftOut", "route" */
const char *rejection_outcome_name(enum rejection_outcome outcome);
/* What it costs, in words. */
const char *rejection_outcome_text(enum rejection_outcome outcome);
/* A list of objects; for NULL an empty one. NULL when memory is short. */
json_t *rejections_json(const struct rejections *rejections);
