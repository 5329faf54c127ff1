/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* A worker's listening socket: each worker has its own for every address (SO_REUSEPORT). */
#include <lanetag/connection.h>
#include "mesh/mesh.h"
#include "proxy/loop/connection.h"
#include "proxy/loop/timer.h"

struct worker;

#define LISTENER_BACKLOG 65535 /* the kernel takes net.core.somaxconn if that is less */

struct listener {
	struct connection connection;
	struct timer timer; /* while it pauses */
	struct listener *next;
	/* Of the worker's current lease; NULL: of interception, no session is its own. */
	const struct mesh_listener *mesh_listener;
	struct mesh_listener identity; /* outlives configurations */
	size_t sessions;	       /* that came in here */
	unsigned pause_ms;	       /* the last one's; 0: none since a connection was accepted */
	bool is_gone; /* of no configuration any more: waits for its last session */
};

/* A listening socket for the address, or a negative errno. May be called from any thread. */
int listener_open_socket(const struct mesh_listener *mesh_listener);

/* Begins to accept on a socket that listener_open_socket gave. 0 or a negative errno. */
int listener_add(struct worker *worker, const struct mesh_listener *mesh_listener, int fd);
/* A session of it has ended. */
void listener_drop(struct worker *worker, struct listener *listener);

/* Which events the loop looks for: EPOLLIN, or 0 while it pauses. */
void listener_watch(struct worker *worker, struct listener *listener, uint32_t events);

static inline bool listener_is_interceptor(const struct listener *listener)
{
	return listener->identity.kind == MESH_LISTENER_INTERCEPTED;
}
