/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * Calls of pods that the kernel leads to the agent (kernel/interception.h): what of the
 * configuration is intercepted, where the accepted connections belong. Connections that came to the port by themselves are refused.
 */
#include "config/configuration.h"
#include "kernel/interception.h"
#include "proxy/upstream/lease.h"

struct listener;
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
void interceptor_narrow(const struct proxy_options *options,
			const struct configuration *configuration);
void interceptor_widen(const struct proxy_options *options,
		       const struct configuration *configuration);

/*
 * Where an accepted connection was to before the kernel led it here; false: nowhere, refuse it. The
 * kernel says it once.
 */
bool interceptor_original(struct worker *worker, int fd,
			  const struct lanetag_connection *connection,
			  struct lanetag_destination *ret_original);
/*
 * The worker's listener of the Service at this destination. NULL: its configuration has none; the
 * kernel may know a Service already whose configuration the worker has not adopted yet.
 */
struct listener *interceptor_listener(const struct worker *worker,
				      const struct lanetag_destination *destination);
