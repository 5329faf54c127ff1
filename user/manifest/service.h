/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * Hosts that can be called: Service (v1), whose one host is NAME.NAMESPACE.svc.cluster.local, and
 * ServiceEntry (networking.istio.io) with the hosts that it lists.
 */
#include "base/arena.h"
#include "manifest/resource.h"
#include "manifest/workload.h"

#define SERVICE_DOMAIN "svc.cluster.local"

struct service_port_manifest {
	struct source_place place;
	const char *name; /* or "" */
	uint16_t port;
	uint16_t target_port;	      /* 0: see target_port_name */
	const char *target_port_name; /* of a container's port; or NULL */
	bool is_tcp;
	bool is_http;  /* by its name, appProtocol or protocol; false does not say that it is not */
	bool is_other; /* said to be something else than HTTP */
	bool is_named_other; /* only by its name: routes may lead there all the same */
};

struct service_manifest {
	struct resource resource;
	struct arena arena;
	bool is_entry;	      /* ServiceEntry */
	const char *left_out; /* why no request can go to its hosts; nothing else is read then */
	const char *const *hosts; /* lower case, fully qualified */
	size_t host_count;
	const uint8_t (*addresses)[16]; /* clusterIPs, addresses: where callers connect to */
	size_t address_count;
	const struct service_port_manifest *ports;
	size_t port_count;
	bool has_selector;
	struct labels selector;
	bool with_not_ready; /* publishNotReadyAddresses */
	/* Endpoints that the ServiceEntry itself lists; owned. */
	struct workload_manifest *endpoints;
	size_t endpoint_count;
};

/* -1: not even its metadata could be read. */
int service_read(const struct node *document, struct diagnostics *diagnostics,
		 struct service_manifest *ret_manifest);
int service_entry_read(const struct node *document, struct diagnostics *diagnostics,
		       struct service_manifest *ret_manifest);
void service_free(struct service_manifest *manifest);
