/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * An old agent hands its work over to a new one (lanetag run --takeover), in lines over the control
 * socket:
 *
 *     new  takeover 1             its configuration is checked; the version of this conversation
 *     old  sockets GENERATION     then the listening sockets (proxy/handover/takeover.h)
 *     new  ready                  it has them
 *     old  yours                  maps, admin address and control socket are free; it still serves
 *     new  alive                  twice a second while it takes the kernel's programs over
 *     new  serving                both accept from the same queues
 *     old  go                     it drains, and ends
 *      or  mine                   too late: it has taken back what it gave; the new one ends
 *
 * "alive", "go" and "mine" came later: an old agent that knows them says so with the sockets, and a
 * new one does without an answer.
 *
 * Either side may end or stall at any step. An old agent that hears nothing for HANDOVER_SILENCE_MS,
 * or no "serving" within HANDOVER_LONGEST_MS, takes back and goes on. A new agent whose old one ends
 * before "yours" ends, too; behind it, it goes on alone. All return 0 or a negative errno.
 */
#include <pthread.h>
#include <stdint.h>
#include "proxy/handover/takeover.h"

#define HANDOVER_COMMAND "takeover 1"
#define HANDOVER_SILENCE_MS 2000
#define HANDOVER_LONGEST_MS 30000
#define HANDOVER_LINE_BYTES 128

/* The new agent's end. */
struct handover {
	int connection;	     /* -1: there was no old agent */
	uint32_t generation; /* of the old agent's configuration; 0 without one */
	struct proxy_sockets sockets;
	struct handover_signs *signs; /* of life, while they are given; or NULL */
};

/* Up to "yours"; from then on signs of life are given. No listener at `path`: 0, and nothing in it. */
int handover_ask(const char *path, struct handover *ret_handover);
/* -ECANCELED: the old agent has taken back, and this one must end. 0: it serves, alone or drained. */
int handover_say_serving(struct handover *handover);
void handover_free(struct handover *handover);

/* The old agent's end, after the command was read: up to "ready"; waits for HANDOVER_SILENCE_MS. */
int handover_offer(int connection, uint32_t generation, const struct proxy_sockets *sockets);

/* Who has what the old agent gave, and does not serve yet. */
struct heir {
	int connection; /* -1: there is none */
	uint64_t since_ns, heard_ns;
	size_t length; /* of what came of its line */
	char line[HANDOVER_LINE_BYTES];
};

/* Says "yours"; the connection is the heir's then, after an error too. */
int handover_yield(int connection, uint64_t now_ns, struct heir *ret_heir);
/*
 * Hears what the heir has said by now. 0: it serves, it was told to go on, and the connection is
 * closed; -EAGAIN: it may still come; else it has ended, said something else, or is too late:
 * handover_take_back.
 */
int handover_hear(struct heir *heir, uint64_t now_ns);
/* When to ask again, if nothing is heard. */
uint64_t handover_due_ns(const struct heir *heir);
/* Says "mine" and closes. */
void handover_take_back(struct heir *heir);
