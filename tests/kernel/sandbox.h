/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * What a kernel test stands in: a network and a mount namespace of its own with a bpffs of its own.
 * All of it goes with the process, however that ends; nothing outside is touched.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <net/if.h>
#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <lanetag/ruleset_index.h>
#include "kernel/tagger.h"

/* Ends the test program loudly: without its sandbox no claim can be tested. */
static inline void sandbox_require(bool good, const char *what)
{
	if (good)
		return;
	printf("not ok 1 - sandbox: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* LANETAG_SKIP_KERNEL=1: this machine has no rights or no kernel for it. The program says so once. */
static inline bool sandbox_is_skipped(const char *what)
{
	const char *skip = getenv("LANETAG_SKIP_KERNEL");

	if (!skip || strcmp(skip, "1") != 0)
		return false;
	printf("1..1\nok 1 - %s # SKIP LANETAG_SKIP_KERNEL=1\n", what);
	return true;
}

/* LANETAG_TEST_VARIANT: the variant of the program to test; else the best that loads. */
static inline const char *sandbox_variant(void)
{
	return getenv("LANETAG_TEST_VARIANT");
}

/* Runs a shell command; its exit status, or -1. */
__attribute__((format(printf, 1, 2))) static inline int sandbox_run(const char *format, ...)
{
	char command[512];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(command, sizeof(command), format, arguments);
	va_end(arguments);
	int status = system(command);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* Enters the namespaces; a bpffs stands at `directory` (made under /tmp, in a tmpfs of our own)
 * afterwards. */
static inline void sandbox_enter(char directory[PATH_MAX])
{
	sandbox_require(unshare(CLONE_NEWNET | CLONE_NEWNS) == 0,
			"namespaces (this test needs root)");
	sandbox_require(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0, "private mounts");
	sandbox_require(mount("tmpfs", "/tmp", "tmpfs", 0, "mode=0755") == 0, "tmpfs");
	snprintf(directory, PATH_MAX, "/tmp/bpffs");
	sandbox_require(mkdir(directory, 0755) == 0, "directory");
	sandbox_require(mount("bpf", directory, "bpf", 0, "mode=0755") == 0, "bpffs");
	sandbox_require(sandbox_run("ip link set lo up") == 0, "lo");
}

/* One rule, appver-a: v2 for remainders 0 to 10 of x-user-id's FNV-1a modulo 100 (lane 1), else
 * lane 0. */
static inline void sandbox_rules(struct lanetag_ruleset *ret_ruleset, uint32_t generation)
{
	*ret_ruleset = (struct lanetag_ruleset){
		.generation = generation,
		.source_count = 1,
		.draw_count = 1,
		.rule_count = 1,
		.sources = {{.kind = LANETAG_SOURCE_HEADER, .name_length = 9, .name = "x-user-id"}},
		.draws = {{.source = 0, .hash = LANETAG_HASH_FNV1A32, .modulo = 100}},
		.rules = {{.draw = 0,
			   .policy_count = 1,
			   .untagged_lane = 0,
			   .policies = {{0, 11, 1}}}},
	};
	lanetag_ruleset_index(ret_ruleset);
}

/* An open connection over lo: one thread writes at `client` and reads at `server`. */
struct sandbox_connection {
	int client, server;
	uint16_t port; /* of the server */
	struct lanetag_connection key;
	uint64_t position; /* of the next request */
};

static inline int sandbox_listen(uint16_t *ret_port)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	sandbox_require(bind(listener, (struct sockaddr *)&address, sizeof(address)) == 0, "bind");
	sandbox_require(listen(listener, 16) == 0, "listen");
	sandbox_require(getsockname(listener, (struct sockaddr *)&address, &length) == 0,
			"getsockname");
	*ret_port = ntohs(address.sin_port);
	return listener;
}

static inline void sandbox_map_address(uint8_t mapped[16], struct in_addr address)
{
	memset(mapped, 0, 10);
	memset(mapped + 10, 0xff, 2);
	memcpy(mapped + 12, &address, 4);
}

static inline void sandbox_connect(int listener, uint16_t port,
				   struct sandbox_connection *ret_connection)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_port = htons(port),
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sandbox_connection connection = {.port = port};
	socklen_t length = sizeof(address);

	connection.client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	sandbox_require(connect(connection.client, (struct sockaddr *)&address, sizeof(address)) ==
				0,
			"connect");
	sandbox_map_address(connection.key.local_address, address.sin_addr);
	connection.key.local_port = port;
	connection.server = accept4(listener, (struct sockaddr *)&address, &length, SOCK_CLOEXEC);
	sandbox_require(connection.server >= 0, "accept");
	sandbox_map_address(connection.key.remote_address, address.sin_addr);
	connection.key.remote_port = ntohs(address.sin_port);
	*ret_connection = connection;
}

static inline void sandbox_disconnect(struct sandbox_connection *connection)
{
	close(connection->client);
	close(connection->server);
}

/* Sends a request with this user id and reads it whole at the other end; its position in the
 * stream. */
static inline uint64_t sandbox_request(struct sandbox_connection *connection, const char *user)
{
	char request[256], received[256];
	int length = snprintf(request, sizeof(request),
			      "GET / HTTP/1.1\r\nHost: a\r\nX-User-Id: %s\r\n\r\n", user);
	uint64_t position = connection->position;

	sandbox_require(send(connection->client, request, (size_t)length, MSG_NOSIGNAL) == length,
			"send");
	sandbox_require(recv(connection->server, received, (size_t)length, MSG_WAITALL) == length,
			"receive");
	connection->position += (uint64_t)length;
	return position;
}
