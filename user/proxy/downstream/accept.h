/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * Takes in connections, and gives those of interception to the listener of the Service that they
 * were to. A Service of a configuration that the worker has not adopted yet is unknown: the caller
 * adopts it, and tries again. So accepting never changes listeners within itself.
 */
#include <lanetag/interception.h>
#include "proxy/downstream/listener.h"

/* An accepted connection to a Service that the worker's configuration has no listener for. */
struct accept_unknown {
	int fd;
	struct lanetag_connection peers;
	struct lanetag_destination original;
};

enum accept_result {
	ACCEPT_DONE,	/* nothing is queued, or the turn's share was taken */
	ACCEPT_UNKNOWN, /* *ret_unknown: to be given to accept_again */
};

/* Takes in of what is queued as much as one turn may. What is left comes with the next event. */
enum accept_result accept_connections(struct worker *worker, struct listener *listener,
				      struct accept_unknown *ret_unknown);
/* Takes it in, or refuses it: its Service is still unknown. */
void accept_again(struct worker *worker, const struct accept_unknown *unknown);
/* Ends a pause after errors that last. What is queued comes with the next event. */
void accept_resume(struct worker *worker, struct listener *listener);

/*
 * No more connections. Those that are queued are taken in first, unless another process has the
 * socket too and will.
 */
void listener_close(struct worker *worker, struct listener *listener, bool take_in_queue);
/* The configuration has no such listener any more: closes it, and its idle connections. */
void listener_retire(struct worker *worker, struct listener *listener);
