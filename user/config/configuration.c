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

unsigned configuration_subjects(const struct mesh_tag_only *tag_only)
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
static struct configuration *compile_tolerant(struct configuration *configuration,
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

static struct configuration *compile(struct configuration *configuration,
				     const struct mesh_tag_only *tag_only,
				     struct diagnostics *diagnostics)
{
	struct configuration *compiled = compile_tolerant(configuration, tag_only, diagnostics);

	if (!compiled || !diagnostics->route_error_count)
		return compiled;
	configuration_free(compiled);
	return NULL;
}

struct configuration *configuration_load_input(const struct manifest_input *input,
					       const struct mesh_tag_only *tag_only,
					       uint32_t generation, struct diagnostics *diagnostics)
{
	struct configuration *configuration = start(generation, diagnostics);

	if (!configuration)
		return NULL;
	manifest_set_read_input(input, configuration_subjects(tag_only), diagnostics,
				&configuration->manifests);
	return compile(configuration, tag_only, diagnostics);
}

struct configuration *configuration_load_tag_only(const char *const *paths, size_t path_count,
						  const struct mesh_tag_only *tag_only,
						  uint32_t generation,
						  struct diagnostics *diagnostics)
{
	const struct manifest_input input = {.paths = paths, .path_count = path_count};

	return configuration_load_input(&input, tag_only, generation, diagnostics);
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

/* The files without their contents: what is wrong with a set needs no texts. */
static int copy_files(const struct manifest_set *set, struct manifest_file **ret_files,
		      size_t *ret_count)
{
	*ret_count = 0;
	*ret_files = calloc(set->file_count + 1, sizeof(**ret_files));
	if (!*ret_files)
		return -1;
	for (size_t i = 0; i < set->file_count; i++) {
		const struct manifest_file *from = &set->files[i];
		struct manifest_file *to = &(*ret_files)[(*ret_count)++];

		*to = (struct manifest_file){
			.name = strdup(from->name),
			.text = from->text ? span_copy((struct span){from->text, from->length})
					   : NULL,
			.length = from->text ? from->length : 0,
		};
		if (!to->name || (from->text && !to->text))
			return -1;
	}
	return 0;
}

struct configuration *configuration_read_tolerant(const struct manifest_input *input,
						  const struct mesh_tag_only *tag_only,
						  uint32_t generation,
						  struct diagnostics *diagnostics,
						  struct manifest_file **ret_files,
						  size_t *ret_file_count)
{
	struct configuration *configuration = start(generation, diagnostics);

	*ret_files = NULL;
	*ret_file_count = 0;
	if (!configuration)
		return NULL;
	manifest_set_read_input(input, configuration_subjects(tag_only), diagnostics,
				&configuration->manifests);
	if (copy_files(&configuration->manifests, ret_files, ret_file_count))
		diagnostics_add(diagnostics, DIAGNOSTIC_ERROR, (struct source_place){0}, NULL, NULL,
				"out of memory");
	return compile_tolerant(configuration, tag_only, diagnostics);
}

struct configuration *configuration_load_tolerant(const struct manifest_file *files,
						  size_t file_count,
						  const struct mesh_tag_only *tag_only,
						  uint32_t generation,
						  struct diagnostics *diagnostics)
{
	struct configuration *configuration = start(generation, diagnostics);

	if (!configuration)
		return NULL;
	manifest_set_read_files(files, file_count, configuration_subjects(tag_only), diagnostics,
				&configuration->manifests);
	return compile_tolerant(configuration, tag_only, diagnostics);
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
