/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * Calls of pods that the kernel leads to the agent (kernel/interception.h): what of the
 * configuration is intercepted, where the accepted connections belong, and the word to the kernel
 * that the workers serve. Connections that came to the port by themselves are refused.
 */
#include "config/configuration.h"
#include "kernel/interception.h"
#include "proxy/upstream/lease.h"

struct heartbeat;
struct listener;
struct proxy;
struct proxy_options;
struct worker;

/*
 * The agent's listener in this family: a kind of its own, none of the mesh's. False: there is none.
 */
bool interceptor_identity(const struct proxy_options *options, enum lanetag_address_family family,
			  struct mesh_listener *ret_identity);

/* What `configuration` wants intercepted, within the namespaces of `options`. 0 or -ENOMEM;
 * interceptor_free_scope frees. */
int interceptor_scope(const struct proxy_options *options,
		      const struct configuration *configuration,
		      struct interception_scope *ret_scope);
void interceptor_free_scope(struct interception_scope *scope);

/* Around a swap of the proxy's configuration: before, and after. Failures are logged. */
void interceptor_narrow(const struct proxy *proxy, const struct configuration *configuration);
void interceptor_widen(const struct proxy *proxy, const struct configuration *configuration);

/* The listener of the Service that the accepted connection was to; NULL: none, refuse it. */
struct listener *interceptor_find(struct worker *worker, int fd,
				  const struct lanetag_connection *connection);

/* Says, again and again, that the agent serves: as long as every worker gets round its loop. 0 or a
 * negative errno. */
int heartbeat_start(struct proxy *proxy, struct heartbeat **ret_heartbeat);
void heartbeat_stop(struct heartbeat *heartbeat); /* NULL is fine */
