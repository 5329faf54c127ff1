/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * A whole worker between a client and an upstream that a script drives: pieces of pipelined requests,
 * answers in pieces, resets, closes and bytes that were not asked for, in any order. The worker runs in
 * turns: it waits in epoll_wait(2), which stands here in place of the C library's, until the script lets
 * it go round once. So each script is the same each time. It is fed by the fuzzer (fuzz_relay.c) or by the
 * unit test (unit/proxy/http1/test_relay_sequences.c).
 *
 * What must hold: the upstream sees the requests that the client sent and no others, each body byte by
 * byte; a POST reaches at most one connection; a request is sent at most once on a connection that was
 * used before, and on none that said more than it was asked; each answer is its request's, whole, or the
 * connection ends; and no request waits for ever.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fuzz/http_properties.h"
#include "proxy/upstream/upstream.h"
#include "proxy/proxy.h"
#include "proxy/thread.h"

#define SCRIPT_REQUESTS 5
#define SCRIPT_CONNECTIONS 64 /* of the upstream, in one script */
#define SCRIPT_BUFFER 65536
#define SCRIPT_FINAL_ROUNDS 400
#define SCRIPT_EVIL "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"

/* What stands between the script and the worker's loop. */
static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool waits; /* the worker is at epoll_wait(2) */
	bool goes;  /* it may go round once */
	bool is_free;
} gate = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER, .is_free = true};

/* Only the worker has such a loop in this process. */
int epoll_wait(int epoll_fd, struct epoll_event *events, int maximum, int timeout)
{
	pthread_mutex_lock(&gate.lock);
	bool is_gated = !gate.is_free;
	gate.waits = is_gated;
	pthread_cond_broadcast(&gate.changed);
	while (!gate.is_free && !gate.goes)
		pthread_cond_wait(&gate.changed, &gate.lock);
	gate.goes = gate.waits = false;
	pthread_mutex_unlock(&gate.lock);
	return (int)syscall(SYS_epoll_pwait, epoll_fd, events, maximum, is_gated ? 0 : timeout,
			    NULL, 8);
}

static inline void wait_for_worker(void)
{
	while (!gate.waits)
		pthread_cond_wait(&gate.changed, &gate.lock);
}

/* Once round the worker's loop. */
static inline void take_turn(void)
{
	pthread_mutex_lock(&gate.lock);
	wait_for_worker();
	gate.goes = true;
	gate.waits = false;
	pthread_cond_broadcast(&gate.changed);
	wait_for_worker();
	pthread_mutex_unlock(&gate.lock);
}

struct script_request {
	char method[8];
	char head[256], body[512]; /* as they are sent; the body with its chunks */
	size_t head_length, body_length;
	size_t begins;	  /* in the client's stream */
	unsigned arrived; /* connections on which its head came */
	unsigned arrived_reused;
};

struct script_connection {
	int fd; /* -1: gone */
	char in[SCRIPT_BUFFER];
	size_t in_length;
	size_t heads; /* that came */
	int current;  /* the request whose body comes; -1: none */
	size_t body_left;
	bool is_reused, owes; /* an answer to the latest */
	bool said_more;	      /* than it was asked: it gets no other request */
	char out[1024];	      /* of an answer, not yet sent */
	size_t out_length, out_sent;
};

struct script {
	struct script_request requests[SCRIPT_REQUESTS];
	size_t request_count;
	char stream[SCRIPT_BUFFER];
	size_t stream_length, stream_sent;
	char got[SCRIPT_BUFFER]; /* by the client */
	size_t got_length;
	bool client_ended;   /* the proxy has closed */
	bool is_half_closed; /* the client sends no more, so 400 may be right */
	int client;
	struct script_connection connections[SCRIPT_CONNECTIONS];
	size_t connection_count;
};

static struct {
	struct proxy *proxy;
	int upstream; /* listens */
	struct sockaddr_in address;
} house;

static inline int script_listener(struct sockaddr_in *ret_address)
{
	socklen_t length = sizeof(*ret_address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	*ret_address = (struct sockaddr_in){.sin_family = AF_INET,
					    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	REQUIRE(bind(fd, (struct sockaddr *)ret_address, sizeof(*ret_address)) == 0);
	REQUIRE(listen(fd, 128) == 0);
	getsockname(fd, (struct sockaddr *)ret_address, &length);
	return fd;
}

static inline struct configuration *script_configuration(uint16_t port, uint16_t target)
{
	char path[] = "/tmp/lanetag-relay-XXXXXX.yaml";
	const char *paths[] = {path};
	struct diagnostics diagnostics = {0};
	int fd = mkstemps(path, 5);

	REQUIRE(fd >= 0);
	dprintf(fd,
		"apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: edge}\n"
		"spec: {servers: [{port: {number: %u, name: http, protocol: HTTP}, hosts: "
		"['*']}]}\n"
		"---\napiVersion: v1\nkind: Service\nmetadata: {name: app}\n"
		"spec: {clusterIP: None, selector: {app: app}, ports: [{name: http, port: 80,"
		" targetPort: %u}]}\n"
		"---\napiVersion: v1\nkind: Pod\nmetadata: {name: app-1, labels: {app: app}}\n"
		"spec: {containers: [{name: app, image: app}]}\nstatus: {podIP: 127.0.0.1}\n"
		"---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: "
		"edge}\n"
		"spec: {hosts: ['*'], gateways: [edge],"
		" http: [{route: [{destination: {host: app}}]}]}\n",
		port, target);
	close(fd);
	struct configuration *configuration = configuration_load(paths, 1, 1, &diagnostics);
	unlink(path);
	diagnostics_free(&diagnostics);
	REQUIRE(configuration);
	return configuration;
}

/* Once in a process. */
static inline void script_start(void)
{
	const struct proxy_options options = {.workers = 1};
	struct proxy_sockets none = {0};
	struct sockaddr_in target;
	int probe = script_listener(&house.address);

	close(probe); /* its port is the proxy's */
	signal(SIGPIPE, SIG_IGN);
	house.upstream = script_listener(&target);
	struct configuration *configuration =
		script_configuration(ntohs(house.address.sin_port), ntohs(target.sin_port));
	REQUIRE(proxy_start(&options, NULL, configuration, &none, &house.proxy) == 0);
	configuration_drop(configuration);
	pthread_mutex_lock(&gate.lock);
	gate.is_free = false;
	pthread_mutex_unlock(&gate.lock);
	thread_wake(&house.proxy->threads[0]);
	for (int i = 0; i < 3; i++)
		take_turn();
}

static inline void script_stop(void)
{
	pthread_mutex_lock(&gate.lock);
	gate.is_free = true;
	pthread_cond_broadcast(&gate.changed);
	pthread_mutex_unlock(&gate.lock);
	proxy_stop(house.proxy, 1000);
	close(house.upstream);
}

/* Each body is a request to those that take it for one. */
#define SCRIPT_HIDDEN "GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n"

static inline void make_request(struct script_request *request, size_t number, unsigned kind)
{
	static const char *const methods[] = {"GET", "POST", "POST", "PUT", "POST", "GET"};
	const char *method = methods[kind % 6];
	bool is_chunked = kind % 6 == 2 || kind % 6 == 3;
	bool has_body = kind % 6 != 0 && kind % 6 != 5;

	snprintf(request->method, sizeof(request->method), "%s", method);
	if (is_chunked)
		snprintf(request->body, sizeof(request->body),
			 "5\r\nhello\r\n%zx\r\n%s\r\n0\r\n\r\n", strlen(SCRIPT_HIDDEN),
			 SCRIPT_HIDDEN);
	else if (has_body)
		snprintf(request->body, sizeof(request->body), "%s%s", SCRIPT_HIDDEN,
			 SCRIPT_HIDDEN);
	request->body_length = strlen(request->body);
	request->head_length = (size_t)snprintf(
		request->head, sizeof(request->head),
		is_chunked ? "%s /%zu HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
		: has_body ? "%s /%zu HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n\r\n"
			   : "%s /%zu HTTP/1.1\r\nHost: a\r\n\r\n",
		method, number, request->body_length);
}

static inline void write_stream(struct script *script, const uint8_t *kinds, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct script_request *request = &script->requests[i];

		make_request(request, i, kinds[i]);
		request->begins = script->stream_length;
		memcpy(script->stream + script->stream_length, request->head, request->head_length);
		script->stream_length += request->head_length;
		memcpy(script->stream + script->stream_length, request->body, request->body_length);
		script->stream_length += request->body_length;
	}
	script->request_count = count;
}

static inline void client_send(struct script *script, size_t length)
{
	size_t left = script->stream_length - script->stream_sent;

	if (left == 0)
		return;
	ssize_t sent = send(script->client, script->stream + script->stream_sent,
			    length < left ? length : left, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (sent > 0)
		script->stream_sent += (size_t)sent;
}

static inline size_t to_the_requests_end(const struct script *script)
{
	size_t i = 0;

	while (i < script->request_count && script->requests[i].begins <= script->stream_sent)
		i++;
	return (i < script->request_count ? script->requests[i].begins : script->stream_length) -
	       script->stream_sent;
}

static inline void client_receive(struct script *script)
{
	while (!script->client_ended) {
		ssize_t length = recv(script->client, script->got + script->got_length,
				      sizeof(script->got) - script->got_length, MSG_DONTWAIT);

		if (length > 0)
			script->got_length += (size_t)length;
		else if (length == 0 || errno != EAGAIN)
			script->client_ended = true;
		else
			return;
	}
}

static inline void drop_connection(struct script_connection *connection, bool reset)
{
	const struct linger at_once = {.l_onoff = 1, .l_linger = 0};

	if (connection->fd < 0)
		return;
	if (reset)
		setsockopt(connection->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	close(connection->fd);
	connection->fd = -1;
}

static inline void accept_connections(struct script *script)
{
	int fd;

	while ((fd = accept4(house.upstream, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
		int one = 1;

		REQUIRE(script->connection_count < SCRIPT_CONNECTIONS);
		struct script_connection *connection =
			&script->connections[script->connection_count++];
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		connection->fd = fd;
		connection->in_length = connection->heads = connection->body_left = 0;
		connection->out_length = connection->out_sent = 0;
		connection->owes = connection->said_more = false;
		connection->current = -1;
	}
}

/* A head: one of the client's, on this connection. */
static inline void take_head(struct script *script, struct script_connection *connection,
			     size_t length)
{
	char method[8] = "", target[16] = "";
	size_t number = 0;

	connection->in[length - 1] = '\0';
	REQUIRE(sscanf(connection->in, "%7s %15s HTTP/1.1\r\n", method, target) == 2);
	REQUIRE(!connection->said_more);
	connection->is_reused = connection->heads++ > 0;
	connection->owes = true;
	connection->current = -1;
	if (strcmp(target, "/warm") == 0)
		return;
	REQUIRE(sscanf(target, "/%zu", &number) == 1 && number < script->request_count);
	struct script_request *request = &script->requests[number];
	REQUIRE(strcmp(method, request->method) == 0);
	REQUIRE(script->stream_sent >= request->begins + request->head_length);
	request->arrived++;
	request->arrived_reused += connection->is_reused;
	REQUIRE(request->arrived == 1 || strcmp(method, "POST") != 0);
	REQUIRE(request->arrived_reused <= 1);
	connection->current = (int)number;
	connection->body_left = request->body_length;
}

static inline void take_in(struct script *script, struct script_connection *connection)
{
	for (;;) {
		size_t taken;

		if (connection->body_left) {
			const struct script_request *request =
				&script->requests[connection->current];
			const char *expected =
				request->body + request->body_length - connection->body_left;

			taken = connection->in_length < connection->body_left
					? connection->in_length
					: connection->body_left;
			REQUIRE(memcmp(connection->in, expected, taken) == 0);
			connection->body_left -= taken;
		} else {
			char *end = memmem(connection->in, connection->in_length, "\r\n\r\n", 4);

			taken = end ? (size_t)(end + 4 - connection->in) : 0;
			if (taken)
				take_head(script, connection, taken);
		}
		if (taken == 0)
			return;
		connection->in_length -= taken;
		memmove(connection->in, connection->in + taken, connection->in_length);
	}
}

static inline void upstream_receive(struct script *script, struct script_connection *connection)
{
	while (connection->fd >= 0) {
		ssize_t length = recv(connection->fd, connection->in + connection->in_length,
				      sizeof(connection->in) - connection->in_length, MSG_DONTWAIT);

		if (length <= 0) {
			if (length == 0 || errno != EAGAIN)
				drop_connection(connection, false);
			return;
		}
		connection->in_length += (size_t)length;
		take_in(script, connection);
	}
}

static inline void upstream_receive_all(struct script *script)
{
	accept_connections(script);
	for (size_t i = 0; i < script->connection_count; i++)
		upstream_receive(script, &script->connections[i]);
}

#define ANSWER_CHUNKED 0x80
#define ANSWER_AND_MORE 0x40 /* what was not asked for comes right behind it */

static inline void make_answer(struct script_connection *connection, unsigned kind)
{
	char content[32] = "warm one";

	if (connection->current >= 0)
		snprintf(content, sizeof(content), "answer %d", connection->current);
	connection->out_length = (size_t)snprintf(
		connection->out, sizeof(connection->out),
		kind & ANSWER_CHUNKED ? "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
					"8\r\n%s\r\n0\r\n\r\n"
				      : "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n%s",
		content);
	connection->out_sent = 0;
	connection->owes = false;
}

/* Sends up to `length` bytes of the answer to what came last, perhaps before all of it is there. */
static inline void upstream_answer(struct script_connection *connection, size_t length,
				   unsigned kind)
{
	if (connection->fd < 0 || (!connection->out_length && !connection->owes))
		return;
	if (!connection->out_length)
		make_answer(connection, kind);
	if (length == SCRIPT_BUFFER && kind & ANSWER_AND_MORE) {
		memcpy(connection->out + connection->out_length, SCRIPT_EVIL, strlen(SCRIPT_EVIL));
		connection->out_length += strlen(SCRIPT_EVIL);
		connection->said_more = true;
	}
	size_t left = connection->out_length - connection->out_sent;
	ssize_t sent = send(connection->fd, connection->out + connection->out_sent,
			    length < left ? length : left, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (sent > 0)
		connection->out_sent += (size_t)sent;
	if (sent < 0 || connection->out_sent == connection->out_length)
		connection->out_length = 0;
}

/* Only while the upstream owes nothing on it: else it would be the answer, if not a good one. */
static inline void upstream_say_unasked(struct script *script, struct script_connection *connection,
					size_t length)
{
	upstream_receive(script, connection);
	if (connection->fd < 0 || connection->owes || connection->out_length ||
	    connection->in_length || connection->heads == 0)
		return;
	if (send(connection->fd, SCRIPT_EVIL, length % strlen(SCRIPT_EVIL) + 1,
		 MSG_NOSIGNAL | MSG_DONTWAIT) <= 0)
		drop_connection(connection, false);
	connection->said_more = true;
}

static inline void script_step(struct script *script, unsigned operation, unsigned argument)
{
	struct script_connection *connection =
		script->connection_count ? &script->connections[script->connection_count - 1 -
								argument % script->connection_count]
					 : NULL;

	switch (operation % 12) {
	case 0:
	case 1:
		client_send(script, argument < 128   ? argument + 1
				    : argument < 240 ? to_the_requests_end(script)
						     : SCRIPT_BUFFER);
		return;
	case 2:
	case 3:
		take_turn();
		client_receive(script);
		return;
	case 4:
	case 5:
		upstream_receive_all(script);
		return;
	case 6:
		if (argument < 8)
			shutdown(script->client, SHUT_WR);
		script->is_half_closed |= argument < 8;
		return;
	default:
		break;
	}
	if (!connection)
		return;
	switch (operation % 12) {
	case 7:
		upstream_answer(connection, SCRIPT_BUFFER, argument);
		break;
	case 8:
		upstream_answer(connection, 1 + argument % 64, argument);
		break;
	case 9:
		drop_connection(connection, true);
		break;
	case 10:
		drop_connection(connection, false);
		break;
	default:
		upstream_say_unasked(script, connection, argument);
	}
}

static inline bool answer_holds(const struct script *script, const char *head, const char *body,
				size_t length, size_t number)
{
	char expected[32];

	if (strncmp(head, "HTTP/1.1 400 ", 13) == 0)
		return script->is_half_closed;
	if (strncmp(head, "HTTP/1.1 200 ", 13) != 0)
		return strncmp(head, "HTTP/1.1 502 ", 13) == 0 ||
		       strncmp(head, "HTTP/1.1 503 ", 13) == 0;
	snprintf(expected, sizeof(expected), "answer %zu", number);
	return length == strlen(expected) && memcmp(body, expected, length) == 0;
}

/* The length of one answer at the front; 0: it is not whole. */
static inline size_t check_answer(const struct script *script, char *data, size_t length,
				  size_t number)
{
	char *end = memmem(data, length, "\r\n\r\n", 4), *field;
	size_t body_length = 0;

	if (!end)
		return 0;
	*end = '\0';
	char *body = end + 4;
	size_t left = length - (size_t)(body - data);
	if (strstr(data, "Transfer-Encoding: chunked")) {
		const char last[] = "\r\n0\r\n\r\n";
		char *stop = memmem(body, left, last, strlen(last));

		if (stop) {
			REQUIRE(left >= 3 && memcmp(body, "8\r\n", 3) == 0);
			REQUIRE(answer_holds(script, data, body + 3, (size_t)(stop - body - 3),
					     number));
		}
		*end = '\r';
		return stop ? (size_t)(stop + strlen(last) - data) : 0;
	}
	field = strstr(data, "Content-Length: ");
	REQUIRE(field && sscanf(field, "Content-Length: %zu", &body_length) == 1);
	bool is_whole = left >= body_length;
	if (is_whole)
		REQUIRE(answer_holds(script, data, body, body_length, number));
	*end = '\r';
	return is_whole ? (size_t)(body - data) + body_length : 0;
}

/* How many whole answers the client has, each its request's. */
static inline size_t check_answers(struct script *script)
{
	size_t at = 0, count = 0;

	REQUIRE(!memmem(script->got, script->got_length, "evil", 4));
	while (at < script->got_length && count < script->request_count) {
		size_t length =
			check_answer(script, script->got + at, script->got_length - at, count);

		if (length == 0)
			break;
		at += length;
		count++;
	}
	if (count == script->request_count)
		REQUIRE(at == script->got_length);
	return count;
}

/* All that is left is sent, read and answered: then each request has its answer, or it is over. */
static inline void finish_script(struct script *script)
{
	for (int round = 0; round < SCRIPT_FINAL_ROUNDS; round++) {
		client_send(script, SCRIPT_BUFFER);
		take_turn();
		upstream_receive_all(script);
		for (size_t i = 0; i < script->connection_count; i++)
			upstream_answer(&script->connections[i], SCRIPT_BUFFER, 0);
		take_turn();
		client_receive(script);
		if (script->client_ended || check_answers(script) == script->request_count)
			return;
	}
	REQUIRE(!"a request waits for ever");
}

static inline int connect_client(void)
{
	int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	REQUIRE(connect(fd, (struct sockaddr *)&house.address, sizeof(house.address)) == 0);
	return fd;
}

/* So many others ask at once: each gets its answer, whatever came before over these connections. */
static inline void ask_besides(struct script *script, size_t count)
{
	static const char request[] = "GET /warm HTTP/1.1\r\nHost: a\r\n\r\n";
	int clients[4];
	char got[512];

	for (size_t i = 0; i < count; i++) {
		clients[i] = connect_client();
		REQUIRE(send(clients[i], request, strlen(request), 0) == (ssize_t)strlen(request));
	}
	for (int round = 0; round < 6; round++) {
		take_turn();
		upstream_receive_all(script);
	}
	for (size_t i = 0; i < script->connection_count; i++)
		upstream_answer(&script->connections[i], SCRIPT_BUFFER, 0);
	take_turn();
	for (size_t i = 0; i < count; i++) {
		ssize_t length = recv(clients[i], got, sizeof(got), MSG_DONTWAIT);

		REQUIRE(length > 8 && strncmp(got, "HTTP/1.1 200 ", 13) == 0);
		REQUIRE(memcmp(got + length - 8, "warm one", 8) == 0);
		close(clients[i]);
	}
	take_turn();
}

/* Nothing is left behind in the worker. */
static inline void close_script(struct script *script)
{
	struct worker *worker = &house.proxy->threads[0].worker;

	ask_besides(script, 1);
	close(script->client);
	for (int round = 0; round < 50 && worker->sessions; round++)
		take_turn();
	accept_connections(script);
	for (size_t i = 0; i < script->connection_count; i++)
		drop_connection(&script->connections[i], true);
	for (int round = 0; round < 3; round++)
		take_turn();
	REQUIRE(!worker->sessions);
	REQUIRE(worker->pending_bytes == 0);
	REQUIRE(worker->upstreams.lease->requests == 0);
	REQUIRE(worker->statistics.connections_open == 0);
	for (size_t i = 0; i < worker->upstreams.lease->backend_count; i++) {
		const struct backend *backend = worker->upstreams.lease->backends[i];

		REQUIRE(!backend || (backend->requests == 0 && backend->connection_count == 0));
	}
}

/*
 * The first byte says how many requests there are and over how many connections others asked before,
 * the next ones which requests; each step is two bytes.
 */
static inline void run_script(const uint8_t *data, size_t length)
{
	static struct script script;

	if (length < 1 + SCRIPT_REQUESTS)
		return;
	memset(&script, 0, offsetof(struct script, stream));
	script.stream_length = script.stream_sent = script.got_length = script.connection_count = 0;
	script.client_ended = script.is_half_closed = false;
	write_stream(&script, data + 1, 1 + data[0] % SCRIPT_REQUESTS);
	ask_besides(&script, data[0] >> 6);
	script.client = connect_client();
	take_turn();
	for (size_t at = 1 + SCRIPT_REQUESTS; at + 1 < length && at < 600; at += 2)
		script_step(&script, data[at], data[at + 1]);
	finish_script(&script);
	check_answers(&script);
	close_script(&script);
}
