/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * The access log: a line per request, as JSON or in the Common Log Format. Lines are gathered and
 * written once a turn of the worker's loop; a reader that does not keep up loses lines (counted),
 * and never holds traffic up.
 */
#include <lanetag/connection.h>
#include "proxy/exchange/exchange.h"

/* Notes what is known when the worker's request begins. Nothing, if there is no log. */
void access_log_begin(struct worker *worker, struct exchange *exchange);
/* The same for what did not become a request: it says why instead. */
void access_log_begin_refused(struct worker *worker, struct exchange *exchange,
			      const struct lanetag_connection *connection, const char *reason);
/* Why a request whose line was begun is refused after all; only the JSON format has a place for it. */
void access_log_note_refused(const struct worker *worker, struct exchange *exchange,
			     const char *reason);
/* Completes the line when the exchange is over. */
void access_log_write(struct worker *worker, const struct exchange *exchange);
void access_log_flush(struct worker *worker);

/* Opens the file ("-": standard output). A descriptor, or a negative errno. */
int access_log_open(const char *path);
