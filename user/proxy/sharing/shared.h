/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * What all workers share while they run: options and limits, which never change; the kernel's
 * programs, which may be exchanged; and few counts, each touched when a connection comes or goes
 * or, for holds, once a request. No request waits for another worker but in clients.c, where a
 * limit per client is asked for.
 */
#include <lanetag/connection.h>
#include "http/head.h"
#include "proxy/record/statistics.h"
#include "proxy/sharing/clients.h"
#include "proxy/sharing/holds.h"
#include "proxy/sharing/options.h"

struct causes;
struct tagger;

struct shared {
	struct proxy_options options; /* with the defaults filled in */
	struct http_limits request_limits;
	struct http_limits response_limits;
	struct tagger *_Atomic tagger;	     /* or NULL */
	const struct causes *_Atomic causes; /* or NULL */
	struct holds *holds;
	int access_log_fd; /* -1: none */
	unsigned worker_count;
	const struct proxy_statistics **statistics; /* of each worker */
	_Atomic size_t connections;
	/* Connections above a limit that a worker keeps for a moment, to answer 503. */
	unsigned maximum_over_limit;
	bool limits_hops; /* maximum_connections_per_client holds for pods, too: it was set */
	struct clients clients;
};

/*
 * Counts a new client connection against the limits. False: one is reached, refuse it. Any thread.
 * *ret_counted: the client has an entry, to be given back by shared_connection_closed.
 */
bool shared_connection_opened(struct shared *shared, const struct lanetag_connection *peers,
			      bool at_gateway, bool *ret_counted);
/* `peers`: of a client that has an entry, else NULL. */
void shared_connection_closed(struct shared *shared, const struct lanetag_connection *peers);
