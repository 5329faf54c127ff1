/* SPDX-License-Identifier: GPL-2.0-only */
#include "manifest/reference_grant.h"

#include <string.h>

#include "base/array.h"
#include "manifest/builder.h"

/* One entry of `from` or `to`: its kind must be this one, else it is about something else. */
struct entry_kind {
	const char *list;
	const char *group, *kind;
	const char *field; /* what of it counts */
	bool is_optional;
};

static void read_entries(const struct builder *builder, const struct node *spec,
			 const struct path *parent, const struct entry_kind *wanted,
			 const char ***ret_names, size_t *ret_count)
{
	static const struct field_rule fields[] = {
		{"group", FIELD_READ},
		{"kind", FIELD_READ},
		{"namespace", FIELD_READ},
		{"name", FIELD_READ},
	};
	struct path path = path_field(parent, wanted->list);
	struct node *list =
		builder_required_child(builder, spec, parent, wanted->list, NODE_SEQUENCE);

	if (!list)
		return;
	const char **names = builder_array(builder, list, list->count, sizeof(*names));
	for (size_t i = 0; names && i < list->count; i++) {
		struct path item = path_item(&path, i);
		const struct node *entry = list->items[i];

		if (!reader_check_fields(&builder->reader, entry, &item, fields,
					 ARRAY_LENGTH(fields)))
			continue;
		const char *kind = builder_required_text(builder, entry, &item, "kind");
		const char *group = builder_text(builder, entry, &item, "group");
		const char *name =
			wanted->is_optional
				? builder_text(builder, entry, &item, wanted->field)
				: builder_required_text(builder, entry, &item, wanted->field);
		if (kind && strcmp(kind, wanted->kind) == 0 &&
		    strcmp(group ? group : "", wanted->group) == 0 && (name || wanted->is_optional))
			names[(*ret_count)++] = name && *name ? name : NULL;
	}
	*ret_names = names;
}

static void read_spec(const struct builder *builder, const struct node *document,
		      struct reference_grant_manifest *manifest)
{
	static const struct field_rule fields[] = {{"from", FIELD_READ}, {"to", FIELD_READ}};
	static const struct entry_kind from = {"from", "gateway.networking.k8s.io", "HTTPRoute",
					       "namespace", false};
	static const struct entry_kind to = {"to", "", "Service", "name", true};
	struct path path = path_field(NULL, "spec");
	struct node *spec = builder_required_child(builder, document, NULL, "spec", NODE_MAPPING);

	if (!spec)
		return;
	reader_check_fields(&builder->reader, spec, &path, fields, ARRAY_LENGTH(fields));
	read_entries(builder, spec, &path, &from, &manifest->from, &manifest->from_count);
	read_entries(builder, spec, &path, &to, &manifest->to, &manifest->to_count);
}

int reference_grant_read(const struct node *document, struct diagnostics *diagnostics,
			 struct reference_grant_manifest *ret_manifest)
{
	struct reference_grant_manifest manifest = {0};
	struct builder builder;

	if (builder_begin(&builder, document, diagnostics, &manifest.resource, &manifest.arena))
		return -1;
	read_spec(&builder, document, &manifest);
	builder_end(&builder);
	*ret_manifest = manifest;
	return 0;
}

void reference_grant_free(struct reference_grant_manifest *manifest)
{
	arena_free(&manifest->arena);
	resource_free(&manifest->resource);
	*manifest = (struct reference_grant_manifest){0};
}

static bool is_among(const char *const *names, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++) {
		if (!names[i] || strcmp(names[i], name) == 0)
			return true;
	}
	return false;
}

bool reference_grant_permits(const struct reference_grant_manifest *manifest, const char *from,
			     const char *namespace, const char *name)
{
	return strcmp(manifest->resource.namespace, namespace) == 0 &&
	       is_among(manifest->from, manifest->from_count, from) &&
	       is_among(manifest->to, manifest->to_count, name);
}
