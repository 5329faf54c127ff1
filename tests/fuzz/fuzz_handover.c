/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Agents that say anything while one takes the work over from the other: what is accepted are
 * listening TCP sockets, all else is refused, and no descriptor is left.
 *
 * The first byte says which side is fuzzed and how many descriptors come along, the second where the
 * rest is cut: as the old agent, a line and then a message with the descriptors.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/unix_socket.h"
#include "fuzz/descriptors.h"
#include "proxy/handover/handover.h"

#define MAX_BYTES 8192
#define MAX_DESCRIPTORS 4
#define AS_NEW_AGENT 0x80

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct peer {
	int listener;
	const uint8_t *data;
	size_t size, cut;
	int descriptors[MAX_DESCRIPTORS];
	size_t descriptor_count;
};

static int listen_tcp(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || listen(fd, 1))
		abort();
	return fd;
}

static void *talk(void *context)
{
	const struct peer *peer = context;
	int fd;

	do
		fd = accept4(peer->listener, NULL, NULL, SOCK_CLOEXEC);
	while (fd < 0);
	if (peer->cut)
		send(fd, peer->data, peer->cut, MSG_NOSIGNAL);
	if (peer->size > peer->cut)
		unix_socket_send_descriptors(fd, peer->data + peer->cut, peer->size - peer->cut,
					     peer->descriptors, peer->descriptor_count);
	shutdown(fd, SHUT_WR);
	/* Open until the other side has said all, so that it never waits and never is cut off. */
	char rest[256];
	while (recv(fd, rest, sizeof(rest), 0) > 0)
		;
	close(fd);
	return NULL;
}

static void check_sockets(const struct proxy_sockets *sockets)
{
	for (size_t i = 0; i < sockets->count; i++) {
		int listening = 0;
		socklen_t length = sizeof(listening);

		if (getsockopt(sockets->items[i].fd, SOL_SOCKET, SO_ACCEPTCONN, &listening,
			       &length) ||
		    !listening)
			abort();
	}
}

static void fuzz_old_agent(struct peer *peer, const char *path)
{
	struct handover handover;
	pthread_t thread;

	if (pthread_create(&thread, NULL, talk, peer))
		abort();
	int error = handover_ask(path, &handover);
	if (error > 0 || (error && (handover.connection >= 0 || handover.sockets.count)))
		abort();
	check_sockets(&handover.sockets);
	if (error == 0 && handover.connection >= 0) {
		error = handover_say_serving(&handover);
		if (error && error != -ECANCELED)
			abort();
	}
	handover_free(&handover);
	pthread_join(thread, NULL);
}

static void fuzz_new_agent(const uint8_t *data, size_t size, size_t cut)
{
	const struct proxy_sockets none = {0};
	uint64_t now_ns = clock_now_ns();
	struct heir heir;
	int pair[2], error;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		abort();
	if (size && send(pair[1], data, size, MSG_NOSIGNAL) < 0)
		abort();
	shutdown(pair[1], SHUT_WR);
	if (cut % 2 && handover_offer(pair[0], 7, &none) > 0)
		abort();
	handover_yield(pair[0], now_ns, &heir);
	for (int turn = 0; (error = handover_hear(&heir, now_ns)) == -EAGAIN; turn++) {
		if (turn > 0)
			abort(); /* all is there: it is heard at once */
	}
	if (error > 0 || (error == 0) != (heir.connection < 0))
		abort();
	if (error)
		handover_take_back(&heir);
	close(pair[1]);
}

/* As it was handed over: with listening sockets, but for the last where the input says so. */
static void open_descriptors(struct peer *peer, uint8_t how)
{
	peer->descriptor_count = how % (MAX_DESCRIPTORS + 1);
	for (size_t i = 0; i < peer->descriptor_count; i++)
		peer->descriptors[i] = listen_tcp();
	if (peer->descriptor_count && how & 0x40) {
		int *last = &peer->descriptors[peer->descriptor_count - 1];

		close(*last);
		*last = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int listener = -1;
	static char path[64];

	if (listener < 0) {
		snprintf(path, sizeof(path), "/tmp/lanetag-fuzz-%d.sock", (int)getpid());
		listener = unix_socket_listen(path);
		if (listener < 0 || fcntl(listener, F_SETFL, 0))
			abort();
	}
	if (size < 2 || size > MAX_BYTES)
		return 0;
	int before = descriptor_mark();
	struct peer peer = {.listener = listener, .data = data + 2, .size = size - 2};
	peer.cut = data[1] % (peer.size + 1);
	if (data[0] & AS_NEW_AGENT) {
		fuzz_new_agent(peer.data, peer.size, peer.cut);
	} else {
		open_descriptors(&peer, data[0] & 0x7f);
		fuzz_old_agent(&peer, path);
		for (size_t i = 0; i < peer.descriptor_count; i++)
			close(peer.descriptors[i]);
	}
	if (descriptor_mark() != before)
		abort();
	return 0;
}
