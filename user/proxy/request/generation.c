/* SPDX-License-Identifier: GPL-2.0-only */
#include "proxy/request/generation.h"

#include "proxy/worker/worker.h"

/* Drops what the worker keeps in a place. */
static void drop(struct worker *worker, size_t index)
{
	if (!worker->kept[index])
		return;
	configuration_drop_rules(worker->kept[index]);
	worker->kept[index] = NULL;
	worker->kept_count--;
}

void generation_keep(struct worker *worker, struct configuration *configuration)
{
	size_t index = configuration->generation % HOLDS_GENERATIONS;

	drop(worker, index);
	worker->kept[index] = configuration_take_rules(configuration);
	worker->kept_count++;
}

int generation_expire(struct worker *worker)
{
	const struct holds *holds = worker->proxy->holds;

	if (worker->kept_count == 0)
		return -1;
	for (size_t i = 0; i < HOLDS_GENERATIONS; i++) {
		if (worker->kept[i] &&
		    !holds_keeps(holds, worker->kept[i]->generation, worker->now_ms))
			drop(worker, i);
	}
	return worker->kept_count ? (int)holds->keep_ms : -1;
}

void generation_drop_all(struct worker *worker)
{
	for (size_t i = 0; i < HOLDS_GENERATIONS; i++)
		drop(worker, i);
}

/* Posted, but not yet adopted: it stays in the mailbox as long as this thread does not look in. */
static const struct tag_rules *rules_in_mailbox(struct worker *worker, uint32_t generation)
{
	const struct tag_rules *rules = NULL;

	pthread_mutex_lock(&worker->mailbox_lock);
	for (struct lease *lease = worker->mailbox; lease && !rules; lease = lease->next) {
		if (lease->configuration->generation == generation)
			rules = lease->configuration->tag_rules;
	}
	pthread_mutex_unlock(&worker->mailbox_lock);
	return rules;
}

/* NULL: this worker drains and was not told any more. */
static const struct tag_rules *rules_of(struct worker *worker, uint32_t generation)
{
	const struct configuration *kept = worker->kept[generation % HOLDS_GENERATIONS];

	if (kept && kept->generation == generation)
		return kept->tag_rules;
	return rules_in_mailbox(worker, generation);
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
static bool is_looked_for(const struct worker *worker, const struct request *request, size_t place)
{
	const struct tag_rules *rules = worker->kept[place]->tag_rules;

	if (tag_rules_same_sources(rules, request->rules))
		return true;
	for (size_t i = 0; i < place; i++) {
		if (worker->kept[i] && tag_rules_same_sources(rules, worker->kept[i]->tag_rules))
			return true;
	}
	return false;
}

/* The ids that the kept rules look for, where these are others: most reloads change no source. */
static void add_kept_keys(struct worker *worker, struct request *request, struct keys *keys)
{
	struct tag_ids ids;

	for (size_t i = 0; worker->kept_count && i < HOLDS_GENERATIONS; i++) {
		if (!worker->kept[i] || is_looked_for(worker, request, i))
			continue;
		tag_rules_find_ids(worker->kept[i]->tag_rules, &request->head, &ids);
		add_keys(worker->kept[i]->tag_rules, &ids, keys);
	}
}

void generation_choose(struct worker *worker, struct request *request, struct hold *ret_hold)
{
	const struct configuration *configuration = request->configuration;
	struct keys keys = {0};

	request->rules = configuration->tag_rules;
	tag_rules_find_ids(request->rules, &request->head, &request->ids);
	if (!propagation_uses(configuration->propagation, PROPAGATION_USER_ID))
		return;
	add_keys(request->rules, &request->ids, &keys);
	add_kept_keys(worker, request, &keys);
	uint32_t generation =
		holds_take(worker->proxy->holds, keys.keys, keys.count, worker->now_ms, ret_hold);
	if (generation == configuration->generation)
		return;
	const struct tag_rules *rules = rules_of(worker, generation);
	if (!rules)
		return;
	if (!tag_rules_same_sources(rules, request->rules))
		tag_rules_find_ids(rules, &request->head, &request->ids);
	request->rules = rules;
}
