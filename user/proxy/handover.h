/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * An old agent hands its work over to a new one (lanetag run --takeover), in lines over the control
 * socket:
 *
 *     new  takeover 1             its configuration is checked; the version of this conversation
 *     old  sockets GENERATION     then the listening sockets (proxy/takeover.h)
 *     new  ready                  it has them
 *     old  yours                  maps, admin address and control socket are free; it still serves
 *     new  serving                both accept from the same queues: the old one drains, and ends
 *
 * An old agent that doesn't hear "serving" goes on. All return 0 or a negative errno.
 */
#include <stdint.h>
#include "proxy/takeover.h"

#define HANDOVER_COMMAND "takeover 1"

/* The new agent's end. */
struct handover {
	int connection;	     /* -1: there was no old agent */
	uint32_t generation; /* of the old agent's configuration; 0 without one */
	struct proxy_sockets sockets;
};

/* Up to "yours". Where nobody listens at `path`: 0, and nothing in it. */
int handover_ask(const char *path, struct handover *ret_handover);
int handover_say_serving(struct handover *handover);
void handover_free(struct handover *handover);

/* The old agent's end, after the command was read: up to "ready". */
int handover_offer(int connection, uint32_t generation, const struct proxy_sockets *sockets);
/* Says "yours" and waits for "serving". */
int handover_yield(int connection);
