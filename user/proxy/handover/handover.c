/* SPDX-License-Identifier: GPL-2.0-only */
#include "proxy/handover/handover.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/number.h"
#include "base/unix_socket.h"

#define SOCKETS "sockets "
#define READY "ready"
#define SERVING "serving"
#define YOURS "yours"
#define ALIVE "alive"
#define GO "go"
#define MINE "mine"

#define SIGN_MS 500
#define NS_PER_MS UINT64_C(1000000)

/* A thread that gives signs of life: one that is stopped, or whose process is, gives none. */
struct handover_signs {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t ended;
	bool ends;
	int connection;
};

static void *give_signs(void *context)
{
	struct handover_signs *signs = context;
	struct timespec due;

	pthread_setname_np(pthread_self(), "handover");
	clock_gettime(CLOCK_MONOTONIC, &due);
	pthread_mutex_lock(&signs->lock);
	while (!signs->ends) {
		unix_socket_write(signs->connection, ALIVE "\n");
		due.tv_nsec += SIGN_MS * 1000000L;
		if (due.tv_nsec >= 1000000000L) {
			due.tv_nsec -= 1000000000L;
			due.tv_sec++;
		}
		while (!signs->ends &&
		       pthread_cond_timedwait(&signs->ended, &signs->lock, &due) != ETIMEDOUT)
			;
	}
	pthread_mutex_unlock(&signs->lock);
	return NULL;
}

static void free_signs(struct handover_signs *signs)
{
	pthread_cond_destroy(&signs->ended);
	pthread_mutex_destroy(&signs->lock);
	free(signs);
}

static int start_signs(struct handover *handover)
{
	struct handover_signs *signs = calloc(1, sizeof(*signs));
	pthread_condattr_t monotonic;

	if (!signs)
		return -ENOMEM;
	signs->connection = handover->connection;
	pthread_mutex_init(&signs->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&signs->ended, &monotonic);
	pthread_condattr_destroy(&monotonic);
	int error = -pthread_create(&signs->thread, NULL, give_signs, signs);
	if (error)
		free_signs(signs);
	else
		handover->signs = signs;
	return error;
}

static void stop_signs(struct handover *handover)
{
	struct handover_signs *signs = handover->signs;

	if (!signs)
		return;
	pthread_mutex_lock(&signs->lock);
	signs->ends = true;
	pthread_cond_signal(&signs->ended);
	pthread_mutex_unlock(&signs->lock);
	pthread_join(signs->thread, NULL);
	free_signs(signs);
	handover->signs = NULL;
}

static int expect(int connection, const char *wanted, uint64_t due_ns)
{
	char line[HANDOVER_LINE_BYTES];
	int error = unix_socket_read_line_by(connection, line, sizeof(line), due_ns);

	if (error)
		return error;
	return strcmp(line, wanted) == 0 ? 0 : -EPROTO;
}

static uint64_t longest_from_now(void)
{
	return clock_now_ns() + HANDOVER_LONGEST_MS * NS_PER_MS;
}

static int receive_sockets(struct handover *handover)
{
	char line[HANDOVER_LINE_BYTES];
	bool hears_signs = false;
	uint64_t generation;
	int error = unix_socket_write(handover->connection, HANDOVER_COMMAND "\n");

	if (error == 0)
		error = unix_socket_read_line(handover->connection, line, sizeof(line));
	if (error)
		return error;
	if (strncmp(line, SOCKETS, strlen(SOCKETS)) != 0 ||
	    parse_unsigned(span_of(line + strlen(SOCKETS)), UINT32_MAX, &generation))
		return -EPROTO;
	handover->generation = (uint32_t)generation;
	error = takeover_receive(handover->connection, &handover->sockets, &hears_signs);
	if (error == 0)
		error = unix_socket_write(handover->connection, READY "\n");
	if (error == 0)
		error = expect(handover->connection, YOURS, longest_from_now());
	return error == 0 && hears_signs ? start_signs(handover) : error;
}

int handover_ask(const char *path, struct handover *ret_handover)
{
	struct handover handover = {.connection = unix_socket_connect(path)};
	int error = handover.connection < 0 ? handover.connection : receive_sockets(&handover);

	if (handover.connection < 0 && (error == -ENOENT || error == -ECONNREFUSED)) {
		handover.connection = -1;
		error = 0;
	}
	if (error)
		handover_free(&handover);
	*ret_handover = handover;
	return error;
}

int handover_say_serving(struct handover *handover)
{
	if (handover->connection < 0)
		return 0;
	stop_signs(handover);
	/* Where it has ended, what it said last can still be read. */
	unix_socket_write(handover->connection, SERVING "\n");
	int error =
		expect(handover->connection, GO, clock_now_ns() + HANDOVER_SILENCE_MS * NS_PER_MS);
	return error == -EPROTO ? -ECANCELED : 0;
}

void handover_free(struct handover *handover)
{
	stop_signs(handover);
	if (handover->connection >= 0)
		close(handover->connection);
	handover->connection = -1;
	proxy_sockets_free(&handover->sockets);
}

int handover_offer(int connection, uint32_t generation, const struct proxy_sockets *sockets)
{
	uint64_t due_ns = clock_now_ns() + HANDOVER_SILENCE_MS * NS_PER_MS;
	char line[HANDOVER_LINE_BYTES];

	snprintf(line, sizeof(line), SOCKETS "%u\n", generation);
	int error = unix_socket_write(connection, line);
	if (error == 0)
		error = takeover_send(connection, sockets, due_ns);
	return error ? error : expect(connection, READY, due_ns);
}

int handover_yield(int connection, uint64_t now_ns, struct heir *ret_heir)
{
	*ret_heir = (struct heir){.connection = connection, .since_ns = now_ns, .heard_ns = now_ns};
	return unix_socket_write(connection, YOURS "\n");
}

uint64_t handover_due_ns(const struct heir *heir)
{
	uint64_t silence = heir->heard_ns + HANDOVER_SILENCE_MS * NS_PER_MS;
	uint64_t longest = heir->since_ns + HANDOVER_LONGEST_MS * NS_PER_MS;

	return silence < longest ? silence : longest;
}

int handover_hear(struct heir *heir, uint64_t now_ns)
{
	int error;

	/* What it said in time counts, also where we come late to hear it. */
	while ((error = unix_socket_read_on(heir->connection, heir->line, sizeof(heir->line),
					    &heir->length)) == 0) {
		heir->length = 0;
		if (strcmp(heir->line, SERVING) == 0) {
			unix_socket_write(heir->connection, GO "\n");
			close(heir->connection);
			heir->connection = -1;
			return 0;
		}
		if (strcmp(heir->line, ALIVE) != 0)
			return -EPROTO;
		heir->heard_ns = now_ns;
	}
	if (error != -EAGAIN)
		return error;
	return now_ns < handover_due_ns(heir) ? -EAGAIN : -ETIMEDOUT;
}

void handover_take_back(struct heir *heir)
{
	unix_socket_write(heir->connection, MINE "\n");
	close(heir->connection);
	heir->connection = -1;
}
