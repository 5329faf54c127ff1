/* SPDX-License-Identifier: GPL-2.0-only */
#include "proxy/downstream/interception.h"

#include <errno.h>
#include <stdlib.h>

#include "base/array.h"
#include "base/log.h"
#include "manifest/workload.h"
#include "proxy/worker/worker.h"

bool interceptor_identity(const struct proxy_options *options, enum lanetag_address_family family,
			  struct mesh_listener *ret_identity)
{
	const struct interception *interception = options->interception;

	if (!interception || !interception_agent(interception, family)->port)
		return false;
	const struct lanetag_destination *agent = interception_agent(interception, family);
	*ret_identity =
		(struct mesh_listener){.kind = MESH_LISTENER_INTERCEPTED, .port = agent->port};
	memcpy(ret_identity->address, agent->address, sizeof(ret_identity->address));
	return true;
}

static int add_destinations(const struct mesh *mesh, struct interception_scope *scope)
{
	for (size_t i = 0; i < mesh_listener_count(mesh); i++) {
		const struct mesh_listener *listener = mesh_listener(mesh, i);

		if (listener->kind != MESH_LISTENER_SERVICE)
			continue;
		struct lanetag_destination *destination =
			ARRAY_APPEND(scope->destinations, scope->destination_count);
		if (!destination)
			return -ENOMEM;
		memcpy(destination->address, listener->address, sizeof(destination->address));
		destination->port = listener->port;
	}
	return 0;
}

static bool has_namespace(const struct proxy_options *options, const char *namespace)
{
	for (size_t i = 0; i < options->intercepted_namespace_count; i++) {
		if (strcmp(options->intercepted_namespaces[i], namespace) == 0)
			return true;
	}
	return options->intercepted_namespace_count == 0;
}

/* Pods that share the node's address can't be told apart: their calls stay as they are. */
static int add_pods(const struct proxy_options *options, const struct configuration *configuration,
		    struct interception_scope *scope)
{
	for (size_t i = 0; i < configuration->manifests.workload_count; i++) {
		const struct workload_manifest *workload = &configuration->manifests.workloads[i];

		if (!workload->has_address || workload->shares_address ||
		    !has_namespace(options, workload->resource.namespace) ||
		    !propagation_selects(configuration->propagation, &workload->resource.labels))
			continue;
		struct lanetag_namespace_address *pod = ARRAY_APPEND(scope->pods, scope->pod_count);
		if (!pod)
			return -ENOMEM;
		memcpy(pod->address, workload->address, sizeof(pod->address));
	}
	return 0;
}

int interceptor_scope(const struct proxy_options *options,
		      const struct configuration *configuration,
		      struct interception_scope *ret_scope)
{
	struct interception_scope scope = {
		.everyone = options->intercepted_namespace_count == 0 &&
			    propagation_selects(configuration->propagation, NULL),
	};
	int error = add_destinations(configuration->mesh, &scope);

	if (error == 0)
		error = add_pods(options, configuration, &scope);
	if (error) {
		interceptor_free_scope(&scope);
		return error;
	}
	interception_sort(&scope);
	*ret_scope = scope;
	return 0;
}

void interceptor_free_scope(struct interception_scope *scope)
{
	free(scope->destinations);
	free(scope->pods);
	*scope = (struct interception_scope){0};
}

static void update(const struct proxy_options *options, const struct configuration *configuration,
		   int (*act)(struct interception *interception,
			      const struct interception_scope *scope))
{
	struct interception_scope scope = {0};

	if (!options->interception || !configuration)
		return;
	int error = interceptor_scope(options, configuration, &scope);
	if (error == 0)
		error = act(options->interception, &scope);
	if (error)
		log_error("not all calls are intercepted as configured",
			  log_number("destinations", scope.destination_count),
			  log_number("pods", scope.pod_count), log_errno(error));
	interceptor_free_scope(&scope);
}

void interceptor_narrow(const struct proxy_options *options,
			const struct configuration *configuration)
{
	update(options, configuration, interception_narrow);
}

void interceptor_widen(const struct proxy_options *options,
		       const struct configuration *configuration)
{
	update(options, configuration, interception_widen);
}

struct listener *interceptor_listener(const struct worker *worker,
				      const struct lanetag_destination *destination)
{
	struct mesh_listener like = {.kind = MESH_LISTENER_SERVICE, .port = destination->port};
	const struct lease *lease = worker->upstreams.lease;

	memcpy(like.address, destination->address, sizeof(like.address));
	const struct mesh_listener *found = mesh_find_listener(lease->configuration->mesh, &like);
	return found ? lease->listeners[found->index] : NULL;
}

bool interceptor_original(struct worker *worker, int fd,
			  const struct lanetag_connection *connection,
			  struct lanetag_destination *ret_original)
{
	struct lanetag_interception_key key = {.connection = *connection};
	struct lanetag_intercepted intercepted;

	if (saved_syn_sequence(fd, &key.sequence) ||
	    !interception_take(worker->shared->options.interception, &key, &intercepted))
		return false;
	*ret_original = intercepted.original;
	return true;
}
