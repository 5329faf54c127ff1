/* SPDX-License-Identifier: GPL-2.0-only */
#include "manifest/stub.h"

#include "base/array.h"
#include "manifest/node.h"

bool manifest_is_stub(const struct manifest_piece *piece)
{
	return piece->text.length &&
	       memmem(piece->text.data, piece->text.length, MANIFEST_REJECTED_ANNOTATION,
		      strlen(MANIFEST_REJECTED_ANNOTATION)) != NULL;
}

/* Names, hosts and references to gateways have no other bytes. */
static bool is_harmless(struct span text)
{
	for (size_t i = 0; i < text.length; i++) {
		unsigned char byte = (unsigned char)text.data[i];

		if (!(byte >= 'a' && byte <= 'z') && !(byte >= 'A' && byte <= 'Z') &&
		    !(byte >= '0' && byte <= '9') && !strchr("-._*/", byte))
			return false;
	}
	return text.length > 0;
}

/* The number of texts. */
static size_t print_texts(const struct node *list, struct buffer *out)
{
	size_t count = 0;

	for (size_t i = 0; list && list->kind == NODE_SEQUENCE && i < list->count; i++) {
		const struct node *item = list->items[i];

		if (item->kind != NODE_SCALAR || !is_harmless(item->text))
			continue;
		buffer_printf(out, "%s\"%.*s\"", count ? ", " : "", SPAN_ARGUMENTS(item->text));
		count++;
	}
	return count;
}

static void print_header(const struct manifest_piece *piece, const char *version,
			 struct buffer *out)
{
	buffer_printf(out,
		      "---\napiVersion: %s\nkind: %s\nmetadata: {name: \"%s\", namespace: \"%s\", "
		      "annotations: {" MANIFEST_REJECTED_ANNOTATION ": \"true\"}}\nspec:\n",
		      version, piece->kind, piece->name, piece->namespace);
}

static bool print_virtual_service(const struct manifest_piece *piece, const struct node *spec,
				  struct buffer *out)
{
	struct buffer hosts = {0}, gateways = {0};
	size_t host_count = print_texts(node_get(spec, "hosts"), &hosts);
	size_t gateway_count = print_texts(node_get(spec, "gateways"), &gateways);
	bool is_printed = host_count && !hosts.failed && !gateways.failed;

	if (is_printed) {
		print_header(piece, "networking.istio.io/v1", out);
		buffer_printf(out, "  hosts: [%.*s]\n", (int)hosts.length, hosts.data);
		if (gateway_count)
			buffer_printf(out, "  gateways: [%.*s]\n", (int)gateways.length,
				      gateways.data);
		buffer_append_text(out, "  http: [{directResponse: {status: 503}}]\n");
	}
	buffer_free(&hosts);
	buffer_free(&gateways);
	return is_printed;
}

/* A field of an HTTPRoute's parent, where it is there. */
static bool print_field(const struct node *parent, const char *field, bool is_text,
			struct buffer *out)
{
	const struct node *value = node_get(parent, field);
	const char *quote = is_text ? "\"" : "";

	if (!value || node_is_null(value))
		return true;
	if (value->kind != NODE_SCALAR || (value->text.length && !is_harmless(value->text)))
		return false;
	buffer_printf(out, "%s: %s%.*s%s, ", field, quote, SPAN_ARGUMENTS(value->text), quote);
	return true;
}

static size_t print_parents(const struct node *list, struct buffer *out)
{
	static const char *const fields[] = {"group", "kind", "namespace", "name", "sectionName"};
	size_t count = 0;

	for (size_t i = 0; list && list->kind == NODE_SEQUENCE && i < list->count; i++) {
		struct buffer parent = {0};
		bool is_good = true;

		for (size_t j = 0; j < ARRAY_LENGTH(fields); j++)
			is_good &= print_field(list->items[i], fields[j], true, &parent);
		is_good &= print_field(list->items[i], "port", false, &parent);
		if (is_good && !parent.failed && node_get(list->items[i], "name")) {
			buffer_printf(out, "%s{%.*s}", count ? ", " : "", (int)parent.length,
				      parent.data);
			count++;
		}
		buffer_free(&parent);
	}
	return count;
}

static bool print_http_route(const struct manifest_piece *piece, const struct node *spec,
			     struct buffer *out)
{
	struct buffer hosts = {0}, parents = {0};
	const struct node *hostnames = node_get(spec, "hostnames");
	size_t host_count = print_texts(hostnames, &hosts);
	bool is_printed = print_parents(node_get(spec, "parentRefs"), &parents) &&
			  (host_count || !hostnames) && !hosts.failed && !parents.failed;

	if (is_printed) {
		print_header(piece, "gateway.networking.k8s.io/v1", out);
		buffer_printf(out, "  parentRefs: [%.*s]\n", (int)parents.length, parents.data);
		if (host_count)
			buffer_printf(out, "  hostnames: [%.*s]\n", (int)hosts.length, hosts.data);
		buffer_append_text(out, "  rules: [{filters: [{type: RequestRedirect, "
					"requestRedirect: {statusCode: 302}}]}]\n");
	}
	buffer_free(&hosts);
	buffer_free(&parents);
	return is_printed;
}

/* A rule that tags no user, so that its tag header stays the agent's: clients' own are removed. */
static bool print_rule(const struct node *rule, struct buffer *out)
{
	const struct node *tag = node_get(rule, "tagHeader"), *header = node_get(rule, "header");
	bool has_header = header && header->kind == NODE_SCALAR && is_harmless(header->text);

	if (!tag || tag->kind != NODE_SCALAR || !is_harmless(tag->text))
		return false;
	buffer_append_text(out, "    - header: \"");
	buffer_append_span(out, has_header ? header->text : span_of("x-user-id"));
	buffer_append_text(out, "\"\n      tagHeader: \"");
	buffer_append_span(out, tag->text);
	buffer_append_text(out, "\"\n      modulo: 100\n"
				"      policies: [{percent: 0, tagValue: rejected}]\n");
	return true;
}

static bool print_wasm_plugin(const struct manifest_piece *piece, const struct node *spec,
			      struct buffer *out)
{
	const struct node *rules = node_get(node_get(spec, "pluginConfig"), "rules");
	struct buffer text = {0};
	size_t count = 0;

	for (size_t i = 0; rules && rules->kind == NODE_SEQUENCE && i < rules->count; i++)
		count += print_rule(rules->items[i], &text);
	bool is_printed = count && !text.failed;
	if (is_printed) {
		print_header(piece, "extensions.istio.io/v1alpha1", out);
		buffer_append_text(out, "  pluginConfig:\n    rules:\n");
		buffer_append_span(out, buffer_span(&text));
	}
	buffer_free(&text);
	return is_printed;
}

static const struct stub_kind {
	const char *kind;
	bool (*print)(const struct manifest_piece *piece, const struct node *spec,
		      struct buffer *out);
} stub_kinds[] = {
	{"VirtualService", print_virtual_service},
	{"HTTPRoute", print_http_route},
	{"WasmPlugin", print_wasm_plugin},
};

static const struct stub_kind *find_kind(const struct manifest_piece *piece)
{
	for (size_t i = 0; i < ARRAY_LENGTH(stub_kinds); i++) {
		if (strcmp(stub_kinds[i].kind, piece->kind) == 0)
			return &stub_kinds[i];
	}
	return NULL;
}

bool manifest_has_stub(const struct manifest_piece *piece)
{
	return find_kind(piece) && is_harmless(span_of(piece->name)) &&
	       is_harmless(span_of(piece->namespace));
}

int manifest_stub_print(const struct manifest_piece *piece, struct buffer *out)
{
	struct diagnostics diagnostics = {0};
	struct node **documents = NULL;
	struct buffer text = {0};

	manifest_piece_print(piece, &text);
	size_t count = text.failed ? 0
				   : nodes_read_memory(piece->file->name, buffer_span(&text),
						       &diagnostics, &documents);
	bool is_printed = count == 1 && manifest_has_stub(piece) &&
			  find_kind(piece)->print(piece, node_get(documents[0], "spec"), out);
	nodes_free(documents, count);
	diagnostics_free(&diagnostics);
	buffer_free(&text);
	return is_printed ? 0 : -1;
}
