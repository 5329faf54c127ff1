/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* Gateway (networking.istio.io and gateway.networking.k8s.io): the ports where clients' requests come in, and for which hosts. */
#include "base/arena.h"
#include "manifest/resource.h"

struct gateway_host {
	struct source_place place;
	const char *namespace; /* of the VirtualServices that may be bound; NULL: any */
	const char *host;      /* lower case; "*", "*.suffix" or exact */
};

struct gateway_server {
	struct source_place place;
	const char *section; /* the listener's name, of the Gateway API; or NULL */
	uint16_t port;
	uint8_t address[16]; /* bind; all zero: any */
	const struct gateway_host *hosts;
	size_t host_count;
	bool is_left_out;    /* another protocol than HTTP (said): nothing listens */
	bool https_redirect; /* every request is answered with 301 to https */
};

struct gateway_manifest {
	struct resource resource;
	struct arena arena;
	bool is_gateway_api;
	struct labels selector;		/* of the pods that play it in Istio */
	struct gateway_server *servers; /* those that could be read */
	size_t server_count;
};

/* -1: not even its metadata could be read. Errors in its fields stand in `diagnostics` alone. */
int gateway_read(const struct node *document, struct diagnostics *diagnostics,
		 struct gateway_manifest *ret_manifest);
/* The same of the Gateway API's. */
int gateway_api_gateway_read(const struct node *document, struct diagnostics *diagnostics,
			     struct gateway_manifest *ret_manifest);
void gateway_free(struct gateway_manifest *manifest);
