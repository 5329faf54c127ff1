/* SPDX-License-Identifier: GPL-2.0-only */
/* From the VirtualServices that are bound to a host to one table of their rules. */
#include <stdlib.h>

#include "mesh/compiler.h"
#include "mesh/rule_index.h"

/* A VirtualService as large as this at more hosts than that has a table that these share. */
#define SHARED_MATCHES 64
#define SHARED_HOSTS 8

struct table_builder {
	struct compiler *compiler;
	struct name_table known; /* bindings, and the catch-all's -> struct route_table */
	uint32_t *host_counts;	 /* of mesh->services */
};

static size_t match_count_of(const struct mesh_rule *rule)
{
	return rule->match_count ? rule->match_count : 1;
}

static size_t rules_match_count(const struct compiled_service *service)
{
	size_t count = 0;

	for (size_t i = 0; i < service->catch_all; i++)
		count += match_count_of(&service->rules[i]);
	return count;
}

/* Whether a match that names gateways can hold at this one. */
static bool may_hold(const struct http_match *match, size_t gateway)
{
	for (size_t i = 0; i < match->gateway_count; i++) {
		if (match->gateways[i] == gateway)
			return true;
	}
	return match->gateway_count == 0;
}

static void append_rule(struct route_table *table, const struct mesh_rule *rule, size_t gateway)
{
	if (!rule->match_count)
		table->entries[table->entry_count++] = (struct route_entry){rule, NULL, gateway};
	for (size_t i = 0; i < rule->match_count; i++) {
		if (may_hold(&rule->matches[i], gateway))
			table->entries[table->entry_count++] =
				(struct route_entry){rule, &rule->matches[i], gateway};
	}
}

static bool is_http_route(const struct compiled_service *service)
{
	return service->manifest && service->manifest->is_http_route;
}

static uint64_t precedence_of(const struct route_entry *entry)
{
	return entry->match ? entry->match->precedence : 0;
}

/* qsort is not stable: equal ones keep their order by their number. */
struct numbered_entry {
	struct route_entry entry;
	size_t number;
};

static int compare_entries(const void *left, const void *right)
{
	const struct numbered_entry *a = left, *b = right;
	uint64_t one = precedence_of(&a->entry), other = precedence_of(&b->entry);

	if (one != other)
		return one > other ? -1 : 1;
	return a->number < b->number ? -1 : a->number > b->number;
}

/* Rules of several HTTPRoutes count in the order of their precedence, whichever they are in. */
static void sort_entries(struct compiler *compiler, struct route_entry *entries, size_t count)
{
	struct numbered_entry *numbered = calloc(count + 1, sizeof(*numbered));

	if (!numbered) {
		compiler->out_of_memory = true;
		return;
	}
	for (size_t i = 0; i < count; i++)
		numbered[i] = (struct numbered_entry){entries[i], i};
	qsort(numbered, count, sizeof(*numbered), compare_entries);
	for (size_t i = 0; i < count; i++)
		entries[i] = numbered[i].entry;
	free(numbered);
}

/* What comes behind an HTTPRoute's rule that takes every request. */
static void drop_hidden(struct route_table *table, const struct mesh_rule *catch_all)
{
	uint64_t lowest =
		catch_all && catch_all->match_count ? catch_all->matches[0].precedence : 0;

	while (table->entry_count && precedence_of(&table->entries[table->entry_count - 1]) &&
	       precedence_of(&table->entries[table->entry_count - 1]) < lowest)
		table->entry_count--;
}

static bool has_catch_all(const struct compiled_service *service)
{
	return service->catch_all < service->rule_count;
}

/* What a table is made of: the rules of some bindings, then the catch-all of one, or none. */
struct table_parts {
	const struct host_binding *bindings;
	size_t count;
	const struct host_binding *catch_all; /* or NULL */
};

static struct route_table *new_table(struct compiler *compiler, const struct table_parts *parts)
{
	struct route_table *table = compile_array(compiler, 1, sizeof(*table));
	size_t count = 0;

	for (size_t i = 0; i < parts->count; i++)
		count += rules_match_count(parts->bindings[i].service);
	const struct mesh_rule *last = NULL;
	if (parts->catch_all)
		last = &parts->catch_all->service->rules[parts->catch_all->service->catch_all];
	count += last ? match_count_of(last) : 0;
	struct route_entry *entries = compile_array(compiler, count, sizeof(*entries));
	if (!table || !entries)
		return NULL;
	table->entries = entries;
	bool has_http_routes = false;
	for (size_t i = 0; i < parts->count; i++) {
		const struct compiled_service *service = parts->bindings[i].service;

		has_http_routes |= is_http_route(service);

		for (size_t j = 0; j < service->catch_all; j++)
			append_rule(table, &service->rules[j], parts->bindings[i].gateway);
	}
	if (has_http_routes) {
		sort_entries(compiler, entries, table->entry_count);
		drop_hidden(table, last);
	}
	if (last)
		append_rule(table, last, parts->catch_all->gateway);
	compile_rule_index(compiler, table);
	return table;
}

static bool append_binding(struct buffer *key, const struct host_binding *binding)
{
	buffer_append(key, (const char *)&binding->service, sizeof(binding->service));
	buffer_append(key, (const char *)&binding->gateway, sizeof(binding->gateway));
	return !key->failed;
}

/* One that was made for another host of the same VirtualServices, else a new one. */
static const struct route_table *find_or_make(struct table_builder *builder,
					      const struct table_parts *parts)
{
	struct buffer key = {0};

	for (size_t i = 0; i < parts->count; i++)
		append_binding(&key, &parts->bindings[i]);
	if (parts->catch_all) {
		buffer_append_byte(&key, '|');
		append_binding(&key, parts->catch_all);
	}
	struct route_table *table =
		key.failed ? NULL : name_table_get(&builder->known, 0, buffer_span(&key));
	if (!table && !key.failed) {
		table = new_table(builder->compiler, parts);
		if (table)
			compile_put(builder->compiler, &builder->known, 0, buffer_span(&key),
				    table);
	}
	builder->compiler->out_of_memory |= key.failed;
	buffer_free(&key);
	return table;
}

static bool is_shared(const struct table_builder *builder, const struct host_binding *binding)
{
	size_t number = (size_t)(binding->service - builder->compiler->mesh->services);

	/* HTTPRoutes of a host are put in order together. */
	if (is_http_route(binding->service))
		return false;
	return builder->host_counts[number] > SHARED_HOSTS &&
	       rules_match_count(binding->service) > SHARED_MATCHES;
}

/* As Istio merges them, entries that take every request come after all others: only one counts. */
static const struct host_binding *find_catch_all(const struct host_binding *bindings, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (has_catch_all(bindings[i].service))
			return &bindings[i];
	}
	return NULL;
}

/* The bindings from `first` on that make one table. */
static size_t count_together(const struct table_builder *builder,
			     const struct host_binding *bindings, size_t count)
{
	size_t together = 1;

	if (is_shared(builder, &bindings[0]))
		return 1;
	while (together < count && !is_shared(builder, &bindings[together]))
		together++;
	return together;
}

static void make_tables(struct table_builder *builder, struct virtual_host *host)
{
	const struct host_binding *catch_all = find_catch_all(host->bindings, host->binding_count);
	size_t done = 0;

	host->tables = compile_array(builder->compiler, host->binding_count, sizeof(*host->tables));
	while (host->tables && done < host->binding_count) {
		struct table_parts parts = {.bindings = &host->bindings[done]};

		parts.count = count_together(builder, parts.bindings, host->binding_count - done);
		done += parts.count;
		if (done == host->binding_count)
			parts.catch_all = catch_all;
		const struct route_table *table = find_or_make(builder, &parts);
		if (!table)
			return;
		host->tables[host->table_count++] = table;
	}
}

static void make_explained_tables(struct table_builder *builder)
{
	struct mesh *mesh = builder->compiler->mesh;

	for (size_t i = 0; i < mesh->service_count; i++) {
		struct compiled_service *service = &mesh->services[i];
		const struct host_binding binding = {service, service->explained_gateway};
		const struct table_parts parts = {&binding, 1,
						  has_catch_all(service) ? &binding : NULL};

		service->explained_table = find_or_make(builder, &parts);
	}
}

void compile_route_tables(struct compiler *compiler)
{
	struct mesh *mesh = compiler->mesh;
	struct table_builder builder = {.compiler = compiler};

	builder.host_counts = calloc(compile_count_services(compiler->manifests) + 1,
				     sizeof(*builder.host_counts));
	if (!builder.host_counts) {
		compiler->out_of_memory = true;
		return;
	}
	for (struct virtual_host *host = mesh->all_virtual_hosts; host; host = host->next) {
		for (size_t i = 0; i < host->binding_count; i++)
			builder.host_counts[host->bindings[i].service - mesh->services]++;
	}
	for (struct virtual_host *host = mesh->all_virtual_hosts; host; host = host->next)
		make_tables(&builder, host);
	make_explained_tables(&builder);
	name_table_free(&builder.known);
	free(builder.host_counts);
}
