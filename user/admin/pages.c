/* SPDX-License-Identifier: GPL-2.0-only */
#include "admin/pages.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "admin/metrics.h"
#include "admin/status.h"
#include "base/clock.h"

/* A page as it is sent, to any number of requests. */
struct admin_text {
	atomic_uint users;
	struct MHD_Response *response;
};

struct admin_pages {
	admin_snapshot_function snapshot;
	void *context;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	/* under the lock */
	struct admin_request *waiting;
	bool stopping;
};

static const struct {
	void (*write)(const struct admin_snapshot *snapshot, struct buffer *out);
	const char *type;
} forms[ADMIN_PAGES] = {
	[ADMIN_PAGE_METRICS] = {metrics_write, "text/plain; version=0.0.4; charset=utf-8"},
	[ADMIN_PAGE_STATUS] = {status_write, "application/json"},
};

static void drop_text(struct admin_text *text)
{
	if (!text || atomic_fetch_sub(&text->users, 1) != 1)
		return;
	MHD_destroy_response(text->response);
	free(text);
}

/* The caller's, or NULL without memory. */
static struct admin_text *make_text(const struct admin_snapshot *snapshot, enum admin_page page)
{
	struct admin_text *text = calloc(1, sizeof(*text));
	struct buffer body = {0};

	if (!text)
		return NULL;
	forms[page].write(snapshot, &body);
	if (!body.failed)
		text->response = MHD_create_response_from_buffer(body.length, body.data,
								 MHD_RESPMEM_MUST_FREE);
	if (!text->response) {
		buffer_free(&body);
		free(text);
		return NULL;
	}
	MHD_add_response_header(text->response, MHD_HTTP_HEADER_CONTENT_TYPE, forms[page].type);
	MHD_add_response_header(text->response, "X-Content-Type-Options", "nosniff");
	atomic_init(&text->users, 1);
	return text;
}

/* Once its connection goes on, a request is the HTTP server's again. */
static void resume(struct admin_request *requests, struct admin_text *const texts[ADMIN_PAGES])
{
	while (requests) {
		struct admin_request *next = requests->next;

		requests->text = texts[requests->page];
		if (requests->text)
			atomic_fetch_add(&requests->text->users, 1);
		MHD_resume_connection(requests->connection);
		requests = next;
	}
}

static void serve(struct admin_pages *pages, struct admin_request *requests)
{
	struct admin_snapshot *snapshot = calloc(1, sizeof(*snapshot));
	struct admin_text *texts[ADMIN_PAGES] = {NULL};
	bool wanted[ADMIN_PAGES] = {false};

	for (const struct admin_request *request = requests; request; request = request->next)
		wanted[request->page] = true;
	if (snapshot)
		pages->snapshot(pages->context, snapshot);
	for (size_t i = 0; snapshot && i < ADMIN_PAGES; i++) {
		if (wanted[i])
			texts[i] = make_text(snapshot, (enum admin_page)i);
	}
	resume(requests, texts);
	for (size_t i = 0; i < ADMIN_PAGES; i++)
		drop_text(texts[i]);
	if (snapshot)
		admin_snapshot_free(snapshot);
}

/* Those that wait, once a page may be made for them; NULL: it is time to end. */
static struct admin_request *next_requests(struct admin_pages *pages, uint64_t due_ns)
{
	const struct timespec due = {.tv_sec = (time_t)(due_ns / 1000000000),
				     .tv_nsec = (long)(due_ns % 1000000000)};
	struct admin_request *requests = NULL;

	pthread_mutex_lock(&pages->lock);
	while (!pages->stopping && !pages->waiting)
		pthread_cond_wait(&pages->changed, &pages->lock);
	while (!pages->stopping && clock_now_ns() < due_ns)
		pthread_cond_timedwait(&pages->changed, &pages->lock, &due);
	if (!pages->stopping) {
		requests = pages->waiting;
		pages->waiting = NULL;
	}
	pthread_mutex_unlock(&pages->lock);
	return requests;
}

static void *run(void *context)
{
	struct admin_pages *pages = context;
	struct admin_request *requests;
	uint64_t due_ns = 0;

	pthread_setname_np(pthread_self(), "admin-pages");
	while ((requests = next_requests(pages, due_ns)) != NULL) {
		serve(pages, requests);
		due_ns = clock_now_ns() + ADMIN_PAGES_INTERVAL_MS * UINT64_C(1000000);
	}
	return NULL;
}

int admin_pages_start(admin_snapshot_function snapshot, void *context,
		      struct admin_pages **ret_pages)
{
	struct admin_pages *pages = calloc(1, sizeof(*pages));
	pthread_condattr_t monotonic;

	if (!pages)
		return -ENOMEM;
	pages->snapshot = snapshot;
	pages->context = context;
	pthread_mutex_init(&pages->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&pages->changed, &monotonic);
	pthread_condattr_destroy(&monotonic);
	int error = -pthread_create(&pages->thread, NULL, run, pages);
	if (error) {
		admin_pages_free(pages);
		return error;
	}
	*ret_pages = pages;
	return 0;
}

bool admin_pages_wait(struct admin_pages *pages, struct admin_request *request)
{
	pthread_mutex_lock(&pages->lock);
	bool waits = !pages->stopping;
	if (waits) {
		request->has_waited = true;
		request->next = pages->waiting;
		pages->waiting = request;
		MHD_suspend_connection(request->connection);
		pthread_cond_signal(&pages->changed);
	}
	pthread_mutex_unlock(&pages->lock);
	return waits;
}

enum MHD_Result admin_pages_answer(struct admin_request *request)
{
	return request->text ? MHD_queue_response(request->connection, MHD_HTTP_OK,
						  request->text->response)
			     : MHD_NO;
}

void admin_pages_end_request(struct admin_request *request)
{
	drop_text(request->text);
	request->text = NULL;
}

void admin_pages_stop(struct admin_pages *pages)
{
	struct admin_text *const none[ADMIN_PAGES] = {NULL};

	pthread_mutex_lock(&pages->lock);
	pages->stopping = true;
	pthread_cond_signal(&pages->changed);
	pthread_mutex_unlock(&pages->lock);
	pthread_join(pages->thread, NULL);
	resume(pages->waiting, none);
	pages->waiting = NULL;
}

void admin_pages_free(struct admin_pages *pages)
{
	pthread_cond_destroy(&pages->changed);
	pthread_mutex_destroy(&pages->lock);
	free(pages);
}
