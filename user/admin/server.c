/* SPDX-License-Identifier: GPL-2.0-only */
#include "admin/server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "admin/pages.h"
#include "base/address.h"
#include "base/log.h"

#define ADMIN_MAX_CONNECTIONS 128
/* Of other machines: whatever they hold open, the node's own probes are answered. */
#define ADMIN_MAX_REMOTE_CONNECTIONS 64
#define ADMIN_MAX_CONNECTIONS_PER_ADDRESS 32
#define ADMIN_TIMEOUT_SECONDS 10
/* Of a page at a time, so that sending large ones to many holds up no probe. */
#define ADMIN_SEND_BYTES (64 * 1024)

/* An address, with limits of its own. */
struct admin_door {
	struct admin_server *server;
	struct MHD_Daemon *daemon; /* NULL: there is no such address */
	bool for_monitoring;
	unsigned remote_connections;
};

struct admin_server {
	struct admin_pages *pages;
	struct admin_source source;
	struct admin_door admin, monitoring;
};

/* "ADDRESS:PORT" or "[ADDRESS]:PORT" into a socket address; 0 or -EINVAL. */
static int parse_address(const char *text, struct sockaddr_storage *ret_address,
			 socklen_t *ret_length)
{
	uint8_t address[16];
	uint16_t port;

	if (address_parse_with_port(text, address, &port))
		return -EINVAL;
	*ret_length = socket_address(address, port, ret_address);
	return 0;
}

/*
 * Against DNS rebinding: the Host must be a number (an address of the node) or localhost, never a
 * name that somebody else controls.
 */
static bool host_is_ours(const char *host)
{
	struct span name = span_of(host), port;
	unsigned char number[16];
	char copy[INET6_ADDRSTRLEN];

	if (!host)
		return false;
	if (name.length && name.data[0] == '[') {
		const char *end = memchr(name.data, ']', name.length);
		if (!end)
			return false;
		name = (struct span){name.data + 1, (size_t)(end - name.data) - 1};
	} else {
		span_cut(name, ':', &name, &port);
	}
	if (span_equal_ignore_case(name, span_of("localhost")))
		return true;
	if (name.length >= sizeof(copy))
		return false;
	memcpy(copy, name.data, name.length);
	copy[name.length] = '\0';
	return inet_pton(AF_INET, copy, number) == 1 || inet_pton(AF_INET6, copy, number) == 1;
}

/* Takes over `body`. */
static enum MHD_Result answer(struct MHD_Connection *connection, unsigned status, const char *type,
			      struct buffer *body)
{
	struct MHD_Response *response =
		body->failed ? NULL
			     : MHD_create_response_from_buffer(body->length, body->data,
							       MHD_RESPMEM_MUST_FREE);
	if (!response) {
		buffer_free(body);
		return MHD_NO;
	}
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
	enum MHD_Result queued = MHD_queue_response(connection, status, response);
	MHD_destroy_response(response);
	return queued;
}

static enum MHD_Result answer_text(struct MHD_Connection *connection, unsigned status,
				   const char *text)
{
	struct buffer body = {0};

	buffer_append_text(&body, text);
	return answer(connection, status, "text/plain; charset=utf-8", &body);
}

/* Not from a snapshot: whatever others read, probes are answered. */
static enum MHD_Result answer_ready(const struct admin_server *server,
				    struct MHD_Connection *connection)
{
	struct admin_health health = server->source.health(server->source.context);

	if (health.draining)
		return answer_text(connection, MHD_HTTP_SERVICE_UNAVAILABLE, "draining\n");
	if (health.has_unreadable_source)
		return answer_text(connection, MHD_HTTP_SERVICE_UNAVAILABLE,
				   "not ready: a file of the newest configuration cannot be read "
				   "and was refused: see /status\n");
	/* Serving goes on with the last good configuration: ready, and says so. */
	if (health.last_reload_failed)
		return answer_text(
			connection, MHD_HTTP_OK,
			"ready, but the newest configuration was refused: see /status\n");
	return answer_text(connection, MHD_HTTP_OK, "ready\n");
}

static enum MHD_Result answer_page(struct admin_server *server, struct admin_request *request,
				   enum admin_page page)
{
	request->page = page;
	return admin_pages_wait(server->pages, request) ? MHD_YES : MHD_NO;
}

/* An answer in place of what the path says; NULL: there is no reason for one. */
static const char *refusal(struct MHD_Connection *connection, const char *method,
			   unsigned *ret_status)
{
	if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0) {
		*ret_status = MHD_HTTP_METHOD_NOT_ALLOWED;
		return "reading only\n";
	}
	if (!host_is_ours(MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Host"))) {
		*ret_status = MHD_HTTP_MISDIRECTED_REQUEST;
		return "Host is not this agent\n";
	}
	if (MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Origin")) {
		*ret_status = MHD_HTTP_FORBIDDEN;
		return "not for web pages\n";
	}
	return NULL;
}

static enum MHD_Result answer_path(const struct admin_door *door, struct admin_request *request,
				   const char *path)
{
	struct MHD_Connection *connection = request->connection;
	struct admin_server *server = door->server;

	if (strcmp(path, "/healthz") == 0)
		return answer_text(connection, MHD_HTTP_OK, "alive\n");
	if (strcmp(path, "/readyz") == 0)
		return answer_ready(server, connection);
	if (strcmp(path, "/metrics") == 0)
		return answer_page(server, request, ADMIN_PAGE_METRICS);
	if (door->for_monitoring)
		return answer_text(connection, MHD_HTTP_NOT_FOUND,
				   "here are /metrics, /healthz and /readyz\n");
	if (strcmp(path, "/status") == 0)
		return answer_page(server, request, ADMIN_PAGE_STATUS);
	return answer_text(connection, MHD_HTTP_NOT_FOUND,
			   "here are /metrics, /status, /healthz and /readyz\n");
}

static enum MHD_Result handle(void *context, struct MHD_Connection *connection, const char *path,
			      const char *method, const char *version, const char *upload,
			      size_t *upload_size, void **request_context)
{
	const struct admin_door *door = context;
	struct admin_request *request = *request_context;
	unsigned status;

	(void)version;
	(void)upload;
	if (!request) { /* the head only; the body, if any, follows in further calls */
		request = calloc(1, sizeof(*request));
		*request_context = request;
		if (request)
			request->connection = connection;
		return request ? MHD_YES : MHD_NO;
	}
	if (request->has_waited)
		return admin_pages_answer(request);
	if (*upload_size) {
		*upload_size = 0;
		return MHD_YES;
	}
	const char *reason = refusal(connection, method, &status);
	if (reason)
		return answer_text(connection, status, reason);
	return answer_path(door, request, path);
}

static void end_request(void *context, struct MHD_Connection *connection, void **request_context,
			enum MHD_RequestTerminationCode how)
{
	struct admin_request *request = *request_context;

	(void)context;
	(void)connection;
	(void)how;
	if (!request)
		return;
	admin_pages_end_request(request);
	free(request);
	*request_context = NULL;
}

static bool is_local(const struct sockaddr *peer)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)peer;
	const struct in6_addr *v6 = &((const struct sockaddr_in6 *)peer)->sin6_addr;

	if (peer->sa_family == AF_INET)
		return ntohl(v4->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
	return IN6_IS_ADDR_LOOPBACK(v6) ||
	       (IN6_IS_ADDR_V4MAPPED(v6) && v6->s6_addr[12] == IN_LOOPBACKNET);
}

static enum MHD_Result may_connect(void *context, const struct sockaddr *peer, socklen_t length)
{
	const struct admin_door *door = context;

	(void)length;
	return is_local(peer) || door->remote_connections < ADMIN_MAX_REMOTE_CONNECTIONS ? MHD_YES
											 : MHD_NO;
}

static void note_connection(void *context, struct MHD_Connection *connection,
			    void **connection_context, enum MHD_ConnectionNotificationCode event)
{
	struct admin_door *door = context;
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);

	(void)connection_context;
	if (!info || is_local(info->client_addr))
		return;
	if (event == MHD_CONNECTION_NOTIFY_STARTED)
		door->remote_connections++;
	else
		door->remote_connections--;
}

/* Our own socket: the library's would share the port with a second agent (SO_REUSEPORT). */
static int open_socket(const char *text)
{
	struct sockaddr_storage address = {0};
	socklen_t length;
	int yes = 1, send_bytes = ADMIN_SEND_BYTES;
	int error = parse_address(text, &address, &length);

	if (error)
		return error;
	int fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
	/* Accepted sockets inherit it. */
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &send_bytes, sizeof(send_bytes));
	if (bind(fd, (struct sockaddr *)&address, length) || listen(fd, ADMIN_MAX_CONNECTIONS)) {
		error = -errno;
		close(fd);
		return error;
	}
	return fd;
}

/* Takes the listening socket over. */
static int start_daemon(struct admin_door *door, int fd)
{
	/* Not select(2), which knows no descriptor above 1023: the proxy has more. */
	door->daemon = MHD_start_daemon(
		MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME, 0, may_connect, door,
		handle, door, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT,
		ADMIN_MAX_CONNECTIONS, MHD_OPTION_PER_IP_CONNECTION_LIMIT,
		ADMIN_MAX_CONNECTIONS_PER_ADDRESS, MHD_OPTION_NOTIFY_CONNECTION, note_connection,
		door, MHD_OPTION_NOTIFY_COMPLETED, end_request, door, MHD_OPTION_CONNECTION_TIMEOUT,
		ADMIN_TIMEOUT_SECONDS, MHD_OPTION_END);
	if (door->daemon)
		return 0;
	close(fd);
	return -EIO;
}

static bool is_loopback(const char *text)
{
	struct sockaddr_storage address = {0};
	socklen_t length;

	return parse_address(text, &address, &length) == 0 &&
	       is_local((const struct sockaddr *)&address);
}

static void log_open_admin(const char *address)
{
	log_warning("admin address is open to the network", log_text("address", address),
		    log_text("shows",
			     "routes, versions, users per lane and errors to all who reach it"),
		    log_text("advice", "--monitoring for others, --admin on a loopback address"));
}

/* "": none. */
static int open_door(struct admin_server *server, struct admin_door *door, const char *address)
{
	if (!address[0])
		return 0;
	door->server = server;
	int fd = open_socket(address);
	int error = fd < 0 ? fd : start_daemon(door, fd);
	if (error)
		log_error(door->for_monitoring ? "monitoring address not opened"
					       : "admin address not opened",
			  log_text("address", address), log_errno(error));
	else if (!door->for_monitoring && !is_loopback(address))
		log_open_admin(address);
	return error;
}

static void close_door(struct admin_door *door)
{
	if (door->daemon)
		MHD_stop_daemon(door->daemon);
}

int admin_server_start(const struct admin_addresses *addresses, const struct admin_source *source,
		       struct admin_server **ret_server)
{
	struct admin_server *server = calloc(1, sizeof(*server));

	if (!server)
		return -ENOMEM;
	server->source = *source;
	server->monitoring.for_monitoring = true;
	int error = admin_pages_start(source->snapshot, source->context, &server->pages);
	if (error) {
		log_error("admin pages not started", log_errno(error));
		free(server);
		return error;
	}
	error = open_door(server, &server->admin, addresses->admin);
	if (error == 0)
		error = open_door(server, &server->monitoring, addresses->monitoring);
	if (error)
		admin_server_stop(server);
	else
		*ret_server = server;
	return error;
}

void admin_server_stop(struct admin_server *server)
{
	if (!server)
		return;
	/* First: the library wants no connection that waits. */
	admin_pages_stop(server->pages);
	close_door(&server->admin);
	close_door(&server->monitoring);
	admin_pages_free(server->pages);
	free(server);
}
