/* SPDX-License-Identifier: GPL-2.0-only */
#include "manifest/unenforced.h"

#include <errno.h>
#include <stdlib.h>

#include "base/array.h"
#include "manifest/node.h"
#include "manifest/service.h"

#define ROOT_NAMESPACE "istio-system"
#define MAX_NAMED_HOSTS 5

static const struct {
	const char *group, *kind, *lost;
} kinds[] = {
	{"security.istio.io", "AuthorizationPolicy", "no request is denied by it"},
	{"security.istio.io", "RequestAuthentication", "no token is checked by it"},
	{"security.istio.io", "PeerAuthentication", "calls by plain HTTP are taken"},
	{"networking.istio.io", "EnvoyFilter", "what it changes in Envoy is not done"},
	{"networking.istio.io", "Sidecar", "it limits no workload's ports and hosts"},
	{"networking.istio.io", "ProxyConfig", "it sets nothing"},
	{"networking.k8s.io", "Ingress", "nothing listens for it"},
	{"telemetry.istio.io", "Telemetry", "it changes no logs, traces or metrics"},
};

const char *unenforced_kind(struct span group, struct span kind)
{
	for (size_t i = 0; i < ARRAY_LENGTH(kinds); i++) {
		if (span_equal(span_of(kinds[i].group), group) &&
		    span_equal(span_of(kinds[i].kind), kind))
			return kinds[i].lost;
	}
	return NULL;
}

static struct span text_of(const struct node *node, const char *otherwise)
{
	return node && node->kind == NODE_SCALAR ? node->text : span_of(otherwise);
}

/* Labels as they are; what is no text selects nothing and is not looked at. */
static int read_labels(const struct node *node, struct labels *labels)
{
	for (size_t i = 0; node && node->kind == NODE_MAPPING && i < node->count; i++) {
		if (node->items[i]->kind != NODE_SCALAR)
			continue;
		struct label *label = ARRAY_APPEND(labels->items, labels->count);
		if (!label)
			return -ENOMEM;
		*label = (struct label){span_copy(node->keys[i]->text),
					span_copy(node->items[i]->text)};
		if (!label->key || !label->value)
			return -ENOMEM;
	}
	return 0;
}

/* The hosts that it names itself (Ingress). */
static int read_hosts(const struct node *rules, struct unenforced *one)
{
	struct buffer text = {0};

	for (size_t i = 0; rules && rules->kind == NODE_SEQUENCE && i < rules->count; i++) {
		struct span host = text_of(node_get(rules->items[i], "host"), "*");

		buffer_printf(&text, "%s%.*s", text.length ? ", " : "", SPAN_ARGUMENTS(host));
	}
	if (text.failed) {
		buffer_free(&text);
		return -ENOMEM;
	}
	one->hosts = text.length ? span_copy(buffer_span(&text)) : NULL;
	buffer_free(&text);
	return 0;
}

int unenforced_read(const struct node *document, const char *lost, struct unenforced *ret_one)
{
	const struct node *metadata = node_get(document, "metadata");
	const struct node *spec = node_get(document, "spec");
	const struct node *selector = node_get(spec, "selector");
	const struct node *workloads = node_get(spec, "workloadSelector");
	bool is_ingress = span_equal(text_of(node_get(document, "kind"), ""), span_of("Ingress"));
	struct buffer title = {0};

	*ret_one = (struct unenforced){.lost = lost, .place = document->place};
	buffer_printf(&title, "%.*s/%.*s", SPAN_ARGUMENTS(text_of(node_get(document, "kind"), "?")),
		      SPAN_ARGUMENTS(text_of(node_get(metadata, "name"), "?")));
	ret_one->title = title.failed ? NULL : span_copy(buffer_span(&title));
	buffer_free(&title);
	ret_one->namespace = span_copy(text_of(node_get(metadata, "namespace"), "default"));
	ret_one->file = span_copy(span_of(document->place.file));
	ret_one->place.file = ret_one->file;
	if (ret_one->title && ret_one->namespace && ret_one->file &&
	    !read_labels(node_get(selector, "matchLabels"), &ret_one->selector) &&
	    !read_labels(node_get(workloads, "labels"), &ret_one->selector) &&
	    !(is_ingress && read_hosts(node_get(spec, "rules"), ret_one)))
		return 0;
	unenforced_free(ret_one);
	return -ENOMEM;
}

/* False if no workload can be in both: they want another value of one label. */
static bool may_share_workloads(const struct labels *one, const struct labels *other)
{
	for (size_t i = 0; i < one->count; i++) {
		const char *value = labels_get(other, one->items[i].key);

		if (value && strcmp(value, one->items[i].value) != 0)
			return false;
	}
	return true;
}

static bool protects(const struct unenforced *one, const struct service_manifest *service)
{
	if (service->is_entry || (strcmp(one->namespace, ROOT_NAMESPACE) != 0 &&
				  strcmp(one->namespace, service->resource.namespace) != 0))
		return false;
	return one->selector.count == 0 ||
	       (service->has_selector && may_share_workloads(&one->selector, &service->selector));
}

static char *find_hosts(const struct unenforced *one, const struct manifest_set *set)
{
	struct buffer text = {0};
	size_t count = 0;

	for (size_t i = 0; i < set->service_count; i++) {
		const struct service_manifest *service = &set->services[i];

		if (service->host_count == 0 || !protects(one, service))
			continue;
		if (count++ < MAX_NAMED_HOSTS)
			buffer_printf(&text, "%s%s", text.length ? ", " : "", service->hosts[0]);
	}
	if (count > MAX_NAMED_HOSTS)
		buffer_printf(&text, " and %zu more", count - MAX_NAMED_HOSTS);
	if (count == 0)
		buffer_append_text(&text, "no host of these manifests");
	char *hosts = text.failed ? NULL : span_copy(buffer_span(&text));
	buffer_free(&text);
	return hosts;
}

void unenforced_report(struct unenforced *one, const struct manifest_set *set,
		       struct diagnostics *diagnostics)
{
	if (!one->hosts)
		one->hosts = find_hosts(one, set);
	diagnostics_add(diagnostics, DIAGNOSTIC_WARNING, one->place, one->title, NULL,
			"not enforced, %s: %s", one->lost, one->hosts ? one->hosts : "?");
}

void unenforced_free(struct unenforced *one)
{
	free(one->title);
	free(one->file);
	free(one->namespace);
	free(one->hosts);
	labels_free(&one->selector);
	*one = (struct unenforced){0};
}
