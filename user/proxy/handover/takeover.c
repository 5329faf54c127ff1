/* SPDX-License-Identifier: GPL-2.0-only */
#include "proxy/handover/takeover.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/array.h"
#include "base/unix_socket.h"

#define MAGIC 0x6c746b31U /* "ltk1": both agents speak this version of the messages below */
#define BATCH UNIX_SOCKET_MAX_DESCRIPTORS

struct wire_socket {
	uint8_t address[16];
	uint16_t port;
	uint8_t kind;
	uint8_t hears_signs; /* of the first place alone; older versions send 0 and look at none */
};

/* One message: a batch and its descriptors. `more`: another one follows. */
struct wire_batch {
	uint32_t magic;
	uint16_t count;
	uint16_t more;
	struct wire_socket sockets[BATCH];
};

void proxy_sockets_free(struct proxy_sockets *sockets)
{
	for (size_t i = 0; i < sockets->count; i++) {
		if (sockets->items[i].fd >= 0)
			close(sockets->items[i].fd);
	}
	free(sockets->items);
	*sockets = (struct proxy_sockets){0};
}

static int send_batch(int unix_socket, const struct proxy_socket *sockets, size_t count, bool more)
{
	struct wire_batch batch = {.magic = MAGIC, .count = (uint16_t)count, .more = more};
	int fds[BATCH];

	batch.sockets[0].hears_signs = 1;
	for (size_t i = 0; i < count; i++) {
		memcpy(batch.sockets[i].address, sockets[i].identity.address, 16);
		batch.sockets[i].port = sockets[i].identity.port;
		batch.sockets[i].kind = (uint8_t)sockets[i].identity.kind;
		fds[i] = sockets[i].fd;
	}
	return unix_socket_send_descriptors(unix_socket, &batch, sizeof(batch), fds, count);
}

int takeover_send(int unix_socket, const struct proxy_sockets *sockets, uint64_t due_ns)
{
	size_t done = 0;

	do {
		size_t count = sockets->count - done < BATCH ? sockets->count - done : BATCH;
		int error = unix_socket_limit(unix_socket, due_ns);

		if (error == 0)
			error = send_batch(unix_socket, count ? sockets->items + done : NULL, count,
					   done + count < sockets->count);
		if (error)
			return error;
		done += count;
	} while (done < sockets->count);
	return 0;
}

/* Takes the descriptors over into the list: from here on they are closed with it. */
static int take_descriptors(const int *fds, size_t count, struct proxy_sockets *sockets)
{
	int error = 0;

	for (size_t i = 0; i < count; i++) {
		struct proxy_socket *socket = ARRAY_APPEND(sockets->items, sockets->count);

		if (socket) {
			socket->fd = fds[i];
		} else {
			close(fds[i]);
			error = -ENOMEM;
		}
	}
	return error;
}

static bool is_listening_tcp_socket(int fd)
{
	int listening = 0, protocol = 0;
	socklen_t length = sizeof(int);

	return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &length) == 0 && listening &&
	       getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &length) == 0 &&
	       protocol == IPPROTO_TCP;
}

static int receive_batch(int unix_socket, struct proxy_sockets *sockets, bool *ret_more,
			 bool *ret_hears_signs)
{
	struct wire_batch batch;
	int fds[BATCH];
	size_t before = sockets->count, count;
	int error =
		unix_socket_receive_descriptors(unix_socket, &batch, sizeof(batch), fds, &count);
	int memory_error = take_descriptors(fds, count, sockets);

	if (error || memory_error)
		return error ? error : memory_error;
	if (batch.magic != MAGIC || batch.count != count)
		return -EPROTO;
	for (size_t i = 0; i < batch.count; i++) {
		struct proxy_socket *socket = &sockets->items[before + i];

		memcpy(socket->identity.address, batch.sockets[i].address, 16);
		socket->identity.port = batch.sockets[i].port;
		socket->identity.kind = batch.sockets[i].kind;
		if (!is_listening_tcp_socket(socket->fd))
			return -EPROTO;
	}
	*ret_more = batch.more;
	*ret_hears_signs = batch.sockets[0].hears_signs;
	return 0;
}

int takeover_receive(int unix_socket, struct proxy_sockets *ret_sockets, bool *ret_hears_signs)
{
	struct proxy_sockets sockets = {0};
	bool more = true;

	while (more) {
		int error = receive_batch(unix_socket, &sockets, &more, ret_hears_signs);

		if (error) {
			proxy_sockets_free(&sockets);
			return error;
		}
	}
	*ret_sockets = sockets;
	return 0;
}
