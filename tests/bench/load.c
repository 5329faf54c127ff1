/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The benchmark's clients: one thread, one epoll loop, every response held against what it must be.
 *
 *   load [OPTION…] PORT
 *     -c N   connections (default 64)
 *     -s S   seconds; fractions are fine (default 1)
 *     -r N   requests per second, sent when they are due whatever the responses do ("open loop");
 *            the latency counts from when a request was due. Without: each connection sends its
 *            next request when it has its response ("closed loop").
 *     -t N   bytes of each response's body (default 2)
 *     -b N   bytes of each request's body (POST)
 *     -B     a head as browsers send it, of about 1 KiB
 *     -C     a connection for each request
 *     -V     hold each byte of the bodies against the pattern
 *     -i     one request on each connection, one connection after the other; then stay idle until
 *            the end of standard input
 *     -a A   the IPv4 address to ask (default 127.0.0.1)
 *     -u F   the users, instead of 1,000 whose ids go round: FILE has four strings for each, ended
 *            by NUL: the head of his requests, the body that must answer it, and two that may if
 *            his tags were lost on the way, which is counted
 *
 * Ends with a line of JSON; exit status 1 if a response was wrong or did not come.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "bench/pattern.h"

#define USERS 1000
#define TAGS 3
#define HEAD_BYTES 4096
#define BODIES 3	/* of a user of -u: the right one first */
#define BODY_BYTES 1024 /* the longest of them */
#define RECEIVE_BYTES (256 * 1024)
#define EVENTS 256
#define GRACE_NS 5000000000ULL	/* for responses that are under way at the end */
#define LATENCY_BUCKETS 1000001 /* of a microsecond */

struct options {
	uint16_t port;
	struct in_addr address;
	const char *users_path; /* NULL: none */
	size_t connections, response_bytes, request_bytes;
	double seconds, rate;
	bool browser, close, verify, idle;
};

struct user {
	const char *head;
	const char *bodies[BODIES];
};

struct connection {
	int fd; /* -1: to be opened */
	bool busy;
	const struct user *user; /* of -u, or NULL */
	uint64_t due_ns;
	size_t sent;
	char head[HEAD_BYTES]; /* of a response, until it is complete */
	size_t head_length;
	bool in_body;
	size_t body_length, body_received;
	char body[BODY_BYTES]; /* where there is a user */
	struct connection *next_free;
};

struct load {
	struct options options;
	int epoll_fd;
	struct connection *connections, *free_connections;
	size_t under_way;
	struct user *users; /* of -u */
	size_t user_count;
	uint64_t next_user, requests, errors, lost, tagged[TAGS], end_ns;
	char request[HEAD_BYTES];
	size_t request_length, user_offset;
	uint32_t *latencies;
	struct epoll_event events[EVENTS];
};

static char pattern[PATTERN_BYTES], received[RECEIVE_BYTES];

static uint64_t now_ns(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000ULL + (uint64_t)time.tv_nsec;
}

static const char browser_fields[] =
	"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
	"Chrome/126.0.0.0 Safari/537.36\r\n"
	"Accept: "
	"text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n"
	"Accept-Language: en-GB,en;q=0.9,de;q=0.8,zh;q=0.7\r\n"
	"Accept-Encoding: gzip, deflate, br, zstd\r\n"
	"Cache-Control: no-cache\r\nPragma: no-cache\r\n"
	"Sec-Ch-Ua: \"Chromium\";v=\"126\", \"Not)A;Brand\";v=\"24\"\r\n"
	"Sec-Ch-Ua-Mobile: ?0\r\nSec-Ch-Ua-Platform: \"Linux\"\r\n"
	"Sec-Fetch-Dest: document\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Site: same-origin\r\n"
	"Sec-Fetch-User: ?1\r\nUpgrade-Insecure-Requests: 1\r\nDnt: 1\r\n"
	"Referer: http://shop.example.com/catalogue/shoes?colour=red&size=42&page=3\r\n"
	"Cookie: session=0b5cf7ae1d2c4e0f9a8b7c6d5e4f3a2b; theme=dark; consent=necessary; "
	"basket=9f8e7d6c-5b4a-3928-1706-f5e4d3c2b1a0; seen=101.204.305.406.507.608\r\n";

static void write_request(struct load *load)
{
	const struct options *options = &load->options;
	char body[64] = "";

	if (options->request_bytes)
		snprintf(body, sizeof(body), "Content-Length: %zu\r\n", options->request_bytes);
	load->request_length =
		(size_t)snprintf(load->request, sizeof(load->request),
				 "%s /%zu HTTP/1.1\r\nHost: shop.example.com\r\n%sx-user-id: "
				 "user-000000\r\n%s%s%s\r\n",
				 options->request_bytes ? "POST" : "GET", options->response_bytes,
				 options->browser ? browser_fields : "Accept: */*\r\n", body,
				 options->close ? "Connection: close\r\n" : "",
				 options->verify ? "X-Verify: 1\r\n" : "");
	load->user_offset = (size_t)(strstr(load->request, "user-000000") + 5 - load->request);
}

static void set_user(struct load *load, struct connection *connection)
{
	uint64_t number = load->next_user++;

	if (load->users) {
		connection->user = &load->users[number % load->user_count];
		return;
	}
	number %= USERS;
	for (size_t i = 6; i-- > 0; number /= 10)
		load->request[load->user_offset + i] = (char)('0' + number % 10);
}

static void release(struct load *load, struct connection *connection)
{
	connection->busy = false;
	connection->next_free = load->free_connections;
	load->free_connections = connection;
	load->under_way--;
}

static void drop(struct connection *connection)
{
	if (connection->fd >= 0)
		close(connection->fd);
	connection->fd = -1;
}

static void fail(struct load *load, struct connection *connection)
{
	load->errors++;
	drop(connection);
	if (connection->busy)
		release(load, connection);
}

static int open_connection(struct load *load, struct connection *connection)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons(load->options.port),
		.sin_addr = load->options.address,
	};
	struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = connection};
	int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);

	/* On the same machine a blocking connect is done at once. */
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address))) {
		if (fd >= 0)
			close(fd);
		return -1;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	connection->fd = fd;
	return epoll_ctl(load->epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

/* What is left of the request; the head goes in one piece. */
static void send_request(struct load *load, struct connection *connection)
{
	const char *head = connection->user ? connection->user->head : load->request;
	size_t head_length = connection->user ? strlen(head) : load->request_length;
	size_t total = head_length + load->options.request_bytes;

	while (connection->sent < total) {
		struct iovec pieces[2];
		struct msghdr message = {.msg_iov = pieces};
		size_t of_body = connection->sent ? connection->sent - head_length : 0;

		if (connection->sent == 0)
			pieces[message.msg_iovlen++] = (struct iovec){(char *)head, head_length};
		if (load->options.request_bytes)
			pieces[message.msg_iovlen++] = (struct iovec){
				pattern + of_body, load->options.request_bytes - of_body};
		ssize_t length = sendmsg(connection->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (length < 0 && errno == EAGAIN)
			return;
		if (length < 0 || (connection->sent == 0 && (size_t)length < head_length)) {
			fail(load, connection);
			return;
		}
		connection->sent += (size_t)length;
	}
}

static void start_request(struct load *load, uint64_t due_ns)
{
	struct connection *connection = load->free_connections;

	load->free_connections = connection->next_free;
	connection->busy = true;
	load->under_way++;
	connection->due_ns = due_ns;
	connection->sent = connection->head_length = connection->body_received = 0;
	connection->in_body = false;
	if (connection->fd < 0 && open_connection(load, connection)) {
		fail(load, connection);
		return;
	}
	set_user(load, connection);
	send_request(load, connection);
}

static bool find_field(const char *head, const char *name, const char **ret_value)
{
	for (const char *line = strchr(head, '\n'); line; line = strchr(line, '\n')) {
		line++;
		if (strncasecmp(line, name, strlen(name)) != 0)
			continue;
		*ret_value = line + strlen(name);
		return true;
	}
	return false;
}

static bool count_tags(struct load *load, const char *head)
{
	const char *value;

	if (!find_field(head, "x-tags: ", &value))
		return false;
	for (size_t i = 0; i < TAGS && value; i++) {
		load->tagged[i] += *value != '-';
		value = strchr(value, ',');
		value += value != NULL;
	}
	return true;
}

/* connection->head is complete, and ends in NUL. */
static bool check_head(struct load *load, struct connection *connection)
{
	const char *value;

	if (strncmp(connection->head, "HTTP/1.1 200", 12) != 0 ||
	    !find_field(connection->head, "content-length: ", &value))
		return false;
	connection->body_length = strtoul(value, NULL, 10);
	if (connection->user)
		return connection->body_length <= BODY_BYTES;
	return connection->body_length == load->options.response_bytes &&
	       count_tags(load, connection->head);
}

/* A piece of the body, of which no more is left to come. */
static bool check_body(const struct load *load, struct connection *connection, const char *data,
		       size_t length)
{
	if (connection->user)
		memcpy(connection->body + connection->body_received, data, length);
	else if (load->options.verify)
		return memcmp(data, pattern + connection->body_received, length) == 0;
	return true;
}

/* The body is complete. False: none of the user's. */
static bool check_answer(struct load *load, const struct connection *connection)
{
	for (size_t i = 0; connection->user && i < BODIES; i++) {
		const char *body = connection->user->bodies[i];

		if (strlen(body) == connection->body_length &&
		    memcmp(body, connection->body, connection->body_length) == 0) {
			load->lost += i > 0;
			return true;
		}
	}
	return !connection->user;
}

static void note_latency(struct load *load, uint64_t due_ns)
{
	uint64_t microseconds = (now_ns() - due_ns) / 1000;

	load->latencies[microseconds < LATENCY_BUCKETS ? microseconds : LATENCY_BUCKETS - 1]++;
}

static void finish(struct load *load, struct connection *connection)
{
	note_latency(load, connection->due_ns);
	load->requests++;
	if (load->options.close)
		drop(connection);
	release(load, connection);
}

/* The head goes to connection->head; gives how many bytes of data were its. */
static size_t take_head(struct connection *connection, const char *data, size_t length)
{
	size_t before = connection->head_length, room = HEAD_BYTES - 1 - before;
	size_t added = length < room ? length : room;

	memcpy(connection->head + before, data, added);
	const char *end = memmem(connection->head, before + added, "\r\n\r\n", 4);
	if (end) {
		added = (size_t)(end + 4 - connection->head) - before;
		connection->in_body = true;
	}
	connection->head_length += added;
	connection->head[connection->head_length] = 0;
	return added;
}

/* False: this is not what was to come. */
static bool take_response(struct load *load, struct connection *connection, const char *data,
			  size_t length)
{
	if (!connection->busy)
		return false;
	if (!connection->in_body) {
		size_t taken = take_head(connection, data, length);

		data += taken;
		length -= taken;
		if (!connection->in_body)
			return length == 0;
		if (!check_head(load, connection))
			return false;
	}
	size_t left = connection->body_length - connection->body_received;
	if (length > left || !check_body(load, connection, data, length))
		return false;
	connection->body_received += length;
	if (length < left)
		return true;
	if (!check_answer(load, connection))
		return false;
	finish(load, connection);
	return true;
}

static void receive(struct load *load, struct connection *connection)
{
	while (connection->fd >= 0) {
		ssize_t length = recv(connection->fd, received, sizeof(received), MSG_DONTWAIT);

		if (length < 0 && errno == EAGAIN)
			return;
		if (length == 0 && !connection->busy) {
			drop(connection);
		} else if (length <= 0 ||
			   !take_response(load, connection, received, (size_t)length)) {
			fail(load, connection);
		} else if ((size_t)length < sizeof(received)) {
			return; /* emptied; more would be a new edge */
		}
	}
}

/* Starts what is due; gives when the next request is. */
static uint64_t start_due(struct load *load, uint64_t start_ns, uint64_t *started)
{
	const struct options *options = &load->options;
	uint64_t now = now_ns();

	if (now >= load->end_ns)
		return UINT64_MAX;
	if (options->rate == 0) {
		/* Each only once, so that one that fails at once can't hold the loop. */
		for (size_t i = 0; i < options->connections && load->free_connections; i++)
			start_request(load, now_ns());
		return load->end_ns;
	}
	for (;;) {
		uint64_t due = start_ns + (uint64_t)((double)*started * 1e9 / options->rate);

		if (due > now || !load->free_connections)
			return due > now ? due : load->end_ns;
		start_request(load, due);
		++*started;
	}
}

/* Into load->events; gives how many. */
static int wait_events(struct load *load, uint64_t until_ns)
{
	uint64_t now = now_ns(), left = until_ns > now ? until_ns - now : 0;
	struct timespec timeout = {(time_t)(left / 1000000000ULL), (long)(left % 1000000000ULL)};

	return epoll_pwait2(load->epoll_fd, load->events, EVENTS, &timeout, NULL);
}

static void run(struct load *load)
{
	uint64_t start_ns = now_ns(), started = 0;

	load->end_ns = start_ns + (uint64_t)(load->options.seconds * 1e9);
	uint64_t last_ns = load->end_ns + GRACE_NS;
	for (;;) {
		uint64_t next_ns = start_due(load, start_ns, &started);

		if (next_ns == UINT64_MAX && (load->under_way == 0 || now_ns() > last_ns))
			break;
		int count = wait_events(load, next_ns < last_ns ? next_ns : last_ns);
		for (int i = 0; i < count; i++) {
			struct connection *connection = load->events[i].data.ptr;

			if (connection->busy && load->events[i].events & EPOLLOUT)
				send_request(load, connection);
			if (load->events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
				receive(load, connection);
		}
	}
	load->errors += load->under_way;
}

static uint32_t percentile(const struct load *load, double share)
{
	uint64_t wanted = (uint64_t)((double)load->requests * share), seen = 0;

	for (uint32_t i = 0; i < LATENCY_BUCKETS; i++) {
		seen += load->latencies[i];
		if (seen > wanted)
			return i;
	}
	return 0;
}

static void report(const struct load *load, double seconds)
{
	printf("{\"requests\": %lu, \"errors\": %lu, \"lost\": %lu, \"seconds\": %.3f, \"p50_us\": "
	       "%u, "
	       "\"p99_us\": %u, \"tagged\": [%lu, %lu, %lu]}\n",
	       load->requests, load->errors, load->lost, seconds, percentile(load, 0.50),
	       percentile(load, 0.99), load->tagged[0], load->tagged[1], load->tagged[2]);
	fflush(stdout);
}

/* One request on each connection, which then stays. */
static void hold_idle(struct load *load)
{
	char byte;

	while (load->free_connections && load->errors == 0) {
		struct connection *connection = load->free_connections;

		start_request(load, now_ns());
		while (connection->busy) {
			uint64_t until_ns = now_ns() + GRACE_NS;

			if (wait_events(load, until_ns) <= 0)
				fail(load, connection);
			else if (load->events[0].data.ptr == connection)
				receive(load, connection);
		}
		/* Out of the free ones. */
		load->free_connections = connection->next_free;
	}
	report(load, 0);
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
}

/* The file's bytes, which stay until the end; NULL: it can't be read, or is empty. */
static const char *map_file(const char *path, size_t *ret_length)
{
	struct stat status = {0};
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return NULL;
	fstat(fd, &status);
	*ret_length = (size_t)status.st_size;
	void *bytes = mmap(NULL, *ret_length, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	return bytes == MAP_FAILED ? NULL : bytes;
}

/* False: there are none, or the last one is not whole. */
static bool read_users(struct load *load)
{
	size_t length = 0, strings = 0;
	const char *text = map_file(load->options.users_path, &length);

	for (size_t i = 0; text && i < length; i++)
		strings += text[i] == 0;
	load->user_count = strings / (1 + BODIES);
	load->users = calloc(load->user_count + 1, sizeof(*load->users));
	if (load->user_count == 0 || strings % (1 + BODIES) || !load->users)
		return false;
	for (size_t i = 0; i < load->user_count; i++) {
		load->users[i].head = text;
		for (size_t j = 0; j < BODIES; j++) {
			text += strlen(text) + 1;
			load->users[i].bodies[j] = text;
		}
		text += strlen(text) + 1;
	}
	return true;
}

static bool read_options(int argc, char **argv, struct options *options)
{
	int option;

	*options = (struct options){.connections = 64, .seconds = 1, .response_bytes = 2};
	options->address.s_addr = htonl(INADDR_LOOPBACK);
	while ((option = getopt(argc, argv, "a:u:c:s:r:t:b:BCVi")) != -1) {
		switch (option) {
		case 'a':
			if (inet_pton(AF_INET, optarg, &options->address) != 1)
				return false;
			break;
		case 'u':
			options->users_path = optarg;
			break;
		case 'c':
			options->connections = strtoul(optarg, NULL, 10);
			break;
		case 's':
			options->seconds = atof(optarg);
			break;
		case 'r':
			options->rate = atof(optarg);
			break;
		case 't':
			options->response_bytes = strtoul(optarg, NULL, 10);
			break;
		case 'b':
			options->request_bytes = strtoul(optarg, NULL, 10);
			break;
		case 'B':
			options->browser = true;
			break;
		case 'C':
			options->close = true;
			break;
		case 'V':
			options->verify = true;
			break;
		case 'i':
			options->idle = true;
			break;
		default:
			return false;
		}
	}
	if (optind + 1 != argc)
		return false;
	options->port = (uint16_t)atoi(argv[optind]);
	return options->port && options->connections && options->response_bytes <= PATTERN_BYTES &&
	       options->request_bytes <= PATTERN_BYTES;
}

int main(int argc, char **argv)
{
	static struct load load;

	if (!read_options(argc, argv, &load.options)) {
		fprintf(stderr, "usage: load [-c N] [-s S] [-r N] [-t N] [-b N] [-BCVi] "
				"[-a ADDRESS] [-u FILE] PORT\n");
		return 2;
	}
	if (load.options.users_path && !read_users(&load)) {
		fprintf(stderr, "load: no users in %s\n", load.options.users_path);
		return 2;
	}
	prctl(PR_SET_TIMERSLACK, 1UL);
	pattern_fill(pattern);
	write_request(&load);
	load.epoll_fd = epoll_create1(0);
	load.connections = calloc(load.options.connections, sizeof(*load.connections));
	load.latencies = calloc(LATENCY_BUCKETS, sizeof(*load.latencies));
	if (load.epoll_fd < 0 || !load.connections || !load.latencies)
		return 1;
	for (size_t i = 0; i < load.options.connections; i++) {
		load.connections[i].fd = -1;
		load.connections[i].next_free = load.free_connections;
		load.free_connections = &load.connections[i];
	}
	if (load.options.idle) {
		hold_idle(&load);
	} else {
		run(&load);
		report(&load, load.options.seconds);
	}
	return load.errors != 0;
}
