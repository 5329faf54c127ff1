/* SPDX-License-Identifier: GPL-2.0-only */
#include "config/rejections.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"

struct rejections *rejections_new(void)
{
	struct rejections *rejections = calloc(1, sizeof(*rejections));

	if (rejections)
		rejections->references = 1;
	return rejections;
}

struct rejections *rejections_take(struct rejections *rejections)
{
	if (rejections)
		atomic_fetch_add_explicit(&rejections->references, 1, memory_order_relaxed);
	return rejections;
}

static void free_one(struct rejection *rejection)
{
	free(rejection->kind);
	free(rejection->namespace);
	free(rejection->name);
	free(rejection->reason);
}

void rejections_drop(struct rejections *rejections)
{
	if (!rejections ||
	    atomic_fetch_sub_explicit(&rejections->references, 1, memory_order_acq_rel) != 1)
		return;
	for (size_t i = 0; i < rejections->count; i++)
		free_one(&rejections->items[i]);
	free(rejections->items);
	free(rejections);
}

/* Names are others' texts: no byte of theirs may steer a terminal. */
static char *printable_copy(const char *text)
{
	char *copy = strdup(text);

	for (char *byte = copy; byte && *byte; byte++) {
		if ((unsigned char)*byte < ' ' || *byte == 0x7f)
			*byte = '?';
	}
	return copy;
}

int rejections_add(struct rejections *rejections, const struct rejection *rejection)
{
	struct rejection *added = ARRAY_APPEND(rejections->items, rejections->count);

	if (!added)
		return -1;
	*added = (struct rejection){
		.kind = printable_copy(rejection->kind),
		.namespace = printable_copy(rejection->namespace),
		.name = printable_copy(rejection->name),
		.reason = printable_copy(rejection->reason),
		.outcome = rejection->outcome,
	};
	if (added->kind && added->namespace && added->name && added->reason)
		return 0;
	free_one(added);
	rejections->count--;
	return -1;
}

size_t rejections_count(const struct rejections *rejections, enum rejection_outcome outcome)
{
	size_t count = 0;

	for (size_t i = 0; rejections && i < rejections->count; i++)
		count += rejections->items[i].outcome == outcome;
	return count;
}

const char *rejection_outcome_name(enum rejection_outcome outcome)
{
	static const char *const names[] = {
		[REJECTION_LAST_GOOD] = "lastGood",
		[REJECTION_LEFT_OUT] = "leftOut",
		[REJECTION_ROUTE] = "route",
	};

	return names[outcome];
}

const char *rejection_outcome_text(enum rejection_outcome outcome)
{
	static const char *const texts[] = {
		[REJECTION_LAST_GOOD] = "its last good version stays in force",
		[REJECTION_LEFT_OUT] = "it is left out",
		[REJECTION_ROUTE] = "its route to what is not there answers 503",
	};

	return texts[outcome];
}

json_t *rejections_json(const struct rejections *rejections)
{
	json_t *list = json_array();

	for (size_t i = 0; rejections && i < rejections->count; i++) {
		const struct rejection *item = &rejections->items[i];

		json_array_append_new(list,
				      json_pack("{s:s, s:s, s:s, s:s, s:s}", "kind", item->kind,
						"namespace", item->namespace, "name", item->name,
						"outcome", rejection_outcome_name(item->outcome),
						"reason", item->reason));
	}
	return list;
}
