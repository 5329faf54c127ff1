/* SPDX-License-Identifier: GPL-2.0-only */
#include <stdlib.h>

#include "base/array.h"
#include "mesh/compiler.h"

const struct workload_manifest mesh_ambiguous_workload;

static int compare_labelled(const void *left, const void *right)
{
	const struct labelled_workload *a = left, *b = right;
	int order = strcmp(a->namespace, b->namespace);

	if (!order)
		order = strcmp(a->label->key, b->label->key);
	return order ? order : strcmp(a->label->value, b->label->value);
}

/* qsort is not stable: equal ones go by where they stand, so that endpoints keep their order. */
static int compare_labelled_in_order(const void *left, const void *right)
{
	const struct labelled_workload *a = left, *b = right;
	int order = compare_labelled(left, right);

	return order ? order : a->workload < b->workload ? -1 : a->workload > b->workload;
}

static void index_labels(struct compiler *compiler)
{
	const struct manifest_set *set = compiler->manifests;
	size_t count = 0;

	for (size_t i = 0; i < set->workload_count; i++)
		count += set->workloads[i].resource.labels.count;
	compiler->labelled = calloc(count + 1, sizeof(*compiler->labelled));
	if (!compiler->labelled) {
		compiler->out_of_memory = true;
		return;
	}
	for (size_t i = 0; i < set->workload_count; i++) {
		const struct workload_manifest *workload = &set->workloads[i];

		for (size_t j = 0; j < workload->resource.labels.count; j++)
			compiler->labelled[compiler->labelled_count++] = (struct labelled_workload){
				workload->resource.namespace,
				&workload->resource.labels.items[j],
				workload,
			};
	}
	qsort(compiler->labelled, compiler->labelled_count, sizeof(*compiler->labelled),
	      compare_labelled_in_order);
}

static void index_address(struct compiler *compiler, const struct workload_manifest *workload)
{
	struct span key = {(const char *)workload->address, 16};
	struct name_table *table = &compiler->mesh->addresses;

	if (!workload->has_address || workload->shares_address)
		return;
	const void *value = name_table_get(table, 0, key) ? &mesh_ambiguous_workload : workload;
	if (name_table_put(table, 0, key, (void *)value))
		compiler->out_of_memory = true;
}

static bool is_usable(const struct service_manifest *service,
		      const struct workload_manifest *workload)
{
	return workload->has_address && (workload->is_ready || service->with_not_ready);
}

/* The range of workloads with the label that the fewest have: [*ret_first, *ret_first + result). */
static size_t find_candidates(const struct compiler *compiler, const struct labelled_workload *like,
			      size_t *ret_first)
{
	size_t low = 0, high = compiler->labelled_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (compare_labelled(&compiler->labelled[middle], like) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	*ret_first = low;
	size_t first = low;
	for (high = compiler->labelled_count; low < high;) {
		size_t middle = low + (high - low) / 2;

		if (compare_labelled(&compiler->labelled[middle], like) <= 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low - first;
}

static void select_workloads(struct compiler *compiler, struct mesh_host *host)
{
	const struct service_manifest *service = host->service;
	size_t best_first = 0, best_count = 0;

	for (size_t i = 0; i < service->selector.count; i++) {
		struct labelled_workload like = {
			.namespace = service->resource.namespace,
			.label = &service->selector.items[i],
		};
		size_t first, count = find_candidates(compiler, &like, &first);

		if (i == 0 || count < best_count) {
			best_first = first;
			best_count = count;
		}
	}
	host->workloads = compile_array(compiler, best_count, sizeof(*host->workloads));
	for (size_t i = 0; host->workloads && i < best_count; i++) {
		const struct workload_manifest *workload =
			compiler->labelled[best_first + i].workload;

		if (is_usable(service, workload) &&
		    labels_select(&service->selector, &workload->resource.labels))
			host->workloads[host->workload_count++] = workload;
	}
}

static void take_endpoints(struct compiler *compiler, struct mesh_host *host)
{
	const struct service_manifest *service = host->service;

	host->workloads =
		compile_array(compiler, service->endpoint_count, sizeof(*host->workloads));
	for (size_t i = 0; host->workloads && i < service->endpoint_count; i++) {
		if (is_usable(service, &service->endpoints[i]))
			host->workloads[host->workload_count++] = &service->endpoints[i];
	}
}

void compile_add_host(struct compiler *compiler, const struct service_manifest *service,
		      const char *name)
{
	struct mesh *mesh = compiler->mesh;
	const struct mesh_host *known = name_table_get(&mesh->hosts, 0, span_of(name));

	if (known) {
		char *title = resource_title(&service->resource);
		char *other = resource_title(&known->service->resource);
		struct compiled_resource resource = {compiler, &service->resource, title};

		compile_error(&resource, service->resource.place, NULL,
			      "the host %s is already that of %s (%s:%u)", name, other,
			      known->service->resource.place.file,
			      known->service->resource.place.line);
		diagnostics_note_other(compiler->diagnostics, known->service->resource.place);
		free(title);
		free(other);
		return;
	}
	struct mesh_host *host = compile_array(compiler, 1, sizeof(*host));
	if (!host)
		return;
	host->name = name;
	host->service = service;
	host->ports = compile_array(compiler, service->port_count, sizeof(*host->ports));
	for (size_t i = 0; host->ports && i < service->port_count; i++)
		host->ports[i].manifest = &service->ports[i];
	if (service->endpoint_count)
		take_endpoints(compiler, host);
	else if (service->has_selector)
		select_workloads(compiler, host);
	if (host->ports && name_table_put(&mesh->hosts, 0, span_of(name), host))
		compiler->out_of_memory = true;
}

struct known_host_context {
	const struct compiler *compiler;
};

static void *try_known_host(const void *context, struct span host)
{
	const struct known_host_context *known = context;

	return name_table_get(&known->compiler->mesh->hosts, 0, host);
}

const char *compile_host_name(struct compiler *compiler, const char *host, const char *namespace)
{
	struct known_host_context context = {compiler};
	const struct mesh_host *known =
		mesh_resolve_host(span_of(host), namespace, try_known_host, &context);
	struct buffer text = {0};

	if (known)
		return known->name;
	if (!strchr(host, '.') && *host != '*')
		buffer_printf(&text, "%s.%s.%s", host, namespace, SERVICE_DOMAIN);
	else if (span_ends_with_ignore_case(span_of(host), span_of(".svc")))
		buffer_printf(&text, "%s.cluster.local", host);
	else
		return host;
	const char *name = text.failed ? NULL : compile_text(compiler, buffer_span(&text));
	buffer_free(&text);
	if (!name)
		compiler->out_of_memory = true;
	return name ? name : host;
}

struct mesh_host *compile_host(struct compiler *compiler, const char *name, bool *ret_known)
{
	struct mesh_host *host = name_table_get(&compiler->mesh->hosts, 0, span_of(name));

	*ret_known = host != NULL;
	if (!host)
		host = name_table_get(&compiler->unknown_hosts, 0, span_of(name));
	if (host)
		return host;
	host = compile_array(compiler, 1, sizeof(*host));
	if (!host)
		return NULL;
	host->name = compile_text(compiler, span_of(name));
	host->rules = name_table_get(&compiler->rules, 0, span_of(name));
	if (!host->name)
		return NULL;
	compile_put(compiler, &compiler->unknown_hosts, 0, span_of(name), host);
	return host;
}

const struct host_port *compile_host_port(const struct mesh_host *host, uint16_t port)
{
	for (size_t i = 0; host->service && i < host->service->port_count; i++) {
		if (host->ports[i].manifest->port == port && host->ports[i].manifest->is_tcp)
			return &host->ports[i];
	}
	return NULL;
}

const struct found_subset *compile_find_subset(const struct compiler *compiler,
					       const struct mesh_host *host, const char *name)
{
	if (!host->rules)
		return NULL;
	return name_table_get(&compiler->subsets, (uint64_t)(uintptr_t)host->rules, span_of(name));
}

static void add_subsets(const struct compiled_resource *resource, struct subset_rules *rules,
			const struct destination_rule_manifest *rule)
{
	struct compiler *compiler = resource->compiler;
	struct path spec = path_field(NULL, "spec"), path = path_field(&spec, "subsets");
	uint64_t scope = (uint64_t)(uintptr_t)rules;

	for (size_t i = 0; i < rule->subset_count; i++) {
		const struct subset_manifest *subset = &rule->subsets[i];
		struct path item = path_item(&path, i);
		const struct found_subset *known =
			name_table_get(&compiler->subsets, scope, span_of(subset->name));

		if (known) {
			/* Within one rule it is an error (manifest/destination_rule.c). */
			compile_warning(resource, subset->place, &item,
					"the subset \"%s\" of this host is already that of "
					"DestinationRule/%s (%s:%u), which counts",
					subset->name, known->rule->resource.name,
					known->subset->place.file, known->subset->place.line);
			continue;
		}
		struct found_subset *found = compile_array(compiler, 1, sizeof(*found));
		if (!found)
			return;
		*found = (struct found_subset){subset, rule};
		compile_put(compiler, &compiler->subsets, scope, span_of(subset->name), found);
	}
}

static void add_rule(const struct compiled_resource *resource,
		     const struct destination_rule_manifest *rule)
{
	struct compiler *compiler = resource->compiler;
	struct path spec = path_field(NULL, "spec"), host_path = path_field(&spec, "host");
	struct path policy_path = path_field(&spec, "trafficPolicy");
	const char *name = compile_host_name(compiler, rule->host, rule->resource.namespace);
	struct mesh_host *host = name_table_get(&compiler->mesh->hosts, 0, span_of(name));
	struct subset_rules *rules = name_table_get(&compiler->rules, 0, span_of(name));

	if (!host && *name != '*' && !name_table_get(&compiler->left_out, 0, span_of(name)))
		compile_warning(resource, rule->host_place, &host_path,
				"no Service or ServiceEntry has the host %s", name);
	if (!rules) {
		rules = compile_array(compiler, 1, sizeof(*rules));
		if (!rules)
			return;
		compile_put(compiler, &compiler->rules, 0, span_of(name), rules);
	}
	if (host)
		host->rules = rules;
	if (rule->has_policy && rules->with_policy)
		compile_warning(resource, rule->resource.place, &policy_path,
				"the host %s already has a trafficPolicy in DestinationRule/%s "
				"(%s:%u), which counts",
				name, rules->with_policy->resource.name,
				rules->with_policy->resource.place.file,
				rules->with_policy->resource.place.line);
	else if (rule->has_policy)
		rules->with_policy = rule;
	add_subsets(resource, rules, rule);
}

static void add_host(struct compiler *compiler, const struct service_manifest *service,
		     const char *name)
{
	if (service->left_out)
		compile_put(compiler, &compiler->left_out, 0, span_of(name), (void *)service);
	else
		compile_add_host(compiler, service, name);
}

/*
 * Whose rules count first. In Istio those of another namespace hold for its callers alone, and the
 * root namespace's where there are no others.
 */
enum rule_origin {
	RULE_OF_SERVICES_NAMESPACE,
	RULE_OF_OTHER_NAMESPACE,
	RULE_OF_ROOT_NAMESPACE,
	RULE_ORIGINS,
};

static enum rule_origin origin_of(struct compiler *compiler,
				  const struct destination_rule_manifest *rule)
{
	const char *name = compile_host_name(compiler, rule->host, rule->resource.namespace);
	const struct mesh_host *host = name_table_get(&compiler->mesh->hosts, 0, span_of(name));

	if (!host || strcmp(host->service->resource.namespace, rule->resource.namespace) == 0)
		return RULE_OF_SERVICES_NAMESPACE;
	return strcmp(rule->resource.namespace, "istio-system") ? RULE_OF_OTHER_NAMESPACE
								: RULE_OF_ROOT_NAMESPACE;
}

static void add_rules(struct compiler *compiler, enum rule_origin origin)
{
	const struct manifest_set *set = compiler->manifests;

	for (size_t i = 0; i < set->destination_rule_count; i++) {
		const struct destination_rule_manifest *rule = &set->destination_rules[i];

		if (!rule->host || origin_of(compiler, rule) != origin)
			continue;
		char *title = resource_title(&rule->resource);
		struct compiled_resource resource = {compiler, &rule->resource, title};

		if (origin == RULE_OF_OTHER_NAMESPACE)
			compile_warning(&resource, rule->host_place, NULL,
					"holds for callers of all namespaces, not of %s alone",
					rule->resource.namespace);
		add_rule(&resource, rule);
		compiler->has_wildcard_rules |= *rule->host == '*';
		free(title);
	}
}

/* The DestinationRules of the longest wildcard that holds the host; or NULL. */
static struct subset_rules *find_wildcard_rules(const struct compiler *compiler, const char *host)
{
	struct subset_rules *found = NULL;
	struct buffer name = {0};

	for (const char *dot = strchr(host, '.'); dot && !found; dot = strchr(dot + 1, '.')) {
		buffer_clear(&name);
		buffer_printf(&name, "*%s", dot);
		if (!name.failed)
			found = name_table_get(&compiler->rules, 0, buffer_span(&name));
	}
	buffer_free(&name);
	return found ? found : name_table_get(&compiler->rules, 0, span_of("*"));
}

/* As in Istio, a host with a rule of its own takes nothing of a wildcard's. */
static void take_wildcard_rules(struct compiler *compiler, const struct service_manifest *service)
{
	for (size_t i = 0; i < service->host_count && compiler->has_wildcard_rules; i++) {
		struct mesh_host *host =
			name_table_get(&compiler->mesh->hosts, 0, span_of(service->hosts[i]));

		if (host && !host->rules)
			host->rules = find_wildcard_rules(compiler, host->name);
	}
}

void compile_hosts(struct compiler *compiler)
{
	const struct manifest_set *set = compiler->manifests;

	index_labels(compiler);
	for (size_t i = 0; i < set->workload_count; i++)
		index_address(compiler, &set->workloads[i]);
	for (size_t i = 0; i < set->service_count; i++) {
		const struct service_manifest *service = &set->services[i];

		for (size_t j = 0; j < service->host_count; j++)
			add_host(compiler, service, service->hosts[j]);
		for (size_t j = 0; j < service->endpoint_count; j++)
			index_address(compiler, &service->endpoints[j]);
	}
	for (enum rule_origin origin = 0; origin < RULE_ORIGINS; origin++)
		add_rules(compiler, origin);
	for (size_t i = 0; i < set->service_count; i++)
		take_wildcard_rules(compiler, &set->services[i]);
}
