/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Order of a swap: workers first, then the kernel. Between the two, marks bear the older generation
 * and the workers decide themselves; a worker never acts on a mark of rules that it does not have.
 */
#include "agent/reload.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/clock.h"
#include "base/log.h"

/*
 * Writers often replace several files one after the other: wait until it has been quiet this long,
 * but never longer than the second.
 */
#define RELOAD_QUIET_MS 15
#define RELOAD_LATEST_MS 60

static char *diagnostics_summary(const struct diagnostics *diagnostics)
{
	struct buffer text = {0};

	for (size_t i = 0; i < diagnostics->count; i++) {
		const struct diagnostic *item = &diagnostics->items[i];

		if (item->severity != DIAGNOSTIC_ERROR)
			continue;
		if (item->file)
			buffer_printf(&text, "%s:", item->file);
		if (item->line)
			buffer_printf(&text, "%u:%u:", item->line, item->column);
		buffer_printf(&text, "%s%s", text.length ? " " : "",
			      item->text ? item->text : "out of memory");
		break;
	}
	/* There was no memory even to say so. */
	if (!text.length)
		buffer_append_text(&text, "out of memory");
	if (diagnostics->error_count > 1)
		buffer_printf(&text, " (and %zu more)", diagnostics->error_count - 1);
	buffer_append_byte(&text, '\0');
	return text.data;
}

static void log_diagnostics(const struct diagnostics *diagnostics)
{
	for (size_t i = 0; i < diagnostics->count; i++) {
		const struct diagnostic *item = &diagnostics->items[i];
		bool error = item->severity == DIAGNOSTIC_ERROR;

		log_event(error ? LOG_LEVEL_ERROR : LOG_LEVEL_WARNING,
			  error ? "manifest error" : "manifest warning",
			  log_text("file", item->file), log_number("line", item->line),
			  log_number("column", item->column),
			  log_text("text", item->text ? item->text : "out of memory"));
	}
}

static void retire(struct agent *agent, struct configuration *previous)
{
	struct configuration **slot =
		previous ? ARRAY_APPEND(agent->retired, agent->retired_count) : NULL;

	if (slot)
		*slot = previous;
	else
		configuration_drop(previous);
}

bool reload_reclaim(struct agent *agent)
{
	size_t kept = 0;

	for (size_t i = 0; i < agent->retired_count; i++) {
		struct configuration *configuration = agent->retired[i];

		if (configuration_is_sole(configuration))
			configuration_drop(configuration);
		else
			agent->retired[kept++] = configuration;
	}
	if (kept < agent->retired_count)
		malloc_trim(0);
	agent->retired_count = kept;
	return kept;
}

static void publish(struct agent *agent, struct configuration *configuration)
{
	pthread_mutex_lock(&agent->lock);
	struct configuration *previous = agent->configuration;
	agent->configuration = configuration;
	free(agent->last_reload_error);
	agent->last_reload_error = NULL;
	if (previous)
		agent->reloads_succeeded++;
	pthread_mutex_unlock(&agent->lock);
	retire(agent, previous);
}

/* Takes over `reason`. */
static void publish_failure(struct agent *agent, char *reason)
{
	pthread_mutex_lock(&agent->lock);
	free(agent->last_reload_error);
	agent->last_reload_error = reason ? reason : strdup("out of memory");
	agent->reloads_failed++;
	pthread_mutex_unlock(&agent->lock);
}

static struct configuration *load(struct agent *agent, uint32_t generation, char **ret_reason)
{
	struct diagnostics diagnostics = {0};
	const struct agent_options *options = agent->options;
	struct configuration *configuration = configuration_load_tag_only(
		options->paths, options->path_count, options->tag_only, generation, &diagnostics);

	log_diagnostics(&diagnostics);
	if (!configuration)
		*ret_reason = diagnostics_summary(&diagnostics);
	diagnostics_free(&diagnostics);
	return configuration;
}

void reload_now(struct agent *agent)
{
	uint64_t started_ns = clock_now_ns();
	uint32_t generation = agent->latest_generation + 1;
	uint32_t in_force = agent->configuration->generation;
	char *reason = NULL;

	if (agent->impaired)
		agent_repair(agent);

	if (agent->watch)
		watch_changed(agent->watch); /* what is read now needs no second reload */
	struct configuration *configuration = load(agent, generation, &reason);
	agent->hung_up = false;
	agent->changed_ns = 0;
	if (!configuration) {
		log_outcome(LOG_LEVEL_ERROR, "configuration refused",
			    log_number("in_force", in_force),
			    log_text("reason", reason ? reason : "out of memory"));
		publish_failure(agent, reason);
		return;
	}
	tag_rules_assign_lanes(configuration->tag_rules, agent->configuration->tag_rules);
	mesh_assign_series(configuration->mesh, agent->configuration->mesh);
	int error = proxy_apply(agent->proxy, configuration);
	if (error) {
		log_outcome(LOG_LEVEL_ERROR, "configuration refused",
			    log_number("in_force", in_force), log_text("reason", strerror(-error)));
		publish_failure(agent, strdup(strerror(-error)));
		configuration_drop(configuration);
		return;
	}
	agent->latest_generation = generation;
	kernel_side_tell(&agent->kernel, configuration);
	publish(agent, configuration);
	log_outcome(LOG_LEVEL_INFO, "configuration in force", log_number("generation", generation),
		    log_number("rules", tag_rules_count(configuration->tag_rules)),
		    log_tenths("milliseconds", (clock_now_ns() - started_ns) / 100000));
}

/* The first configuration that is in force; published. */
int reload_first(struct agent *agent)
{
	const struct agent_options *options = agent->options;
	char *reason = NULL;
	int error = watch_open(options->paths, options->path_count, &agent->watch);

	if (error)
		log_warning("manifests are not watched", log_errno(error));
	struct configuration *configuration = load(agent, 1, &reason);
	if (!configuration) {
		log_error("not started", log_text("reason", reason ? reason : "out of memory"));
		free(reason);
		return -EINVAL;
	}
	agent->latest_generation = configuration->generation;
	publish(agent, configuration);
	return 0;
}

void reload_note_change(struct agent *agent)
{
	uint64_t now = clock_now_ns();

	if (!agent->changed_ns)
		agent->changed_ns = now;
	uint64_t latest = agent->changed_ns + RELOAD_LATEST_MS * 1000000ULL;
	agent->quiet_due_ns = now + RELOAD_QUIET_MS * 1000000ULL;
	if (agent->quiet_due_ns > latest)
		agent->quiet_due_ns = latest;
}
