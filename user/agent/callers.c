/* SPDX-License-Identifier: GPL-2.0-only */
#include "agent/callers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/unix_socket.h"

struct caller {
	int connection;
	uint64_t since_ns;
	size_t length; /* of what came of its line */
	char line[CALLERS_LINE_BYTES];
};

static void end(struct callers *callers, size_t place)
{
	close(callers->items[place]->connection);
	free(callers->items[place]);
	callers->items[place] = NULL;
}

/* A free place, or that of the one who came first. */
static size_t choose_place(const struct callers *callers)
{
	size_t chosen = 0;

	for (size_t i = 0; i < CALLERS_MAX; i++) {
		if (!callers->items[i])
			return i;
		if (callers->items[i]->since_ns < callers->items[chosen]->since_ns)
			chosen = i;
	}
	return chosen;
}

void callers_add(struct callers *callers, int connection, uint64_t now_ns)
{
	struct caller *caller = calloc(1, sizeof(*caller));
	size_t place = choose_place(callers);

	if (!caller) {
		close(connection);
		return;
	}
	if (callers->items[place])
		end(callers, place);
	caller->connection = connection;
	caller->since_ns = now_ns;
	callers->items[place] = caller;
}

void callers_poll(const struct callers *callers, struct pollfd ret_fds[CALLERS_MAX])
{
	for (size_t i = 0; i < CALLERS_MAX; i++) {
		int fd = callers->items[i] ? callers->items[i]->connection : -1;

		ret_fds[i] = (struct pollfd){.fd = fd, .events = POLLIN};
	}
}

int callers_hear(struct callers *callers, size_t place, char ret_command[CALLERS_LINE_BYTES],
		 int *ret_connection)
{
	struct caller *caller = callers->items[place];
	int error = unix_socket_read_on(caller->connection, caller->line, sizeof(caller->line),
					&caller->length);

	if (error == -EAGAIN)
		return error;
	if (error) {
		end(callers, place);
		return error;
	}
	memcpy(ret_command, caller->line, strlen(caller->line) + 1);
	*ret_connection = caller->connection;
	callers->items[place] = NULL;
	free(caller);
	return 0;
}

size_t callers_end_late(struct callers *callers, uint64_t now_ns)
{
	size_t count = 0;

	for (size_t i = 0; i < CALLERS_MAX; i++) {
		if (!callers->items[i] ||
		    now_ns - callers->items[i]->since_ns < CALLERS_TIMEOUT_MS * 1000000ULL)
			continue;
		end(callers, i);
		count++;
	}
	return count;
}

void callers_close(struct callers *callers)
{
	for (size_t i = 0; i < CALLERS_MAX; i++) {
		if (callers->items[i])
			end(callers, i);
	}
}
