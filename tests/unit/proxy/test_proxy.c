/* SPDX-License-Identifier: GPL-2.0-only */
/* Proxies in this process, on the loopback; the route answers itself, so no upstream is needed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/proxy.h"

static struct configuration *load(uint16_t port, const char *answer)
{
	char path[] = "/tmp/lanetag-proxy-XXXXXX.yaml";
	const char *paths[] = {path};
	struct diagnostics diagnostics = {0};
	int fd = mkstemps(path, 5);

	assert_true(fd >= 0);
	dprintf(fd,
		"apiVersion: networking.istio.io/v1\n"
		"kind: Gateway\n"
		"metadata: {name: edge}\n"
		"spec: {servers: [{port: {number: %u, name: http, protocol: HTTP},"
		" hosts: ['*']}]}\n"
		"---\n"
		"apiVersion: networking.istio.io/v1\n"
		"kind: VirtualService\n"
		"metadata: {name: edge}\n"
		"spec: {hosts: ['*'], gateways: [edge],"
		" http: [{directResponse: {status: 200, body: {string: '%s'}}}]}\n",
		port, answer);
	close(fd);
	struct configuration *configuration = configuration_load(paths, 1, 1, &diagnostics);
	unlink(path);
	if (!configuration)
		diagnostics_print(&diagnostics, stderr);
	assert_non_null(configuration);
	diagnostics_free(&diagnostics);
	return configuration;
}

/* A port that was free a moment ago. */
static uint16_t free_port(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	socklen_t length = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	getsockname(fd, (struct sockaddr *)&address, &length);
	close(fd);
	return ntohs(address.sin_port);
}

/* One request on a connection of its own: the answer's last byte; 0: it failed. */
static char ask(uint16_t port)
{
	static const char request[] = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	struct timeval patience = {.tv_sec = 10};
	char answer[1024], last = 0;
	ssize_t length;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0 &&
	    send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL) == (ssize_t)sizeof(request) - 1) {
		while ((length = recv(fd, answer, sizeof(answer), 0)) > 0)
			last = answer[length - 1];
	}
	close(fd);
	return last;
}

struct load {
	uint16_t port;
	atomic_bool ends;
	atomic_size_t failures;
	atomic_size_t answers[128]; /* by the last byte */
};

static void *keep_asking(void *context)
{
	struct load *load = context;

	while (!load->ends) {
		char last = ask(load->port);

		if (last <= 0)
			load->failures++;
		else
			load->answers[(size_t)last]++;
	}
	return NULL;
}

/* However busy the machine is: until clients have met this one. */
static void wait_for_answer(struct load *load, char answer)
{
	for (int i = 0; i < 10000 && !load->answers[(size_t)answer]; i++)
		usleep(1000);
	assert_true(load->answers[(size_t)answer] > 0);
}

static struct proxy *start_proxy(uint16_t port, const char *answer, struct proxy_sockets *sockets,
				 unsigned workers)
{
	const struct proxy_options options = {.workers = workers};
	struct configuration *configuration = load(port, answer);
	struct proxy *proxy = NULL;

	assert_int_equal(proxy_start(&options, NULL, configuration, sockets, &proxy), 0);
	configuration_drop(configuration);
	return proxy;
}

static void a_new_agent_takes_over_without_a_refused_connection(void **state)
{
	struct proxy_sockets sockets = {0};
	struct load load = {.port = free_port()};
	pthread_t threads[4];

	(void)state;
	struct proxy *proxy = start_proxy(load.port, "0", &sockets, 3);
	for (size_t i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, keep_asking, &load);
	for (char generation = '1'; generation <= '6'; generation++) {
		const char answer[] = {generation, '\0'};

		wait_for_answer(&load, (char)(generation - 1));
		assert_int_equal(proxy_share_sockets(proxy, &sockets), 0);
		/* Fewer workers, and more: each of the queues finds somebody. */
		struct proxy *next =
			start_proxy(load.port, answer, &sockets, 1 + (unsigned)generation % 3);
		proxy_sockets_free(&sockets);
		proxy_stop(proxy, 5000);
		proxy = next;
	}
	wait_for_answer(&load, '6');
	load.ends = true;
	for (size_t i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	proxy_stop(proxy, 1000);
	assert_int_equal(load.failures, 0);
}

static void a_configuration_that_can_not_be_served_changes_nothing(void **state)
{
	struct proxy_sockets none = {0};
	uint16_t port = free_port(), taken_port = free_port();
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(taken_port)};
	int taken = socket(AF_INET, SOCK_STREAM, 0);

	(void)state;
	assert_int_equal(bind(taken, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(taken, 1), 0);
	struct proxy *proxy = start_proxy(port, "A", &none, 2);
	struct configuration *other = load(taken_port, "B");
	assert_true(proxy_apply(proxy, other) < 0);
	configuration_drop(other);
	assert_int_equal(ask(port), 'A');
	struct configuration *good = load(port, "C");
	assert_int_equal(proxy_apply(proxy, good), 0);
	configuration_drop(good);
	for (int i = 0; i < 100 && ask(port) != 'C'; i++)
		usleep(10000);
	assert_int_equal(ask(port), 'C');
	proxy_stop(proxy, 1000);
	close(taken);
}

/* Also on those sockets that a worker took over beyond one per listener. */
static void a_reload_holds_on_every_socket_that_was_taken_over(void **state)
{
	struct proxy_sockets sockets = {0};
	uint16_t port = free_port();
	const char *const answers[] = {"B", "C", "D"};

	(void)state;
	struct proxy *before = start_proxy(port, "A", &sockets, 4);
	assert_int_equal(proxy_share_sockets(before, &sockets), 0);
	assert_int_equal(sockets.count, 4);
	struct proxy *proxy = start_proxy(port, "A", &sockets, 1);
	proxy_sockets_free(&sockets);
	proxy_stop(before, 1000);
	for (size_t i = 0; i < 3; i++) {
		struct configuration *next = load(port, answers[i]);

		assert_int_equal(proxy_apply(proxy, next), 0);
		configuration_drop(next);
		for (int tries = 0; tries < 1000 && ask(port) != answers[i][0]; tries++)
			usleep(10000);
		/* The kernel chooses the socket by the client's port. */
		for (int request = 0; request < 64; request++)
			assert_int_equal(ask(port), answers[i][0]);
	}
	proxy_stop(proxy, 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_agent_takes_over_without_a_refused_connection),
		cmocka_unit_test(a_configuration_that_can_not_be_served_changes_nothing),
		cmocka_unit_test(a_reload_holds_on_every_socket_that_was_taken_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
