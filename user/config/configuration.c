/* SPDX-License-Identifier: GPL-2.0-only */
#include "config/configuration.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/address.h"

static void free_all_but_rules(struct configuration *configuration)
{
	mesh_free(configuration->mesh);
	propagation_free(configuration->propagation);
	manifest_set_free_all_but_rules(&configuration->manifests);
	configuration->mesh = NULL;
	configuration->propagation = NULL;
}

static void configuration_free(struct configuration *configuration)
{
	free_all_but_rules(configuration);
	tag_rules_free(configuration->tag_rules);
	manifest_set_free(&configuration->manifests);
	free(configuration);
}

static unsigned subjects_of(const struct mesh_tag_only *tag_only)
{
	unsigned subjects = MANIFEST_TAGS;

	if (!tag_only)
		return MANIFEST_ALL;
	if (tag_only->listener_count == 0)
		subjects |= MANIFEST_GATEWAYS;
	if (address_is_any(tag_only->address))
		subjects |= MANIFEST_HOSTS;
	return subjects;
}

static struct configuration *start(uint32_t generation, struct diagnostics *diagnostics)
{
	struct configuration *configuration = calloc(1, sizeof(*configuration));

	if (!configuration) {
		diagnostics_add(diagnostics, DIAGNOSTIC_ERROR, (struct source_place){0}, NULL, NULL,
				"out of memory");
		return NULL;
	}
	configuration->generation = generation;
	configuration->references = 1;
	configuration->rule_references = 1;
	return configuration;
}

/* Every step runs even after errors in one before, so that one run names them all. */
static struct configuration *compile(struct configuration *configuration,
				     const struct mesh_tag_only *tag_only,
				     struct diagnostics *diagnostics)
{
	int rules = tag_rules_compile(&configuration->manifests, configuration->generation,
				      diagnostics, &configuration->tag_rules);
	int propagation = propagation_compile(&configuration->manifests, diagnostics,
					      &configuration->propagation);
	int mesh = mesh_compile(&configuration->manifests, tag_only, diagnostics,
				&configuration->mesh);

	/* What the manifests are not to blame for has one cause. */
	if ((rules || propagation || mesh) && !diagnostics->error_count)
		diagnostics_add(diagnostics, DIAGNOSTIC_ERROR, (struct source_place){0}, NULL, NULL,
				"out of memory");
	diagnostics_sort(diagnostics);
	if (rules || propagation || mesh || diagnostics->error_count) {
		configuration_free(configuration);
		return NULL;
	}
	propagation_know_rules(configuration->propagation, configuration->tag_rules);
	return configuration;
}

struct configuration *configuration_load_tag_only(const char *const *paths, size_t path_count,
						  const struct mesh_tag_only *tag_only,
						  uint32_t generation,
						  struct diagnostics *diagnostics)
{
	struct configuration *configuration = start(generation, diagnostics);

	if (!configuration)
		return NULL;
	manifest_set_read(paths, path_count, subjects_of(tag_only), diagnostics,
			  &configuration->manifests);
	return compile(configuration, tag_only, diagnostics);
}

struct configuration *configuration_load(const char *const *paths, size_t path_count,
					 uint32_t generation, struct diagnostics *diagnostics)
{
	return configuration_load_tag_only(paths, path_count, NULL, generation, diagnostics);
}

struct configuration *configuration_load_tags(const char *const *paths, size_t path_count,
					      struct diagnostics *diagnostics)
{
	struct configuration *configuration = start(1, diagnostics);

	if (!configuration)
		return NULL;
	manifest_set_read(paths, path_count, MANIFEST_TAGS, diagnostics, &configuration->manifests);
	return compile(configuration, NULL, diagnostics);
}

struct configuration *configuration_load_files(const struct manifest_file *files, size_t file_count,
					       unsigned subjects, uint32_t generation,
					       struct diagnostics *diagnostics)
{
	struct configuration *configuration = start(generation, diagnostics);

	if (!configuration)
		return NULL;
	manifest_set_read_files(files, file_count, subjects, diagnostics,
				&configuration->manifests);
	return compile(configuration, NULL, diagnostics);
}

void configuration_set_generation(struct configuration *configuration, uint32_t generation)
{
	configuration->generation = generation;
	tag_rules_set_generation(configuration->tag_rules, generation);
}

struct configuration *configuration_take(struct configuration *configuration)
{
	atomic_fetch_add_explicit(&configuration->references, 1, memory_order_relaxed);
	return configuration;
}

void configuration_drop(struct configuration *configuration)
{
	if (!configuration)
		return;
	if (atomic_fetch_sub_explicit(&configuration->references, 1, memory_order_acq_rel) != 1)
		return;
	free_all_but_rules(configuration);
	configuration_drop_rules(configuration);
}

bool configuration_is_sole(const struct configuration *configuration)
{
	return atomic_load_explicit(&configuration->references, memory_order_acquire) == 1;
}

struct configuration *configuration_take_rules(struct configuration *configuration)
{
	atomic_fetch_add_explicit(&configuration->rule_references, 1, memory_order_relaxed);
	return configuration;
}

void configuration_drop_rules(struct configuration *configuration)
{
	if (configuration && atomic_fetch_sub_explicit(&configuration->rule_references, 1,
						       memory_order_acq_rel) == 1)
		configuration_free(configuration);
}
