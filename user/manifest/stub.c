/* SPDX-License-Identifier: GPL-2.0-only */
#include "manifest/stub.h"

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

static int print_document(const struct manifest_piece *piece, const struct node *document,
			  struct buffer *out)
{
	const struct node *spec = node_get(document, "spec");
	struct buffer hosts = {0}, gateways = {0};
	size_t host_count = print_texts(node_get(spec, "hosts"), &hosts);
	size_t gateway_count = print_texts(node_get(spec, "gateways"), &gateways);
	bool is_printed = host_count && is_harmless(span_of(piece->name)) &&
			  is_harmless(span_of(piece->namespace)) && !hosts.failed &&
			  !gateways.failed;

	if (is_printed) {
		buffer_printf(out,
			      "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\n"
			      "metadata: {name: \"%s\", namespace: \"%s\", annotations: "
			      "{" MANIFEST_REJECTED_ANNOTATION ": \"true\"}}\nspec:\n",
			      piece->name, piece->namespace);
		buffer_printf(out, "  hosts: [%.*s]\n", (int)hosts.length, hosts.data);
		if (gateway_count)
			buffer_printf(out, "  gateways: [%.*s]\n", (int)gateways.length,
				      gateways.data);
		buffer_append_text(out, "  http: [{directResponse: {status: 503}}]\n");
	}
	buffer_free(&hosts);
	buffer_free(&gateways);
	return is_printed ? 0 : -1;
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
	int result = count == 1 ? print_document(piece, documents[0], out) : -1;
	nodes_free(documents, count);
	diagnostics_free(&diagnostics);
	buffer_free(&text);
	return result;
}
