/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * /metrics and /status. What they show takes milliseconds to collect and write, with thousands of
 * Services far more; so a thread of its own does that, at most once a second, and all requests that
 * wait share what it made. A page is never older than the request for it.
 */
#include <microhttpd.h>
#include "admin/snapshot.h"

#define ADMIN_PAGES_INTERVAL_MS 1000

enum admin_page { ADMIN_PAGE_METRICS, ADMIN_PAGE_STATUS, ADMIN_PAGES };

struct admin_pages;
struct admin_text;

/* A request of the HTTP server, from its head to its end. */
struct admin_request {
	struct admin_request *next;
	struct MHD_Connection *connection;
	enum admin_page page;
	bool has_waited;
	struct admin_text *text; /* what is to be answered; NULL: nothing could be made */
};

/* 0 or a negative errno. */
int admin_pages_start(admin_snapshot_function snapshot, void *context,
		      struct admin_pages **ret_pages);

/*
 * Suspends the request's connection until its page is made. False: no page is made any more, and the
 * connection goes on.
 */
bool admin_pages_wait(struct admin_pages *pages, struct admin_request *request);

/* Answers with the page that the request has waited for. */
enum MHD_Result admin_pages_answer(struct admin_request *request);
/* Gives back what the request has. */
void admin_pages_end_request(struct admin_request *request);

/* Ends the thread. Those that still wait go on without a page. */
void admin_pages_stop(struct admin_pages *pages);
void admin_pages_free(struct admin_pages *pages);
