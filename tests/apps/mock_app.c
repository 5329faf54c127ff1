/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * An application as the tutorial has them: answers "-> app-a(version: v1, ip: 10.0.250.27)" and,
 * with --next, behind it what the next application answers. To the next one it passes on no header
 * but `baggage` (or those of --forward): all else has to be the mesh's work.
 *
 * One thread per connection; it stops within STOP_TIMEOUT_MS of SIGTERM.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/array.h"
#include "base/number.h"
#include "http/answer.h"
#include "http/chunked.h"

#define IDLE_TIMEOUT_MS 60000
#define READ_TIMEOUT_MS 10000
#define STOP_TIMEOUT_MS 1000
#define MAXIMUM_FORWARDED 8
#define MAXIMUM_BODY (16 << 20)

struct app {
	const char *name, *version, *address;
	uint16_t port;
	const char *next_host;
	struct sockaddr_storage next;
	bool has_next;
	bool echo;
	const char *forwarded[MAXIMUM_FORWARDED];
	size_t forwarded_count;
	int stop; /* readable once it is time to go */
	atomic_uint connections;
};

/* One end of a connection: bytes that came and are not used up yet. */
struct peer {
	int fd; /* -1: not open */
	struct buffer input;
};

struct exchange {
	struct app *app;
	struct peer client;
	struct peer next;
	struct buffer echo;   /* the request's head and trailers as text */
	struct buffer passed; /* field lines for the next application */
	struct buffer content;
	struct buffer output;
	bool keep_alive;
	bool is_head;
};

static void peer_close(struct peer *peer)
{
	if (peer->fd >= 0)
		close(peer->fd);
	peer->fd = -1;
	buffer_clear(&peer->input);
}

/* Waits for more bytes. False: none will come, or (while idle) the application stops. */
static bool peer_read(struct peer *peer, const struct app *app, bool idle)
{
	struct pollfd fds[] = {
		{.fd = peer->fd, .events = POLLIN},
		{.fd = idle ? app->stop : -1, .events = POLLIN},
	};
	char *room = buffer_reserve(&peer->input, 16384);

	if (!room || poll(fds, 2, idle ? IDLE_TIMEOUT_MS : READ_TIMEOUT_MS) <= 0 || fds[1].revents)
		return false;
	ssize_t length = recv(peer->fd, room, 16384, 0);
	if (length <= 0)
		return false;
	peer->input.length += (size_t)length;
	return true;
}

static bool peer_write(const struct peer *peer, const struct buffer *bytes)
{
	size_t sent = 0;

	while (!bytes->failed && sent < bytes->length) {
		ssize_t length =
			send(peer->fd, bytes->data + sent, bytes->length - sent, MSG_NOSIGNAL);
		if (length <= 0)
			return false;
		sent += (size_t)length;
	}
	return !bytes->failed;
}

static void add_field(struct buffer *out, struct span name, struct span value)
{
	buffer_append_span(out, name);
	buffer_append_text(out, ": ");
	buffer_append_span(out, value);
	buffer_append_text(out, "\r\n");
}

static bool read_trailers(struct peer *peer, const struct app *app, struct buffer *echo)
{
	struct http_trailers trailers;
	struct http_refusal refusal;
	enum http_parse parsed;

	while ((parsed = http_trailers_parse(peer->input.data, peer->input.length, 0, &trailers,
					     &refusal)) == HTTP_PARSE_MORE) {
		if (!peer_read(peer, app, false))
			return false;
	}
	if (parsed != HTTP_PARSE_COMPLETE)
		return false;
	for (size_t i = 0; i < trailers.field_count; i++) {
		buffer_append_text(echo, "trailer ");
		add_field(echo, trailers.fields[i].name, trailers.fields[i].value);
	}
	buffer_consume(&peer->input, trailers.length);
	return true;
}

static bool read_chunked(struct peer *peer, const struct app *app, struct buffer *content,
			 struct buffer *echo)
{
	struct http_chunked chunked = {0};

	for (;;) {
		size_t length;
		enum http_chunk_piece piece =
			http_chunked_next(&chunked, peer->input.data, peer->input.length, &length);

		if (piece == HTTP_CHUNK_DATA)
			buffer_append(content, peer->input.data, length);
		if (length)
			buffer_consume(&peer->input, length);
		if (piece == HTTP_CHUNK_TRAILERS)
			return read_trailers(peer, app, echo);
		if (piece == HTTP_CHUNK_INVALID || content->length > MAXIMUM_BODY)
			return false;
		if (piece == HTTP_CHUNK_MORE && !peer_read(peer, app, false))
			return false;
	}
}

static bool read_content(struct peer *peer, const struct app *app, enum http_framing framing,
			 uint64_t length, struct buffer *content, struct buffer *echo)
{
	buffer_clear(content);
	switch (framing) {
	case HTTP_FRAMING_NONE:
		return true;
	case HTTP_FRAMING_CHUNKED:
		return read_chunked(peer, app, content, echo);
	case HTTP_FRAMING_CONTENT_LENGTH:
		if (length > MAXIMUM_BODY)
			return false;
		while (peer->input.length < length) {
			if (!peer_read(peer, app, false))
				return false;
		}
		buffer_append(content, peer->input.data, length);
		buffer_consume(&peer->input, length);
		return true;
	case HTTP_FRAMING_UNTIL_CLOSE:
		while (peer->input.length <= MAXIMUM_BODY && peer_read(peer, app, false))
			;
		buffer_append_span(content, buffer_span(&peer->input));
		peer_close(peer);
		return true;
	}
	return false;
}

static void note_request(struct exchange *exchange, const struct http_request_head *head)
{
	const struct app *app = exchange->app;

	buffer_clear(&exchange->echo);
	buffer_clear(&exchange->passed);
	buffer_printf(&exchange->echo, "%.*s %.*s\r\n", SPAN_ARGUMENTS(head->method),
		      SPAN_ARGUMENTS(head->target));
	for (size_t i = 0; i < head->field_count; i++) {
		const struct http_field *field = &head->fields[i];

		add_field(&exchange->echo, field->name, field->value);
		for (size_t j = 0; j < app->forwarded_count; j++) {
			if (span_equal_ignore_case(field->name, span_of(app->forwarded[j])))
				add_field(&exchange->passed, field->name, field->value);
		}
	}
	exchange->keep_alive = head->keep_alive;
	exchange->is_head = head->is_head;
}

/* Reads a whole request. False: the connection is done with (what was refused is answered). */
static bool read_request(struct exchange *exchange)
{
	static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
	struct peer *client = &exchange->client;
	struct http_request_head head;
	struct http_refusal refusal;
	enum http_parse parsed;

	while ((parsed = http_request_parse(client->input.data, client->input.length, 0,
					    &http_default_limits, &head, &refusal)) ==
	       HTTP_PARSE_MORE) {
		if (!peer_read(client, exchange->app, client->input.length == 0))
			return false;
	}
	buffer_clear(&exchange->output);
	if (parsed == HTTP_PARSE_REFUSED) {
		http_error_response(refusal.status, refusal.reason, time(NULL), true, false,
				    &exchange->output);
		peer_write(client, &exchange->output);
		return false;
	}
	note_request(exchange, &head);
	enum http_framing framing = head.framing;
	uint64_t length = head.content_length;
	if (head.expect_continue &&
	    send(client->fd, go_on, sizeof(go_on) - 1, MSG_NOSIGNAL) != sizeof(go_on) - 1)
		return false;
	buffer_consume(&client->input, head.length);
	return read_content(client, exchange->app, framing, length, &exchange->content,
			    &exchange->echo);
}

static void set_timeouts(int fd)
{
	struct timeval timeout = {.tv_sec = READ_TIMEOUT_MS / 1000};
	int on = 1;

	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

static bool connect_next(struct exchange *exchange)
{
	const struct app *app = exchange->app;
	socklen_t length = app->next.ss_family == AF_INET ? sizeof(struct sockaddr_in)
							  : sizeof(struct sockaddr_in6);
	struct peer *next = &exchange->next;

	next->fd = socket(app->next.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (next->fd < 0)
		return false;
	set_timeouts(next->fd);
	if (connect(next->fd, (const struct sockaddr *)&app->next, length) == 0)
		return true;
	peer_close(next);
	return false;
}

/* Reads the next application's answer into exchange->content. */
static bool read_answer(struct exchange *exchange, unsigned *ret_status)
{
	struct peer *next = &exchange->next;
	struct http_response_head head;
	struct http_refusal refusal;

	for (;;) {
		enum http_parse parsed =
			http_response_parse(next->input.data, next->input.length, 0,
					    &http_default_limits, false, &head, &refusal);

		if (parsed == HTTP_PARSE_REFUSED ||
		    (parsed == HTTP_PARSE_MORE && !peer_read(next, exchange->app, false)))
			return false;
		if (parsed == HTTP_PARSE_MORE)
			continue;
		bool interim = head.interim, keep_alive = head.keep_alive;
		enum http_framing framing = head.framing;
		uint64_t length = head.content_length;
		*ret_status = head.status;
		buffer_consume(&next->input, head.length);
		if (interim)
			continue;
		if (!read_content(next, exchange->app, framing, length, &exchange->content,
				  &exchange->echo))
			return false;
		if (!keep_alive)
			peer_close(next);
		return true;
	}
}

/*
 * Calls the next application. A connection that was kept may have been closed meanwhile: then anew.
 */
static bool call_next(struct exchange *exchange, unsigned *ret_status)
{
	for (;;) {
		bool reused = exchange->next.fd >= 0;

		if (!reused && !connect_next(exchange))
			return false;
		buffer_clear(&exchange->output);
		buffer_printf(&exchange->output, "GET / HTTP/1.1\r\nHost: %s\r\n",
			      exchange->app->next_host);
		buffer_append_span(&exchange->output, buffer_span(&exchange->passed));
		buffer_append_text(&exchange->output, "\r\n");
		if (peer_write(&exchange->next, &exchange->output) &&
		    read_answer(exchange, ret_status))
			return true;
		bool unanswered = exchange->next.input.length == 0;
		peer_close(&exchange->next);
		if (!reused || !unanswered)
			return false;
	}
}

static bool answer(struct exchange *exchange)
{
	const struct app *app = exchange->app;
	struct buffer text = {0};
	unsigned status = 200, next_status = 200;

	if (app->echo) {
		buffer_append_span(&text, buffer_span(&exchange->echo));
		buffer_printf(&text, "\r\n%zu bytes of content\n", exchange->content.length);
	} else {
		buffer_printf(&text, "-> %s(version: %s, ip: %s)", app->name, app->version,
			      app->address);
		if (!app->has_next) {
			buffer_append_byte(&text, '\n');
		} else if (!call_next(exchange, &next_status)) {
			status = 502;
			buffer_printf(&text, "-> (no answer from %s)\n", app->next_host);
		} else {
			status = next_status;
			buffer_append_span(&text, buffer_span(&exchange->content));
		}
	}
	buffer_clear(&exchange->output);
	buffer_printf(&exchange->output,
		      "HTTP/1.1 %u %s\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n%s\r\n",
		      status, http_status_phrase(status), text.length,
		      exchange->keep_alive ? "" : "Connection: close\r\n");
	if (!exchange->is_head)
		buffer_append_span(&exchange->output, buffer_span(&text));
	exchange->output.failed |= text.failed;
	buffer_free(&text);
	return peer_write(&exchange->client, &exchange->output) && exchange->keep_alive;
}

static void *serve(void *argument)
{
	struct exchange *exchange = argument;

	while (read_request(exchange) && answer(exchange))
		;
	peer_close(&exchange->client);
	peer_close(&exchange->next);
	buffer_free(&exchange->client.input);
	buffer_free(&exchange->next.input);
	buffer_free(&exchange->echo);
	buffer_free(&exchange->passed);
	buffer_free(&exchange->content);
	buffer_free(&exchange->output);
	atomic_fetch_sub(&exchange->app->connections, 1);
	free(exchange);
	return NULL;
}

static void accept_connection(struct app *app, int listener)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	struct exchange *exchange = fd < 0 ? NULL : calloc(1, sizeof(*exchange));
	pthread_attr_t attributes;
	pthread_t thread;

	if (!exchange) {
		if (fd >= 0)
			close(fd);
		return;
	}
	set_timeouts(fd);
	*exchange = (struct exchange){.app = app, .client.fd = fd, .next.fd = -1};
	atomic_fetch_add(&app->connections, 1);
	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	if (pthread_create(&thread, &attributes, serve, exchange)) {
		atomic_fetch_sub(&app->connections, 1);
		close(fd);
		free(exchange);
	}
	pthread_attr_destroy(&attributes);
}

static int socket_address(const char *text, uint16_t port, struct sockaddr_storage *ret_address)
{
	struct sockaddr_in6 *ipv6 = (struct sockaddr_in6 *)ret_address;
	struct sockaddr_in *ipv4 = (struct sockaddr_in *)ret_address;

	memset(ret_address, 0, sizeof(*ret_address));
	if (inet_pton(AF_INET, text, &ipv4->sin_addr) == 1) {
		ipv4->sin_family = AF_INET;
		ipv4->sin_port = htons(port);
		return 0;
	}
	ipv6->sin6_family = AF_INET6;
	ipv6->sin6_port = htons(port);
	return inet_pton(AF_INET6, text, &ipv6->sin6_addr) == 1 ? 0 : -1;
}

static int open_listener(const struct app *app)
{
	struct sockaddr_storage address;
	int on = 1;

	if (socket_address(app->address, app->port, &address)) {
		fprintf(stderr, "mock_app: '%s' is no address\n", app->address);
		return -1;
	}
	int fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof(address)) ||
	    listen(fd, 1024)) {
		perror("mock_app: listen");
		return -1;
	}
	return fd;
}

static int run(struct app *app)
{
	sigset_t set;
	struct timespec pause = {.tv_nsec = 5000000};

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	int signals = signalfd(-1, &set, SFD_CLOEXEC);
	int listener = open_listener(app);

	app->stop = eventfd(0, EFD_CLOEXEC);
	if (signals < 0 || listener < 0 || app->stop < 0)
		return 1;
	struct pollfd fds[] = {{.fd = listener, .events = POLLIN},
			       {.fd = signals, .events = POLLIN}};
	while (!fds[1].revents) {
		if (poll(fds, ARRAY_LENGTH(fds), -1) < 0 && errno != EINTR)
			return 1;
		if (fds[0].revents)
			accept_connection(app, listener);
	}
	close(listener);
	eventfd_write(app->stop, 1);
	for (int waited = 0; atomic_load(&app->connections) && waited < STOP_TIMEOUT_MS;
	     waited += 5)
		nanosleep(&pause, NULL);
	return 0;
}

/* "10.96.0.11:8000", "[2001:db8::1]:8000". */
static int parse_next(char *text, struct app *app)
{
	char *colon = strrchr(text, ':');
	uint64_t port;

	if (!colon || parse_unsigned(span_of(colon + 1), 65535, &port))
		return -1;
	*colon = '\0';
	if (text[0] == '[' && colon[-1] == ']') {
		colon[-1] = '\0';
		text++;
	}
	app->has_next = true;
	return socket_address(text, (uint16_t)port, &app->next);
}

static int parse_port(const char *text, uint16_t *ret_port)
{
	uint64_t port;

	if (parse_unsigned(span_of(text), 65535, &port))
		return -1;
	*ret_port = (uint16_t)port;
	return 0;
}

enum { NAME = 1, VERSION, ADDRESS, PORT, NEXT, NEXT_HOST, FORWARD, FORWARD_NOTHING, ECHO };

static const struct option options[] = {
	{"app", required_argument, NULL, NAME},
	{"version", required_argument, NULL, VERSION},
	{"address", required_argument, NULL, ADDRESS},
	{"port", required_argument, NULL, PORT},
	{"next", required_argument, NULL, NEXT},
	{"next-host", required_argument, NULL, NEXT_HOST},
	{"forward", required_argument, NULL, FORWARD},
	{"forward-nothing", no_argument, NULL, FORWARD_NOTHING},
	{"echo", no_argument, NULL, ECHO},
	{0},
};

static int parse_option(int option, struct app *app, bool *forward_nothing)
{
	switch (option) {
	case NAME:
		app->name = optarg;
		return 0;
	case VERSION:
		app->version = optarg;
		return 0;
	case ADDRESS:
		app->address = optarg;
		return 0;
	case PORT:
		return parse_port(optarg, &app->port);
	case NEXT:
		return parse_next(optarg, app);
	case NEXT_HOST:
		app->next_host = optarg;
		return 0;
	case FORWARD:
		if (app->forwarded_count == MAXIMUM_FORWARDED)
			return -1;
		app->forwarded[app->forwarded_count++] = optarg;
		return 0;
	case FORWARD_NOTHING:
		*forward_nothing = true;
		return 0;
	case ECHO:
		app->echo = true;
		return 0;
	default:
		return -1;
	}
}

int main(int argc, char **argv)
{
	static struct app app = {
		.name = "app", .version = "v1", .address = "127.0.0.1", .port = 8000};
	bool forward_nothing = false;
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (parse_option(option, &app, &forward_nothing)) {
			fprintf(stderr, "usage: mock_app [--app NAME] [--version VERSION] "
					"[--address ADDRESS] [--port PORT]\n"
					"                [--next ADDRESS:PORT --next-host HOST] "
					"[--forward HEADER]… [--forward-nothing] [--echo]\n");
			return 2;
		}
	}
	if (app.has_next && !app.next_host)
		app.next_host = "next";
	if (app.forwarded_count == 0 && !forward_nothing)
		app.forwarded[app.forwarded_count++] = "baggage";
	return run(&app);
}
