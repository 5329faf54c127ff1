/* SPDX-License-Identifier: GPL-2.0-only */
#include "proxy/handover.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/number.h"
#include "base/unix_socket.h"

#define LINE_BYTES 128
#define SOCKETS "sockets "
#define READY "ready"
#define SERVING "serving"
#define YOURS "yours"

static int expect(int connection, const char *wanted)
{
	char line[LINE_BYTES];
	int error = unix_socket_read_line(connection, line, sizeof(line));

	if (error)
		return error;
	return strcmp(line, wanted) == 0 ? 0 : -EPROTO;
}

static int receive_sockets(struct handover *handover)
{
	char line[LINE_BYTES];
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
	error = takeover_receive(handover->connection, &handover->sockets);
	if (error == 0)
		error = unix_socket_write(handover->connection, READY "\n");
	return error ? error : expect(handover->connection, YOURS);
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
	return handover->connection < 0 ? 0 : unix_socket_write(handover->connection, SERVING "\n");
}

void handover_free(struct handover *handover)
{
	if (handover->connection >= 0)
		close(handover->connection);
	handover->connection = -1;
	proxy_sockets_free(&handover->sockets);
}

int handover_offer(int connection, uint32_t generation, const struct proxy_sockets *sockets)
{
	char line[LINE_BYTES];

	snprintf(line, sizeof(line), SOCKETS "%u\n", generation);
	int error = unix_socket_write(connection, line);
	if (error == 0)
		error = takeover_send(connection, sockets);
	return error ? error : expect(connection, READY);
}

int handover_yield(int connection)
{
	int error = unix_socket_write(connection, YOURS "\n");

	return error ? error : expect(connection, SERVING);
}
