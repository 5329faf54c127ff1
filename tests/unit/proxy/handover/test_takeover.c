/* SPDX-License-Identifier: GPL-2.0-only */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/handover/takeover.h"

static int listen_somewhere(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(listen(fd, 5), 0);
	return fd;
}

static uint16_t port_of(int fd)
{
	struct sockaddr_in address;
	socklen_t length = sizeof(address);

	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &length), 0);
	return ntohs(address.sin_port);
}

static struct proxy_sockets make_sockets(size_t count)
{
	struct proxy_sockets sockets = {calloc(count + 1, sizeof(struct proxy_socket)), count};

	for (size_t i = 0; i < count; i++) {
		struct proxy_socket *item = &sockets.items[i];

		item->fd = listen_somewhere();
		item->identity.port = port_of(item->fd);
		item->identity.kind = i % 2 ? MESH_LISTENER_SERVICE : MESH_LISTENER_GATEWAY;
		item->identity.address[15] = (uint8_t)i;
	}
	return sockets;
}

static void hand_over(size_t count)
{
	struct proxy_sockets sent = make_sockets(count), received;
	bool hears_signs = false;
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	assert_int_equal(takeover_send(pair[0], &sent, UINT64_MAX), 0);
	assert_int_equal(takeover_receive(pair[1], &received, &hears_signs), 0);
	assert_int_equal(received.count, count);
	assert_true(hears_signs);
	for (size_t i = 0; i < count; i++) {
		const struct mesh_listener *identity = &received.items[i].identity;

		assert_int_equal(identity->port, sent.items[i].identity.port);
		assert_int_equal(identity->kind, sent.items[i].identity.kind);
		assert_memory_equal(identity->address, sent.items[i].identity.address, 16);
		assert_int_not_equal(received.items[i].fd, sent.items[i].fd);
		assert_int_equal(port_of(received.items[i].fd), identity->port);
	}
	proxy_sockets_free(&sent);
	proxy_sockets_free(&received);
	close(pair[0]);
	close(pair[1]);
}

static void sockets_arrive_with_what_they_are_however_many(void **state)
{
	(void)state;
	hand_over(0);
	hand_over(1);
	hand_over(64);
	hand_over(150);
}

static void nonsense_is_refused_and_leaks_nothing(void **state)
{
	struct proxy_sockets sockets = make_sockets(1), received = {0};
	bool hears_signs;
	int pair[2];
	char noise[4096];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	memset(noise, 'x', sizeof(noise));
	assert_int_equal(write(pair[0], noise, sizeof(noise)), sizeof(noise));
	assert_int_equal(takeover_receive(pair[1], &received, &hears_signs), -EPROTO);
	close(pair[0]);
	close(pair[1]);

	/* A socket that does not listen. */
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	close(sockets.items[0].fd);
	sockets.items[0].fd = socket(AF_INET, SOCK_STREAM, 0);
	int before = dup(0);
	assert_int_equal(takeover_send(pair[0], &sockets, UINT64_MAX), 0);
	assert_int_equal(takeover_receive(pair[1], &received, &hears_signs), -EPROTO);
	close(before);
	assert_int_equal(dup(0), before); /* the lowest free number is what it was */
	close(before);

	/* An agent that ends in between. */
	close(pair[0]);
	assert_int_equal(takeover_receive(pair[1], &received, &hears_signs), -EPROTO);
	close(pair[1]);
	proxy_sockets_free(&sockets);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sockets_arrive_with_what_they_are_however_many),
		cmocka_unit_test(nonsense_is_refused_and_leaks_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
