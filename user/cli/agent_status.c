/* SPDX-License-Identifier: GPL-2.0-only */
#include "cli/agent_status.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/address.h"
#include "base/buffer.h"

#define TIMEOUT_SECONDS 5
#define MAX_ANSWER ((size_t)4 * 1024 * 1024)

static int connect_to(const struct sockaddr *address, socklen_t length)
{
	const struct timeval timeout = {.tv_sec = TIMEOUT_SECONDS};
	int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
	if (connect(fd, address, length)) {
		int error = -errno;

		close(fd);
		return error;
	}
	return fd;
}

/* "127.0.0.1:15020" or "[::1]:15020": numbers only. */
static int open_address(const char *text)
{
	struct sockaddr_storage storage;
	uint8_t address[16];
	uint16_t port;

	if (address_parse_with_port(text, address, &port))
		return -EINVAL;
	unsigned length = socket_address(address, port, &storage);
	return connect_to((struct sockaddr *)&storage, length);
}

static int exchange(int fd, struct buffer *answer)
{
	/* HTTP/1.0: the answer ends with the connection. */
	static const char request[] = "GET /status HTTP/1.0\r\nHost: localhost\r\n\r\n";
	ssize_t length = send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL);

	if (length != (ssize_t)sizeof(request) - 1)
		return length < 0 ? -errno : -EIO;
	do {
		char *room = buffer_reserve(answer, 65536);

		if (!room)
			return -ENOMEM;
		length = recv(fd, room, 65536, 0);
		if (length < 0)
			return -errno;
		answer->length += (size_t)length;
	} while (length > 0 && answer->length <= MAX_ANSWER);
	return length > 0 ? -EMSGSIZE : 0;
}

json_t *agent_status(const char *command, const char *address)
{
	struct buffer answer = {0};
	json_t *status = NULL;
	int fd = open_address(address);
	int error = fd < 0 ? fd : exchange(fd, &answer);

	if (fd >= 0)
		close(fd);
	const char *body = error ? NULL : memmem(answer.data, answer.length, "\r\n\r\n", 4);
	if (body && span_starts_with(buffer_span(&answer), span_of("HTTP/1.")) &&
	    memcmp(answer.data + 8, " 200", 4) == 0)
		status = json_loadb(body, answer.length - (size_t)(body - answer.data), 0, NULL);
	buffer_free(&answer);
	if (fd == -EINVAL) {
		fprintf(stderr, "lanetag %s: --admin: '%s' is no ADDRESS:PORT\n", command, address);
		return NULL;
	}
	if (!json_is_object(status)) {
		fprintf(stderr, "lanetag %s: no agent answers at %s: %s\n", command, address,
			error ? strerror(-error) : "that is no answer of an agent");
		json_decref(status);
		return NULL;
	}
	return status;
}
