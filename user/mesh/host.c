/* SPDX-License-Identifier: GPL-2.0-only */
#include "mesh/model.h"

struct host_text {
	char bytes[HOST_MAX_BYTES + 1];
	size_t length;
};

/* False if it would be longer than a host may be. */
static bool host_append(struct host_text *text, struct span part)
{
	if (part.length > HOST_MAX_BYTES - text->length)
		return false;
	memcpy(text->bytes + text->length, part.data, part.length);
	text->length += part.length;
	return true;
}

static void *try_with(struct span host, const char *namespace, const char *suffix,
		      mesh_try_host try, const void *context)
{
	struct host_text text = {.length = 0};
	bool fits = host_append(&text, host);

	if (namespace)
		fits = fits && host_append(&text, span_of(".")) &&
		       host_append(&text, span_of(namespace));
	fits = fits && host_append(&text, span_of(suffix));
	return fits ? try(context, (struct span){text.bytes, text.length}) : NULL;
}

void *mesh_resolve_host(struct span host, const char *namespace, mesh_try_host try,
			const void *context)
{
	const char *first_dot = host.length ? memchr(host.data, '.', host.length) : NULL;
	void *found = try(context, host);

	if (found || host.length == 0)
		return found;
	if (!first_dot)
		return namespace ? try_with(host, namespace, "." SERVICE_DOMAIN, try, context)
				 : NULL;
	if (span_ends_with_ignore_case(host, span_of(".svc")))
		return try_with(host, NULL, ".cluster.local", try, context);
	size_t behind = (size_t)(host.data + host.length - first_dot - 1);
	if (!memchr(first_dot + 1, '.', behind))
		return try_with(host, NULL, "." SERVICE_DOMAIN, try, context);
	return NULL;
}
