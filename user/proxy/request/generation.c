/* SPDX-License-Identifier: GPL-2.0-only */
#include "proxy/request/generation.h"

#include "proxy/request/request.h"
#include "proxy/upstream/lease_queue.h"

/* Drops what the worker keeps in a place. */
static void drop(struct generations *generations, size_t index)
{
	if (!generations->kept[index])
		return;
	configuration_drop_rules(generations->kept[index]);
	generations->kept[index] = NULL;
	generations->kept_count--;
}

void generation_keep(struct generations *generations, struct configuration *configuration)
{
	size_t index = configuration->generation % HOLDS_GENERATIONS;

	drop(generations, index);
	generations->kept[index] = configuration_take_rules(configuration);
	generations->kept_count++;
}

int generation_expire(struct generations *generations, uint64_t now_ms)
{
	const struct holds *holds = generations->holds;

	if (generations->kept_count == 0)
		return -1;
	for (size_t i = 0; i < HOLDS_GENERATIONS; i++) {
		if (generations->kept[i] &&
		    !holds_keeps(holds, generations->kept[i]->generation, now_ms))
			drop(generations, i);
	}
	return generations->kept_count ? (int)holds->keep_ms : -1;
}

void generation_drop_all(struct generations *generations)
{
	for (size_t i = 0; i < HOLDS_GENERATIONS; i++)
		drop(generations, i);
}

/* NULL: this worker drains and was not told any more. */
static const struct tag_rules *rules_of(struct generations *generations, uint32_t generation)
{
	const struct configuration *kept = generations->kept[generation % HOLDS_GENERATIONS];

	if (kept && kept->generation == generation)
		return kept->tag_rules;
	/* Posted, but not adopted yet: the one case in which a request takes a lock of configuration. */
	const struct configuration *posted = lease_queue_find(generations->posted, generation);
	return posted ? posted->tag_rules : NULL;
}

struct keys {
	size_t count;
	uint64_t keys[LANETAG_MAX_SOURCES];
};

static void add_keys(const struct tag_rules *rules, const struct tag_ids *ids, struct keys *keys)
{
	uint64_t more[LANETAG_MAX_SOURCES];
	size_t count = tag_rules_id_keys(rules, ids, more);

	for (size_t i = 0; i < count && keys->count < LANETAG_MAX_SOURCES; i++) {
		bool known = false;

		for (size_t j = 0; j < keys->count && !known; j++)
			known = keys->keys[j] == more[i];
		if (!known)
			keys->keys[keys->count++] = more[i];
	}
}

/* True if the request's rules, or those of an earlier place, look for the same ids. */
static bool is_looked_for(const struct generations *generations, const struct request *request,
			  size_t place)
{
	const struct tag_rules *rules = generations->kept[place]->tag_rules;

	if (tag_rules_same_sources(rules, request->rules))
		return true;
	for (size_t i = 0; i < place; i++) {
		if (generations->kept[i] &&
		    tag_rules_same_sources(rules, generations->kept[i]->tag_rules))
			return true;
	}
	return false;
}

/* The ids that the kept rules look for, where these are others: most reloads change no source. */
static void add_kept_keys(struct generations *generations, struct request *request,
			  struct keys *keys)
{
	struct tag_ids ids;

	for (size_t i = 0; generations->kept_count && i < HOLDS_GENERATIONS; i++) {
		if (!generations->kept[i] || is_looked_for(generations, request, i))
			continue;
		tag_rules_find_ids(generations->kept[i]->tag_rules, &request->head, &ids);
		add_keys(generations->kept[i]->tag_rules, &ids, keys);
	}
}

void generation_choose(struct generations *generations, struct request *request, uint64_t now_ms,
		       struct hold *ret_hold)
{
	const struct configuration *configuration = request->configuration;
	struct keys keys = {0};

	request->rules = configuration->tag_rules;
	tag_rules_find_ids(request->rules, &request->head, &request->ids);
	if (!propagation_uses(configuration->propagation, PROPAGATION_USER_ID))
		return;
	add_keys(request->rules, &request->ids, &keys);
	add_kept_keys(generations, request, &keys);
	uint32_t generation =
		holds_take(generations->holds, keys.keys, keys.count, now_ms, ret_hold);
	if (generation == configuration->generation)
		return;
	const struct tag_rules *rules = rules_of(generations, generation);
	if (!rules)
		return;
	if (!tag_rules_same_sources(rules, request->rules))
		tag_rules_find_ids(rules, &request->head, &request->ids);
	request->rules = rules;
}
