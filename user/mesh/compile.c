/* SPDX-License-Identifier: GPL-2.0-only */
#include <stdlib.h>

#include "mesh/compiler.h"
#include "mesh/rule_index.h"

static void say(const struct compiled_resource *resource, enum diagnostic_severity severity,
		struct source_place place, const struct path *path, const char *format,
		va_list arguments)
{
	struct buffer field = {0};
	char what[512];

	vsnprintf(what, sizeof(what), format, arguments);
	path_print(path, &field);
	const char *text = field.length ? buffer_text(&field) : NULL;
	diagnostics_add(resource->compiler->diagnostics, severity, place, resource->title, text,
			"%s", what);
	/* A rule of an HTTPRoute is compiled once for each of its matches and narrow parents. */
	diagnostics_drop_repeated(resource->compiler->diagnostics);
	buffer_free(&field);
}

void compile_error(const struct compiled_resource *resource, struct source_place place,
		   const struct path *path, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	say(resource, DIAGNOSTIC_ERROR, place, path, format, arguments);
	va_end(arguments);
}

void compile_route_error(const struct compiled_resource *resource, struct source_place place,
			 const struct path *path, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	say(resource, DIAGNOSTIC_ROUTE_ERROR, place, path, format, arguments);
	va_end(arguments);
}

void compile_warning(const struct compiled_resource *resource, struct source_place place,
		     const struct path *path, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	say(resource, DIAGNOSTIC_WARNING, place, path, format, arguments);
	va_end(arguments);
}

void *compile_array(struct compiler *compiler, size_t count, size_t size)
{
	void *array = arena_allocate_array(&compiler->mesh->arena, count, size);

	if (!array)
		compiler->out_of_memory = true;
	return array;
}

char *compile_text(struct compiler *compiler, struct span text)
{
	char *copy = arena_copy(&compiler->mesh->arena, text);

	if (!copy)
		compiler->out_of_memory = true;
	return copy;
}

void compile_put(struct compiler *compiler, struct name_table *table, uint64_t scope,
		 struct span name, void *value)
{
	char *copy = compile_text(compiler, name);

	if (copy && name_table_put(table, scope, (struct span){copy, name.length}, value))
		compiler->out_of_memory = true;
}

static void compiler_free(struct compiler *compiler)
{
	free(compiler->labelled);
	name_table_free(&compiler->rules);
	name_table_free(&compiler->subsets);
	name_table_free(&compiler->unknown_hosts);
	name_table_free(&compiler->left_out);
	name_table_free(&compiler->clusters);
	name_table_free(&compiler->gateways);
	name_table_free(&compiler->header_slots);
}

/* The VirtualServices that explain steps over: those with a destination host not seen before. */
static void choose_explained(struct compiler *compiler)
{
	struct mesh *mesh = compiler->mesh;
	struct name_table seen = {0};

	mesh->explained = compile_array(compiler, mesh->service_count, sizeof(*mesh->explained));
	for (size_t i = 0; mesh->explained && i < mesh->service_count; i++) {
		const struct compiled_service *service = &mesh->services[i];
		bool is_new = false;

		for (size_t j = 0; j < service->rule_count; j++) {
			const struct mesh_route *route = &service->rules[j].route;

			for (size_t k = 0; k < route->destination_count; k++) {
				struct span host = span_of(route->destinations[k].cluster->host);

				if (name_table_get(&seen, 0, host))
					continue;
				is_new = true;
				if (name_table_put(&seen, 0, host, mesh))
					compiler->out_of_memory = true;
			}
		}
		if (is_new)
			mesh->explained[mesh->explained_count++] = service;
	}
	name_table_free(&seen);
}

static void compile_manifests(struct compiler *compiler, const struct mesh_tag_only *tag_only)
{
	compile_hosts(compiler);
	if (!tag_only)
		compile_allocate_services(compiler);
	compile_gateways(compiler);
	if (tag_only) {
		compile_tag_only(compiler, tag_only);
	} else {
		compile_virtual_services(compiler);
		compile_service_listeners(compiler);
	}
	compile_route_tables(compiler);
}

int mesh_compile(const struct manifest_set *manifests, const struct mesh_tag_only *tag_only,
		 struct diagnostics *diagnostics, struct mesh **ret_mesh)
{
	struct mesh *mesh = calloc(1, sizeof(*mesh));
	size_t errors_before = diagnostics->error_count;
	struct compiler compiler = {
		.mesh = mesh,
		.manifests = manifests,
		.diagnostics = diagnostics,
	};

	if (mesh)
		mesh->regexes = regex_set_new();
	if (mesh && mesh->regexes) {
		compile_manifests(&compiler, tag_only);
		mesh_number_series(mesh);
		if (endpoint_directory_build(&mesh->endpoints, mesh->clusters, mesh->cluster_count))
			compiler.out_of_memory = true;
		if (diagnostics->error_count == errors_before && !compiler.out_of_memory)
			choose_explained(&compiler);
	} else {
		compiler.out_of_memory = true;
	}
	compiler_free(&compiler);
	if (compiler.out_of_memory)
		diagnostics_add(diagnostics, DIAGNOSTIC_ERROR, (struct source_place){0}, NULL, NULL,
				"out of memory");
	if (diagnostics->error_count != errors_before) {
		mesh_free(mesh);
		return -1;
	}
	*ret_mesh = mesh;
	return 0;
}

void mesh_free(struct mesh *mesh)
{
	if (!mesh)
		return;
	free(mesh->listeners);
	free(mesh->clusters);
	endpoint_directory_free(&mesh->endpoints);
	name_table_free(&mesh->hosts);
	name_table_free(&mesh->virtual_hosts);
	name_table_free(&mesh->addresses);
	name_table_free(&mesh->listener_keys);
	regex_set_free(mesh->regexes);
	arena_free(&mesh->arena);
	free(mesh);
}

size_t mesh_listener_count(const struct mesh *mesh)
{
	return mesh->listener_count;
}

const struct mesh_listener *mesh_listener(const struct mesh *mesh, size_t index)
{
	return &mesh->listeners[index]->listener;
}

const struct mesh_cluster *mesh_next_hop(const struct mesh *mesh)
{
	return mesh->next_hop;
}

size_t mesh_cluster_count(const struct mesh *mesh)
{
	return mesh->cluster_count;
}

const struct mesh_cluster *mesh_cluster(const struct mesh *mesh, size_t index)
{
	return mesh->clusters[index];
}

const struct workload_manifest *mesh_workload_by_address(const struct mesh *mesh,
							 const uint8_t address[16])
{
	const struct workload_manifest *found =
		name_table_get(&mesh->addresses, 0, (struct span){(const char *)address, 16});

	return found == &mesh_ambiguous_workload ? NULL : found;
}
