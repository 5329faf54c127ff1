/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The benchmark's upstream, as cheap as can be: one thread, one epoll loop.
 *
 *   origin PORT
 *
 * GET /N is answered with N bytes of the pattern; the body of a request is read, and compared with
 * the pattern where the request has "X-Verify". The response's X-Tags says which tags came:
 * "v2,-,v3" for appver-a, -b and -c.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "bench/pattern.h"

#define TAGS 3
#define TAG_BYTES 8
#define HEAD_BYTES 4096
#define RECEIVE_BYTES (256 * 1024)
#define EVENTS 256

struct client {
	int fd;
	size_t head_length; /* of a head that is not complete yet */
	size_t body_length, body_received, wanted_length;
	size_t answer_length, answer_sent; /* of the pattern */
	char start[256];		   /* of the response */
	size_t start_length, start_sent;
	bool has_request, verify, failed, close, watches_write;
	char tags[TAGS][TAG_BYTES];
	char head[HEAD_BYTES];
};

static char pattern[PATTERN_BYTES], received[RECEIVE_BYTES];

static int listen_on(uint16_t port)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) || listen(fd, 65535)) {
		perror("origin: listen");
		exit(1);
	}
	return fd;
}

static bool is_field(const char *line, size_t length, const char *name, const char **ret_value)
{
	size_t name_length = strlen(name);

	if (length <= name_length || line[name_length] != ':' ||
	    strncasecmp(line, name, name_length) != 0)
		return false;
	*ret_value = line + name_length + 1;
	while (**ret_value == ' ')
		++*ret_value;
	return true;
}

/* `line` ends in CR. */
static void read_field(struct client *client, const char *line, size_t length)
{
	static const char *const tag_names[TAGS] = {"appver-a", "appver-b", "appver-c"};
	const char *value;

	for (size_t i = 0; i < TAGS; i++) {
		if (is_field(line, length, tag_names[i], &value) && *value != '\r')
			snprintf(client->tags[i], TAG_BYTES, "%.*s", (int)(line + length - value),
				 value);
	}
	if (is_field(line, length, "content-length", &value))
		client->body_length = strtoul(value, NULL, 10);
	else if (is_field(line, length, "x-verify", &value))
		client->verify = true;
	else if (is_field(line, length, "connection", &value))
		client->close = strncasecmp(value, "close", 5) == 0;
}

/* A head whose end is known: [head, head + length). */
static void read_head(struct client *client, const char *head, size_t length)
{
	const char *line = memchr(head, '\n', length), *end = head + length;
	const char *target = memchr(head, '/', length);

	client->wanted_length = target ? strtoul(target + 1, NULL, 10) : 0;
	client->failed = !target || client->wanted_length > PATTERN_BYTES;
	client->body_length = client->body_received = 0;
	client->verify = client->close = false;
	client->has_request = true;
	for (size_t i = 0; i < TAGS; i++)
		strcpy(client->tags[i], "-");
	while (line && ++line < end) {
		const char *next = memchr(line, '\r', (size_t)(end - line));

		if (!next || next == line)
			return;
		read_field(client, line, (size_t)(next - line));
		line = next + 1;
	}
}

static void start_answer(struct client *client)
{
	client->answer_length = client->failed ? 0 : client->wanted_length;
	client->start_length = (size_t)snprintf(
		client->start, sizeof(client->start),
		"HTTP/1.1 %s\r\nContent-Length: %zu\r\nX-Tags: %s,%s,%s\r\n%s\r\n",
		client->failed ? "500 Wrong" : "200 OK", client->answer_length, client->tags[0],
		client->tags[1], client->tags[2], client->close ? "Connection: close\r\n" : "");
	client->start_sent = client->answer_sent = 0;
}

/* True: all is sent. */
static bool send_answer(struct client *client)
{
	for (;;) {
		struct iovec pieces[2] = {
			{client->start + client->start_sent,
			 client->start_length - client->start_sent},
			{pattern + client->answer_sent,
			 client->answer_length - client->answer_sent},
		};
		struct msghdr message = {.msg_iov = pieces, .msg_iovlen = 2};
		size_t wanted = pieces[0].iov_len + pieces[1].iov_len;

		if (wanted == 0)
			return true;
		ssize_t length = sendmsg(client->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (length < 0)
			return false;
		size_t of_start =
			(size_t)length < pieces[0].iov_len ? (size_t)length : pieces[0].iov_len;
		client->start_sent += of_start;
		client->answer_sent += (size_t)length - of_start;
	}
}

/* Takes a head out of data; false: it is not complete, or far too long. */
static bool take_head(struct client *client, const char **data, size_t *length)
{
	const char *end;

	if (client->head_length == 0 && (end = memmem(*data, *length, "\r\n\r\n", 4))) {
		size_t taken = (size_t)(end + 4 - *data);

		read_head(client, *data, taken);
		*data += taken;
		*length -= taken;
		return true;
	}
	size_t room = HEAD_BYTES - client->head_length, before = client->head_length;
	size_t added = *length < room ? *length : room;

	memcpy(client->head + before, *data, added);
	end = memmem(client->head, before + added, "\r\n\r\n", 4);
	size_t used = end ? (size_t)(end + 4 - client->head) - before : added;
	client->head_length += used;
	*data += used;
	*length -= used;
	if (!end)
		return false;
	read_head(client, client->head, client->head_length);
	client->head_length = 0;
	return true;
}

static void take_body(struct client *client, const char **data, size_t *length)
{
	size_t left = client->body_length - client->body_received;
	size_t taken = *length < left ? *length : left;

	if (client->verify && (client->body_length > PATTERN_BYTES ||
			       memcmp(*data, pattern + client->body_received, taken) != 0))
		client->failed = true;
	client->body_received += taken;
	*data += taken;
	*length -= taken;
}

/* False: the connection is over. */
static bool serve(struct client *client, const char *data, size_t length)
{
	while (length > 0) {
		if (!client->has_request && !take_head(client, &data, &length))
			return length == 0;
		take_body(client, &data, &length);
		if (client->body_received < client->body_length)
			return true;
		start_answer(client);
		client->has_request = false;
		if (!send_answer(client))
			return length == 0; /* the load never pipelines */
	}
	return true;
}

static void watch(int epoll_fd, int operation, struct client *client, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = client};

	epoll_ctl(epoll_fd, operation, client->fd, &event);
}

static bool answer_is_sent(const struct client *client)
{
	return client->start_sent == client->start_length &&
	       client->answer_sent == client->answer_length;
}

/* False: the connection is over. */
static bool handle(int epoll_fd, struct client *client, uint32_t events)
{
	if (events & EPOLLOUT && !send_answer(client) && errno != EAGAIN)
		return false;
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
		ssize_t length = recv(client->fd, received, sizeof(received), MSG_DONTWAIT);

		if (length == 0 || (length < 0 && errno != EAGAIN))
			return false;
		if (length > 0 && !serve(client, received, (size_t)length))
			return false;
	}
	bool waits = !answer_is_sent(client);
	if (waits != client->watches_write) {
		watch(epoll_fd, EPOLL_CTL_MOD, client, EPOLLIN | (waits ? EPOLLOUT : 0));
		client->watches_write = waits;
	}
	return waits || !client->close || client->has_request;
}

static void accept_all(int epoll_fd, int listen_fd)
{
	int fd;

	while ((fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
		struct client *client = calloc(1, sizeof(*client));

		if (!client)
			exit(1);
		client->fd = fd;
		watch(epoll_fd, EPOLL_CTL_ADD, client, EPOLLIN);
	}
}

int main(int argc, char **argv)
{
	struct epoll_event events[EVENTS];
	struct epoll_event listening = {.events = EPOLLIN};

	if (argc != 2) {
		fprintf(stderr, "usage: origin PORT\n");
		return 2;
	}
	pattern_fill(pattern);
	int listen_fd = listen_on((uint16_t)atoi(argv[1]));
	int epoll_fd = epoll_create1(0);
	epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listen_fd, &listening);
	for (;;) {
		int count = epoll_wait(epoll_fd, events, EVENTS, -1);

		for (int i = 0; i < count; i++) {
			struct client *client = events[i].data.ptr;

			if (!client) {
				accept_all(epoll_fd, listen_fd);
			} else if (!handle(epoll_fd, client, events[i].events)) {
				close(client->fd);
				free(client);
			}
		}
	}
}
