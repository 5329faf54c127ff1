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

#include "agent/first_state.h"
#include "base/array.h"
#include "base/clock.h"
#include "base/log.h"
#include "config/in_force.h"
#include "config/salvage.h"

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
		bool error = item->severity != DIAGNOSTIC_WARNING;

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

static void set_outcome(struct agent *agent, char *reason, struct rejections *rejections)
{
	free(agent->last_reload_error);
	agent->last_reload_error = reason;
	rejections_drop(agent->rejections);
	agent->rejections = rejections;
}

/* Takes over all but the agent. `reason` is NULL if nothing was rejected. */
static void publish(struct agent *agent, struct configuration *configuration, char *reason,
		    struct rejections *rejections)
{
	pthread_mutex_lock(&agent->lock);
	struct configuration *previous = agent->configuration;
	agent->configuration = configuration;
	if (previous && reason)
		agent->reloads_partial++;
	else if (previous)
		agent->reloads_succeeded++;
	set_outcome(agent, reason, rejections);
	pthread_mutex_unlock(&agent->lock);
	retire(agent, previous);
}

/* Takes over `reason` and `rejections`; those that were stay if this is NULL. */
static void publish_failure(struct agent *agent, char *reason, struct rejections *rejections)
{
	pthread_mutex_lock(&agent->lock);
	set_outcome(agent, reason ? reason : strdup("out of memory"),
		    rejections ? rejections : rejections_take(agent->rejections));
	agent->reloads_failed++;
	pthread_mutex_unlock(&agent->lock);
}

static void log_rejections(const struct rejections *rejections)
{
	for (size_t i = 0; rejections && i < rejections->count; i++) {
		const struct rejection *item = &rejections->items[i];

		log_error("resource rejected", log_text("kind", item->kind),
			  log_text("namespace", item->namespace), log_text("name", item->name),
			  log_text("cost", rejection_outcome_text(item->outcome)),
			  log_text("reason", item->reason));
	}
	if (rejections && rejections->unreadable)
		log_error("manifests cannot be read",
			  log_number("sources", rejections->unreadable));
}

/* *ret_reason stays NULL if all is in force but for routes to what is not there. */
static void load(struct agent *agent, uint32_t generation, const struct manifest_file *in_force,
		 size_t in_force_count, struct salvage_result *ret_result, char **ret_reason)
{
	struct diagnostics diagnostics = {0};
	const struct agent_options *options = agent->options;
	struct manifest_file *objects;
	size_t object_count;

	*ret_result = (struct salvage_result){0};
	if (manifest_source_read_objects(agent->source, &objects, &object_count))
		return; /* out of memory, as a reason that is none says */
	const struct salvage_source source = {
		.paths = options->paths,
		.path_count = options->path_count,
		.objects = objects,
		.object_count = object_count,
		.tag_only = options->tag_only,
		.in_force = in_force,
		.in_force_count = in_force_count,
		.previous = agent->configuration ? &agent->configuration->manifests : NULL,
		.is_first = !agent->configuration,
	};

	salvage_load(&source, generation, &diagnostics, ret_result);
	log_diagnostics(&diagnostics);
	log_rejections(ret_result->rejections);
	if (diagnostics.error_count || !ret_result->configuration)
		*ret_reason = diagnostics_summary(&diagnostics);
	diagnostics_free(&diagnostics);
	manifest_files_free(objects, object_count);
}

static void refuse(struct agent *agent, char *reason, struct rejections *rejections)
{
	log_outcome(LOG_LEVEL_ERROR, "configuration refused",
		    log_number("in_force", agent->configuration->generation),
		    log_text("reason", reason ? reason : "out of memory"));
	publish_failure(agent, reason, rejections);
}

/* Takes over all but the agent. 0, or a negative errno: all is as it was. */
static int put_in_force(struct agent *agent, const struct salvage_result *result, char *reason)
{
	struct configuration *configuration = result->configuration;

	tag_rules_assign_lanes(configuration->tag_rules, agent->configuration->tag_rules);
	mesh_assign_series(configuration->mesh, agent->configuration->mesh);
	int error = proxy_apply(agent->proxy, configuration);
	if (error) {
		free(reason);
		refuse(agent, strdup(strerror(-error)), result->rejections);
		configuration_drop(configuration);
		return error;
	}
	agent->latest_generation = configuration->generation;
	kernel_side_tell(&agent->kernel, configuration);
	publish(agent, configuration, reason, result->rejections);
	return 0;
}

void reload_now(struct agent *agent)
{
	uint64_t started_ns = clock_now_ns();
	const struct manifest_set *in_force = &agent->configuration->manifests;
	struct salvage_result result;
	char *reason = NULL;

	if (agent->impaired)
		agent_repair(agent);

	manifest_source_changed(agent->source); /* what is read now needs no second reload */
	load(agent, agent->latest_generation + 1, in_force->files, in_force->file_count, &result,
	     &reason);
	agent->hung_up = false;
	agent->changed_ns = 0;
	if (!result.configuration || (reason && result.is_unchanged)) {
		configuration_drop(result.configuration);
		refuse(agent, reason, result.rejections);
		return;
	}
	if (put_in_force(agent, &result, reason))
		return;
	log_outcome(LOG_LEVEL_INFO, "configuration in force",
		    log_number("generation", agent->configuration->generation),
		    log_number("rules", tag_rules_count(agent->configuration->tag_rules)),
		    log_tenths("milliseconds", (clock_now_ns() - started_ns) / 100000),
		    log_number("rejected", agent->rejections ? agent->rejections->count : 0));
}

/*
 * What is wrong now may be right in the agent that is taken over: its last good versions are the new
 * one's, too. Where a file cannot be read and that agent has nothing of it, it had better go on.
 */
static void load_as_heir(struct agent *agent, struct salvage_result *result, char **reason)
{
	struct in_force old = {0};

	if (in_force_ask(agent->options->control_path, &old))
		return;
	configuration_drop(result->configuration);
	rejections_drop(result->rejections);
	free(*reason);
	*reason = NULL;
	load(agent, 1, old.files, old.file_count, result, reason);
	in_force_free(&old);
	if (!result->has_lost_source)
		return;
	configuration_drop(result->configuration);
	rejections_drop(result->rejections);
	*result = (struct salvage_result){0};
}

static int open_source(struct agent *agent)
{
	const struct agent_options *options = agent->options;
	const struct manifest_source_options source = {options->paths, options->path_count,
						       options->kubernetes};
	int error = manifest_source_open(&source, &agent->source);

	return error ? error : first_state_wait(agent);
}

/* The first configuration that is in force; published. */
int reload_first(struct agent *agent)
{
	const struct agent_options *options = agent->options;
	struct salvage_result result;
	char *reason = NULL;
	int error = open_source(agent);

	if (error)
		return error;
	load(agent, 1, NULL, 0, &result, &reason);
	if (reason && options->takeover && options->control_path[0])
		load_as_heir(agent, &result, &reason);
	if (!result.configuration) {
		log_error("not started", log_text("reason", reason ? reason : "out of memory"));
		free(reason);
		return -EINVAL;
	}
	agent->latest_generation = result.configuration->generation;
	publish(agent, result.configuration, reason, result.rejections);
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
