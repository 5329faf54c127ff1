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

#include "admin/metrics.h"
#include "admin/status.h"
#include "base/address.h"
#include "base/log.h"

#define ADMIN_MAX_CONNECTIONS 128
/* Of other machines: whatever they hold open, the node's own probes are answered. */
#define ADMIN_MAX_REMOTE_CONNECTIONS 64
#define ADMIN_MAX_CONNECTIONS_PER_ADDRESS 32
#define ADMIN_TIMEOUT_SECONDS 10

struct admin_server {
	struct MHD_Daemon *daemon;
	admin_snapshot_function snapshot;
	void *context;
	unsigned remote_connections;
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

static enum MHD_Result answer_ready(struct MHD_Connection *connection,
				    const struct admin_snapshot *snapshot)
{
	if (snapshot->draining)
		return answer_text(connection, MHD_HTTP_SERVICE_UNAVAILABLE, "draining\n");
	/* Serving goes on with the last good configuration: ready, and says so. */
	if (snapshot->last_reload_failed)
		return answer_text(
			connection, MHD_HTTP_OK,
			"ready, but the newest configuration was refused: see /status\n");
	return answer_text(connection, MHD_HTTP_OK, "ready\n");
}

static enum MHD_Result answer_snapshot(struct admin_server *server,
				       struct MHD_Connection *connection, const char *path)
{
	struct admin_snapshot *snapshot = calloc(1, sizeof(*snapshot));
	struct buffer body = {0};
	enum MHD_Result result;

	if (!snapshot)
		return MHD_NO;
	snapshot->with_tables = strcmp(path, "/readyz") != 0;
	server->snapshot(server->context, snapshot);
	if (strcmp(path, "/metrics") == 0) {
		metrics_write(snapshot, &body);
		result = answer(connection, MHD_HTTP_OK, "text/plain; version=0.0.4; charset=utf-8",
				&body);
	} else if (strcmp(path, "/status") == 0) {
		status_write(snapshot, &body);
		result = answer(connection, MHD_HTTP_OK, "application/json", &body);
	} else {
		result = answer_ready(connection, snapshot);
	}
	admin_snapshot_free(snapshot);
	return result;
}

static bool path_is(const char *path, const char *const *names)
{
	for (; *names; names++) {
		if (strcmp(path, *names) == 0)
			return true;
	}
	return false;
}

static enum MHD_Result handle(void *context, struct MHD_Connection *connection, const char *path,
			      const char *method, const char *version, const char *upload,
			      size_t *upload_size, void **request_context)
{
	static const char *const snapshot_paths[] = {"/metrics", "/status", "/readyz", NULL};
	struct admin_server *server = context;

	(void)version;
	(void)upload;
	if (!*request_context) { /* the head only; the body, if any, follows in further calls */
		*request_context = server;
		return MHD_YES;
	}
	if (*upload_size) {
		*upload_size = 0;
		return MHD_YES;
	}
	if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
		return answer_text(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "reading only\n");
	if (!host_is_ours(MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Host")))
		return answer_text(connection, MHD_HTTP_MISDIRECTED_REQUEST,
				   "Host is not this agent\n");
	if (MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Origin"))
		return answer_text(connection, MHD_HTTP_FORBIDDEN, "not for web pages\n");
	if (strcmp(path, "/healthz") == 0)
		return answer_text(connection, MHD_HTTP_OK, "alive\n");
	if (path_is(path, snapshot_paths))
		return answer_snapshot(server, connection, path);
	return answer_text(connection, MHD_HTTP_NOT_FOUND,
			   "here are /metrics, /status, /healthz and /readyz\n");
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
	const struct admin_server *server = context;

	(void)length;
	return is_local(peer) || server->remote_connections < ADMIN_MAX_REMOTE_CONNECTIONS ? MHD_YES
											   : MHD_NO;
}

static void note_connection(void *context, struct MHD_Connection *connection,
			    void **connection_context, enum MHD_ConnectionNotificationCode event)
{
	struct admin_server *server = context;
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);

	(void)connection_context;
	if (!info || is_local(info->client_addr))
		return;
	if (event == MHD_CONNECTION_NOTIFY_STARTED)
		server->remote_connections++;
	else
		server->remote_connections--;
}

/* Our own socket: the library's would share the port with a second agent (SO_REUSEPORT). */
static int open_socket(const char *text)
{
	struct sockaddr_storage address = {0};
	socklen_t length;
	int yes = 1;
	int error = parse_address(text, &address, &length);

	if (error)
		return error;
	int fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
	if (bind(fd, (struct sockaddr *)&address, length) || listen(fd, ADMIN_MAX_CONNECTIONS)) {
		error = -errno;
		close(fd);
		return error;
	}
	return fd;
}

int admin_server_start(const char *address, admin_snapshot_function snapshot, void *context,
		       struct admin_server **ret_server)
{
	struct admin_server *server = calloc(1, sizeof(*server));
	int error = -ENOMEM;

	if (!server)
		goto fail;
	server->snapshot = snapshot;
	server->context = context;
	int fd = open_socket(address);
	if (fd < 0) {
		error = fd;
		goto fail;
	}
	/* Not select(2), which knows no descriptor above 1023: the proxy has more. */
	server->daemon = MHD_start_daemon(
		MHD_USE_EPOLL_INTERNAL_THREAD, 0, may_connect, server, handle, server,
		MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT, ADMIN_MAX_CONNECTIONS,
		MHD_OPTION_PER_IP_CONNECTION_LIMIT, ADMIN_MAX_CONNECTIONS_PER_ADDRESS,
		MHD_OPTION_NOTIFY_CONNECTION, note_connection, server,
		MHD_OPTION_CONNECTION_TIMEOUT, ADMIN_TIMEOUT_SECONDS, MHD_OPTION_END);
	if (!server->daemon) {
		close(fd);
		error = -EIO;
		goto fail;
	}
	*ret_server = server;
	return 0;
fail:
	log_error("admin address not opened", log_text("address", address), log_errno(error));
	free(server);
	return error;
}

void admin_server_stop(struct admin_server *server)
{
	if (!server)
		return;
	MHD_stop_daemon(server->daemon);
	free(server);
}
