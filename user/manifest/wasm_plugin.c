/* SPDX-License-Identifier: GPL-2.0-only */
#include "manifest/wasm_plugin.h"

#include <stdlib.h>

#include "base/array.h"
#include "base/number.h"
#include "http/values.h"
#include "manifest/builder.h"

#define RULE_MAX_NAME 64

static const char *const hash_names[] = {
	[LANETAG_HASH_FNV1A32] = "fnv1a32",
	[LANETAG_HASH_XXH32] = "xxh32",
	[LANETAG_HASH_XXH64] = "xxh64",
};

const char *hash_kind_name(enum lanetag_hash_kind kind)
{
	return hash_names[kind];
}

/* Fields that somebody else adds or reads on the way; a tag must not take their place. */
static const char *const reserved_headers[] = {
	"host",
	"content-length",
	"transfer-encoding",
	"connection",
	"keep-alive",
	"te",
	"trailer",
	"upgrade",
	"expect",
	"proxy-connection",
	"baggage",
	"cookie",
	"via",
	"proxy-authorization",
};

static void read_hash(const struct builder *builder, const struct node *node,
		      const struct path *path, struct tag_rule_manifest *rule)
{
	struct path hash_path = path_field(path, "hash"), seed_path = path_field(path, "seed");
	struct span name;

	if (reader_text(&builder->reader, node, path, "hash", &name) == 0) {
		size_t kind = 0;
		while (kind < ARRAY_LENGTH(hash_names) &&
		       !span_equal(name, span_of(hash_names[kind])))
			kind++;
		if (kind < ARRAY_LENGTH(hash_names))
			rule->hash = (enum lanetag_hash_kind)kind;
		else
			reader_error(&builder->reader, node_get(node, "hash"), &hash_path,
				     "unknown hash \"%.*s\": fnv1a32, xxh32 and xxh64 are known",
				     SPAN_ARGUMENTS(name));
	}
	uint64_t maximum = rule->hash == LANETAG_HASH_XXH32 ? UINT32_MAX : UINT64_MAX;
	if (reader_unsigned(&builder->reader, node, path, "seed", 0, maximum, &rule->seed) == 0 &&
	    rule->hash == LANETAG_HASH_FNV1A32)
		reader_error(&builder->reader, node_get(node, "seed"), &seed_path,
			     "fnv1a32 has no seed: use salt, or hash xxh64");
}

static void read_salt(const struct builder *builder, const struct node *node,
		      const struct path *path, struct tag_rule_manifest *rule)
{
	struct path salt_path = path_field(path, "salt");

	rule->salt = builder_text(builder, node, path, "salt");
	if (!rule->salt)
		rule->salt = "";
	if (strlen(rule->salt) > LANETAG_MAX_SALT)
		reader_error(&builder->reader, node_get(node, "salt"), &salt_path,
			     "longer than %d bytes", LANETAG_MAX_SALT);
}

static void read_source(const struct builder *builder, const struct node *node,
			const struct path *path, struct tag_rule_manifest *rule)
{
	static const char *const fields[] = {
		[LANETAG_SOURCE_HEADER] = "header",
		[LANETAG_SOURCE_COOKIE] = "cookie",
		[LANETAG_SOURCE_QUERY_PARAM] = "queryParam",
	};
	const struct node *at = NULL;
	struct path name_path = *path;

	for (size_t kind = 0; kind < ARRAY_LENGTH(fields); kind++) {
		const char *name = builder_text(builder, node, path, fields[kind]);

		if (!name)
			continue;
		name_path = path_field(path, fields[kind]);
		if (at)
			reader_error(&builder->reader, node_get(node, fields[kind]), &name_path,
				     "a rule has one source: header, cookie or queryParam");
		at = node_get(node, fields[kind]);
		rule->source_kind = (enum lanetag_source_kind)kind;
		rule->source_name = name;
	}
	if (!at) {
		reader_error(&builder->reader, node, path,
			     "header is missing (or cookie, or queryParam): where is the user id?");
		return;
	}
	if (strlen(rule->source_name) > LANETAG_MAX_NAME)
		reader_error(&builder->reader, at, &name_path, "longer than %d bytes",
			     LANETAG_MAX_NAME);
	if (rule->source_kind != LANETAG_SOURCE_QUERY_PARAM &&
	    !http_is_token(span_of(rule->source_name)))
		reader_error(&builder->reader, at, &name_path,
			     "\"%s\" is no token (RFC 9110 5.6.2)", rule->source_name);
	else if (rule->source_name[0] == '\0')
		reader_error(&builder->reader, at, &name_path, "is empty");
}

static void read_tag_header(const struct builder *builder, const struct node *node,
			    const struct path *path, struct tag_rule_manifest *rule)
{
	struct path header_path = path_field(path, "tagHeader");
	const struct node *at = node_get(node, "tagHeader");

	rule->tag_header = builder_required_text(builder, node, path, "tagHeader");
	if (!rule->tag_header)
		return;
	rule->tag_header_place = builder_place(builder, at);
	struct span name = span_of(rule->tag_header);
	if (!http_is_token(name))
		reader_error(&builder->reader, at, &header_path,
			     "\"%s\" is no field name (RFC 9110 5.1)", rule->tag_header);
	if (name.length > LANETAG_MAX_NAME)
		reader_error(&builder->reader, at, &header_path, "longer than %d bytes",
			     LANETAG_MAX_NAME);
	for (size_t i = 0; i < ARRAY_LENGTH(reserved_headers); i++) {
		if (span_equal_ignore_case(name, span_of(reserved_headers[i])))
			reader_error(&builder->reader, at, &header_path,
				     "%s has a meaning of its own in HTTP and can't carry a tag",
				     rule->tag_header);
	}
}

static void read_tag_value(const struct builder *builder, const struct node *node,
			   const struct path *path, struct tag_policy_manifest *policy)
{
	struct path value_path = path_field(path, "tagValue");
	const struct node *at = node_get(node, "tagValue");

	policy->tag_value = builder_required_text(builder, node, path, "tagValue");
	if (!policy->tag_value)
		return;
	policy->tag_value_place = builder_place(builder, at);
	struct span value = at ? at->text : span_of(policy->tag_value);
	if (value.length == 0 || !http_is_field_value(value) ||
	    span_trim(value).length != value.length)
		reader_error(
			&builder->reader, at, &value_path,
			"not a field value: no control bytes, not empty, no white space around "
			"it (RFC 9110 5.5)");
	else if (value.length > LANETAG_MAX_VALUE)
		reader_error(&builder->reader, at, &value_path, "longer than %d bytes",
			     LANETAG_MAX_VALUE);
}

static void read_slots(const struct builder *builder, const struct node *node,
		       const struct path *path, uint32_t modulo, struct tag_policy_manifest *policy)
{
	struct path slots_path = path_field(path, "slots");
	struct node *list = reader_child(&builder->reader, node, path, "slots", NODE_SEQUENCE);
	uint64_t bounds[2] = {0, 0};

	if (!list)
		return;
	for (size_t i = 0; i < 2 && list->count == 2; i++) {
		struct path item = path_item(&slots_path, i);
		const struct node *bound = list->items[i];

		if (bound->kind != NODE_SCALAR || parse_unsigned(bound->text, modulo, &bounds[i]))
			reader_error(&builder->reader, bound, &item,
				     "must be a number from 0 to the modulo, %u", modulo);
	}
	if (list->count != 2 || bounds[0] >= bounds[1])
		reader_error(&builder->reader, list, &slots_path,
			     "must be [from, to] with from < to: holds from <= remainder < to");
	policy->form = POLICY_FORM_SLOTS;
	policy->from = (uint32_t)bounds[0];
	policy->to = (uint32_t)bounds[1];
}

static void read_percent(const struct builder *builder, const struct node *node,
			 const struct path *path, uint32_t modulo,
			 struct tag_policy_manifest *policy)
{
	struct path percent_path = path_field(path, "percent");

	if (reader_decimal(&builder->reader, node, path, "percent", 100, 10000,
			   &policy->as_written))
		return;
	uint64_t share = (uint64_t)modulo * policy->as_written;
	if (share % 10000)
		reader_error(&builder->reader, node_get(node, "percent"), &percent_path,
			     "is not exact with modulo %u: take modulo %u, or leave modulo out",
			     modulo, TAG_PERCENT_MODULO);
	policy->form = POLICY_FORM_PERCENT;
	policy->to = (uint32_t)(share / 10000);
}

static void read_range(const struct builder *builder, const struct node *node,
		       const struct path *path, uint32_t modulo, struct tag_policy_manifest *policy)
{
	if (reader_unsigned(&builder->reader, node, path, "range", 0, TAG_MAX_MODULO,
			    &policy->as_written))
		return;
	policy->form = POLICY_FORM_RANGE;
	policy->to = policy->as_written >= modulo ? modulo : (uint32_t)policy->as_written + 1;
}

static void read_policy(const struct builder *builder, const struct node *node,
			const struct path *path, uint32_t modulo,
			struct tag_policy_manifest *policy)
{
	static const struct field_rule fields[] = {
		{"range", FIELD_READ},
		{"percent", FIELD_READ},
		{"slots", FIELD_READ},
		{"tagValue", FIELD_READ},
	};
	size_t forms = 0;

	if (!reader_check_fields(&builder->reader, node, path, fields, ARRAY_LENGTH(fields)))
		return;
	policy->place = builder_place(builder, node);
	for (size_t i = 0; i < 3; i++)
		forms += !node_is_null(node_get(node, fields[i].name));
	if (forms != 1)
		reader_error(&builder->reader, node, path,
			     "must have exactly one of range, percent and slots");
	else if (node_get(node, "range"))
		read_range(builder, node, path, modulo, policy);
	else if (node_get(node, "percent"))
		read_percent(builder, node, path, modulo, policy);
	else
		read_slots(builder, node, path, modulo, policy);
	read_tag_value(builder, node, path, policy);
}

static void read_weight(const struct builder *builder, const struct node *node,
			const struct path *path, uint32_t modulo, uint32_t from,
			struct tag_policy_manifest *policy)
{
	static const struct field_rule fields[] = {{"weight", FIELD_READ},
						   {"tagValue", FIELD_READ}};
	struct path weight_path = path_field(path, "weight");

	if (!reader_check_fields(&builder->reader, node, path, fields, ARRAY_LENGTH(fields)))
		return;
	policy->place = builder_place(builder, node);
	policy->form = POLICY_FORM_WEIGHT;
	policy->from = policy->to = from;
	int read = reader_unsigned(&builder->reader, node, path, "weight", 0, TAG_MAX_MODULO,
				   &policy->as_written);
	if (read > 0)
		reader_error(&builder->reader, node, &weight_path, "is missing");
	else if (read == 0 && policy->as_written > modulo - from)
		reader_error(&builder->reader, node_get(node, "weight"), &weight_path,
			     "the weights sum up to more than the modulo, %u", modulo);
	else if (read == 0)
		policy->to = from + (uint32_t)policy->as_written;
	read_tag_value(builder, node, path, policy);
}

/* True if some policy has a percent, so that the modulo may be left out. */
static bool uses_percent(const struct node *policies)
{
	for (size_t i = 0; policies && i < policies->count; i++) {
		if (policies->kind == NODE_SEQUENCE && node_get(policies->items[i], "percent"))
			return true;
	}
	return false;
}

static void read_modulo(const struct builder *builder, const struct node *node,
			const struct path *path, struct tag_rule_manifest *rule)
{
	struct path modulo_path = path_field(path, "modulo");
	uint64_t modulo = 0;
	int read =
		reader_unsigned(&builder->reader, node, path, "modulo", 1, TAG_MAX_MODULO, &modulo);

	if (read > 0 && uses_percent(node_get(node, "policies")))
		modulo = TAG_PERCENT_MODULO;
	else if (read > 0 && node_get(node, "partitionedPolicies"))
		modulo = TAG_WEIGHT_MODULO;
	else if (read > 0)
		reader_error(&builder->reader, node, &modulo_path, "is missing");
	rule->modulo = modulo ? (uint32_t)modulo : 1;
}

static void read_policies(const struct builder *builder, const struct node *node,
			  const struct path *path, struct tag_rule_manifest *rule)
{
	bool partitioned = node_get(node, "partitionedPolicies") != NULL;
	const char *field = partitioned ? "partitionedPolicies" : "policies";
	struct path list_path = path_field(path, field);

	if (partitioned && node_get(node, "policies")) {
		reader_error(&builder->reader, node_get(node, "partitionedPolicies"), &list_path,
			     "stands beside policies: a rule has one of them");
		return;
	}
	struct node *list = builder_required_child(builder, node, path, field, NODE_SEQUENCE);
	if (!list)
		return;
	if (list->count == 0 || list->count > LANETAG_MAX_POLICIES) {
		reader_error(&builder->reader, list, &list_path, "must have 1 to %d entries",
			     LANETAG_MAX_POLICIES);
		return;
	}
	rule->policies = builder_array(builder, list, list->count, sizeof(*rule->policies));
	for (size_t i = 0; rule->policies && i < list->count; i++) {
		struct path item = path_item(&list_path, i);
		struct tag_policy_manifest *policy = &rule->policies[rule->policy_count++];

		if (partitioned)
			read_weight(builder, list->items[i], &item, rule->modulo,
				    i ? policy[-1].to : 0, policy);
		else
			read_policy(builder, list->items[i], &item, rule->modulo, policy);
	}
}

static void read_ids(const struct builder *builder, const struct node *node,
		     const struct path *path, const char *field, const char *const **ret_ids,
		     size_t *ret_count)
{
	struct path list_path = path_field(path, field);
	const struct node *list = node_get(node, field);

	builder_texts(builder, node, path, field, ret_ids, ret_count);
	if (*ret_count > TAG_MAX_LISTED_IDS)
		reader_error(&builder->reader, list, &list_path, "more than %u ids",
			     TAG_MAX_LISTED_IDS);
	for (size_t i = 0; i < *ret_count && list; i++) {
		struct span id = span_of((*ret_ids)[i]);
		struct path item = path_item(&list_path, i);

		if (memchr(id.data, '*', id.length))
			reader_error(&builder->reader, i < list->count ? list->items[i] : list,
				     &item,
				     "patterns are not supported, each id must be written out");
		else if (id.length == 0 || !http_is_field_value(id) ||
			 span_trim(id).length != id.length)
			reader_error(&builder->reader, i < list->count ? list->items[i] : list,
				     &item, "no id that a field value could hold");
	}
}

static void read_include(const struct builder *builder, const struct node *node,
			 const struct path *path, const struct tag_rule_manifest *rule,
			 struct tag_include_manifest *include)
{
	static const struct field_rule fields[] = {{"tagValue", FIELD_READ}, {"ids", FIELD_READ}};
	struct path value_path = path_field(path, "tagValue");

	if (!reader_check_fields(&builder->reader, node, path, fields, ARRAY_LENGTH(fields)))
		return;
	include->place = builder_place(builder, node);
	include->tag_value = builder_required_text(builder, node, path, "tagValue");
	read_ids(builder, node, path, "ids", &include->ids, &include->id_count);
	for (size_t i = 0; include->tag_value && i < rule->policy_count; i++) {
		const char *value = rule->policies[i].tag_value;
		if (value && strcmp(value, include->tag_value) == 0)
			return;
	}
	if (include->tag_value)
		reader_error(&builder->reader, node_get(node, "tagValue"), &value_path,
			     "no policy of this rule gives \"%s\"", include->tag_value);
}

static void read_id_lists(const struct builder *builder, const struct node *node,
			  const struct path *path, struct tag_rule_manifest *rule)
{
	struct path list_path = path_field(path, "include");
	struct node *list = reader_child(&builder->reader, node, path, "include", NODE_SEQUENCE);

	if (list)
		rule->includes = builder_array(builder, list, list->count, sizeof(*rule->includes));
	for (size_t i = 0; rule->includes && i < list->count; i++) {
		struct path item = path_item(&list_path, i);

		read_include(builder, list->items[i], &item, rule,
			     &rule->includes[rule->include_count++]);
	}
	read_ids(builder, node, path, "exclude", &rule->excludes, &rule->exclude_count);
}

static void read_match_hosts(const struct builder *builder, const struct node *match,
			     const struct path *path, const char **hosts,
			     struct tag_rule_manifest *rule)
{
	struct path one_path = path_field(path, "host"), list_path = path_field(path, "hosts");
	const struct node *one = node_get(match, "host");
	struct node *list = reader_child(&builder->reader, match, path, "hosts", NODE_SEQUENCE);
	const char *host = builder_text(builder, match, path, "host");

	if (host)
		hosts[rule->host_count++] =
			builder_host(builder, one, span_of(host), &one_path, true);
	for (size_t i = 0; list && i < list->count; i++) {
		struct path item = path_item(&list_path, i);
		struct span text = reader_item_text(&builder->reader, list->items[i], &item);

		if (text.data)
			hosts[rule->host_count++] =
				builder_host(builder, list->items[i], text, &item, true);
	}
	if (rule->host_count == 0)
		reader_error(&builder->reader, match, path, "needs host or hosts");
}

/* The vendor's "optional host matching". */
static void read_match(const struct builder *builder, const struct node *node,
		       const struct path *parent, struct tag_rule_manifest *rule)
{
	static const struct field_rule fields[] = {{"host", FIELD_READ}, {"hosts", FIELD_READ}};
	struct path path = path_field(parent, "match");
	struct node *match = reader_child(&builder->reader, node, parent, "match", NODE_MAPPING);
	const struct node *list = node_get(match, "hosts");

	if (!match ||
	    !reader_check_fields(&builder->reader, match, &path, fields, ARRAY_LENGTH(fields)))
		return;
	const char **hosts =
		builder_array(builder, match, (list ? list->count : 0) + 1, sizeof(*hosts));
	rule->hosts = hosts;
	if (hosts)
		read_match_hosts(builder, match, &path, hosts, rule);
}

static void read_name(const struct builder *builder, const struct node *node,
		      const struct path *path, struct tag_rule_manifest *rule)
{
	struct path name_path = path_field(path, "name");

	rule->name = builder_text(builder, node, path, "name");
	if (rule->name && (!*rule->name || strlen(rule->name) > RULE_MAX_NAME ||
			   !http_is_field_value(span_of(rule->name))))
		reader_error(&builder->reader, node_get(node, "name"), &name_path,
			     "must have 1 to %d bytes, and no control bytes", RULE_MAX_NAME);
}

static void read_rule(const struct builder *builder, const struct node *node,
		      const struct path *path, struct tag_rule_manifest *rule)
{
	static const struct field_rule fields[] = {
		{"name", FIELD_READ},
		{"match", FIELD_READ},
		{"header", FIELD_READ},
		{"cookie", FIELD_READ},
		{"queryParam", FIELD_READ},
		{"modulo", FIELD_READ},
		{"hash", FIELD_READ},
		{"seed", FIELD_READ},
		{"salt", FIELD_READ},
		{"policies", FIELD_READ},
		{"partitionedPolicies", FIELD_READ},
		{"tagHeader", FIELD_READ},
		{"include", FIELD_READ},
		{"exclude", FIELD_READ},
	};

	if (node_is_null(node))
		reader_error(&builder->reader, node, path, "must be a mapping");
	if (!reader_check_fields(&builder->reader, node, path, fields, ARRAY_LENGTH(fields)) &&
	    node->kind != NODE_MAPPING)
		return;
	rule->place = builder_place(builder, node);
	read_name(builder, node, path, rule);
	read_match(builder, node, path, rule);
	read_source(builder, node, path, rule);
	read_hash(builder, node, path, rule);
	read_salt(builder, node, path, rule);
	read_modulo(builder, node, path, rule);
	read_tag_header(builder, node, path, rule);
	read_policies(builder, node, path, rule);
	read_id_lists(builder, node, path, rule);
}

static void read_rules(const struct builder *builder, const struct node *config,
		       const struct path *path, struct wasm_plugin_manifest *manifest)
{
	static const struct field_rule fields[] = {
		{"rules", FIELD_READ},
		{"debug", FIELD_LOST,
		 "the log has no more for it, explain says what each rule does"},
	};
	struct path rules_path = path_field(path, "rules");

	reader_check_fields(&builder->reader, config, path, fields, ARRAY_LENGTH(fields));
	const struct node *rules = node_get(config, "rules");
	if (rules->kind == NODE_SEQUENCE && rules->count == 0)
		return; /* the last one has ended */
	struct node *list = builder_required_child(builder, config, path, "rules", NODE_SEQUENCE);
	if (!list)
		return;
	manifest->rules = builder_array(builder, list, list->count, sizeof(*manifest->rules));
	for (size_t i = 0; manifest->rules && i < list->count; i++) {
		struct path item = path_item(&rules_path, i);
		struct tag_rule_manifest rule = {0};
		size_t errors = builder->reader.diagnostics->error_count;

		read_rule(builder, list->items[i], &item, &rule);
		if (builder->reader.diagnostics->error_count == errors)
			manifest->rules[manifest->rule_count++] = rule;
	}
}

static void read_spec(const struct builder *builder, const struct node *document,
		      struct wasm_plugin_manifest *manifest)
{
	/*
	 * How and where the plug-in's own binary runs: there is none here, the agent does its job.
	 */
	static const struct field_rule fields[] = {
		{"pluginConfig", FIELD_READ},
		{"selector", FIELD_IGNORED},
		{"targetRef", FIELD_IGNORED},
		{"targetRefs", FIELD_IGNORED},
		{"url", FIELD_IGNORED},
		{"sha256", FIELD_IGNORED},
		{"imagePullPolicy", FIELD_IGNORED},
		{"imagePullSecret", FIELD_IGNORED},
		{"verificationKey", FIELD_IGNORED},
		{"pluginName", FIELD_IGNORED},
		{"phase", FIELD_IGNORED},
		{"priority", FIELD_IGNORED},
		{"failStrategy", FIELD_IGNORED},
		{"vmConfig", FIELD_IGNORED},
		{"type", FIELD_IGNORED},
		{"match", FIELD_UNSUPPORTED, "rules apply to every request at the Gateway's ports"},
	};
	struct path path = path_field(NULL, "spec"),
		    config_path = path_field(&path, "pluginConfig");
	struct node *spec = builder_required_child(builder, document, NULL, "spec", NODE_MAPPING);

	if (!spec)
		return;
	const struct node *config = node_get(spec, "pluginConfig");
	if (!node_get(config, "rules")) {
		reader_warning(&builder->reader, config ? config : spec, &config_path,
			       "has no rules: not the hash tagging plug-in, passed over");
		return;
	}
	reader_check_fields(&builder->reader, spec, &path, fields, ARRAY_LENGTH(fields));
	read_rules(builder, config, &config_path, manifest);
}

int wasm_plugin_read(const struct node *document, struct diagnostics *diagnostics,
		     struct wasm_plugin_manifest *ret_manifest)
{
	struct wasm_plugin_manifest manifest = {0};

	struct builder builder;

	if (builder_begin(&builder, document, diagnostics, &manifest.resource, &manifest.arena))
		return -1;

	read_spec(&builder, document, &manifest);
	builder_end(&builder);
	*ret_manifest = manifest;
	return 0;
}

void wasm_plugin_free(struct wasm_plugin_manifest *manifest)
{
	arena_free(&manifest->arena);
	resource_free(&manifest->resource);
	*manifest = (struct wasm_plugin_manifest){0};
}
