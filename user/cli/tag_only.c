/* SPDX-License-Identifier: GPL-2.0-only */
#include "cli/tag_only.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/address.h"
#include "base/array.h"
#include "base/number.h"
#include "manifest/builder.h"

/* The address as an authority has it. */
static char *address_host(const uint8_t address[16])
{
	char text[ADDRESS_TEXT_BYTES], host[ADDRESS_TEXT_BYTES + 2];

	address_print(address, text);
	snprintf(host, sizeof(host), address_is_ipv4(address) ? "%s" : "[%s]", text);
	return strdup(host);
}

/* A name and a port; NULL: it is none. */
static char *named_host(const char *text, uint16_t *ret_port)
{
	const char *colon = strrchr(text, ':');
	uint64_t port;

	if (!colon || parse_unsigned(span_of(colon + 1), UINT16_MAX, &port))
		return NULL;
	char *host = strndup(text, (size_t)(colon - text));
	for (char *byte = host; byte && *byte; byte++)
		*byte = ascii_lower(*byte);
	if (host && builder_is_host(span_of(host))) {
		*ret_port = (uint16_t)port;
		return host;
	}
	free(host);
	return NULL;
}

int tag_only_parse_next_hop(const char *command, const char *text,
			    struct tag_only_arguments *arguments)
{
	struct mesh_tag_only tag_only = arguments->tag_only;
	uint8_t address[16];

	if (arguments->host) {
		fprintf(stderr, "lanetag %s: --no-route: '%s' is the second next hop\n", command,
			text);
		return -1;
	}
	if (address_parse_with_port(text, address, &tag_only.port) == 0) {
		memcpy(tag_only.address, address, sizeof(address));
		if (!address_is_any(address))
			arguments->host = address_host(address);
	} else {
		arguments->host = named_host(text, &tag_only.port);
	}
	if (!arguments->host || tag_only.port == 0) {
		fprintf(stderr,
			"lanetag %s: --no-route: '%s' is neither ADDRESS:PORT nor HOST:PORT\n",
			command, text);
		return -1;
	}
	tag_only.host = arguments->host;
	arguments->tag_only = tag_only;
	return 0;
}

int tag_only_parse_listener(const char *command, const char *text,
			    struct tag_only_arguments *arguments)
{
	struct mesh_listener listener = {.kind = MESH_LISTENER_GATEWAY};

	if (address_parse_with_port(text, listener.address, &listener.port) || listener.port == 0) {
		fprintf(stderr, "lanetag %s: --listen: '%s' is no ADDRESS:PORT\n", command, text);
		return -1;
	}
	if (address_is_any(listener.address))
		memset(listener.address, 0, sizeof(listener.address));
	struct mesh_listener *added =
		ARRAY_APPEND(arguments->listeners, arguments->tag_only.listener_count);
	if (!added) {
		fprintf(stderr, "lanetag %s: out of memory\n", command);
		return -1;
	}
	*added = listener;
	arguments->tag_only.listeners = arguments->listeners;
	return 0;
}

int tag_only_check(const char *command, const struct tag_only_arguments *arguments)
{
	if (arguments->tag_only.port || arguments->tag_only.listener_count == 0)
		return 0;
	fprintf(stderr, "lanetag %s: --listen: needs --no-route (else Gateways say where)\n",
		command);
	return -1;
}

const struct mesh_tag_only *tag_only_of(const struct tag_only_arguments *arguments)
{
	return arguments->tag_only.port ? &arguments->tag_only : NULL;
}

void tag_only_free(struct tag_only_arguments *arguments)
{
	free(arguments->host);
	free(arguments->listeners);
	*arguments = (struct tag_only_arguments){0};
}
