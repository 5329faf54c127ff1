/* SPDX-License-Identifier: GPL-2.0-only */
#include "kernel/sockets.h"

#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/address.h"

struct question {
	struct nlmsghdr header;
	struct inet_diag_req_v2 wanted;
};

union answer {
	struct nlmsghdr header;
	char bytes[8192];
};

static void set_address(__be32 words[4], const uint8_t address[16])
{
	if (address_is_ipv4(address))
		memcpy(words, address + 12, 4);
	else
		memcpy(words, address, 16);
}

static struct question question_of(const struct lanetag_connection *connection)
{
	struct question question = {
		.header = {.nlmsg_len = sizeof(question),
			   .nlmsg_type = SOCK_DIAG_BY_FAMILY,
			   .nlmsg_flags = NLM_F_REQUEST},
		.wanted = {.sdiag_family =
				   address_is_ipv4(connection->local_address) ? AF_INET : AF_INET6,
			   .sdiag_protocol = IPPROTO_TCP,
			   .id = {.idiag_sport = htons(connection->local_port),
				  .idiag_dport = htons(connection->remote_port),
				  .idiag_cookie = {INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE}}},
	};

	set_address(question.wanted.id.idiag_src, connection->local_address);
	set_address(question.wanted.id.idiag_dst, connection->remote_address);
	return question;
}

/* The state of the socket that the kernel finds, of enum in tcp.h; 0: none. */
static int find_state(int diagnosis, const struct lanetag_connection *connection)
{
	struct question question = question_of(connection);
	union answer answer;
	ssize_t length;

	if (send(diagnosis, &question, sizeof(question), 0) < 0)
		return -errno;
	length = recv(diagnosis, &answer, sizeof(answer), 0);
	if (length < 0)
		return -errno;
	if (!NLMSG_OK(&answer.header, (size_t)length))
		return -EPROTO;
	if (answer.header.nlmsg_type == NLMSG_ERROR) {
		const struct nlmsgerr *error = NLMSG_DATA(&answer.header);

		if (answer.header.nlmsg_len < NLMSG_LENGTH(sizeof(*error)))
			return -EPROTO;
		return error->error == -ENOENT ? 0 : error->error;
	}
	if (answer.header.nlmsg_len < NLMSG_LENGTH(sizeof(struct inet_diag_msg)))
		return -EPROTO;
	return ((const struct inet_diag_msg *)NLMSG_DATA(&answer.header))->idiag_state;
}

/* fe80::/10: such addresses mean something on one interface alone, which is not known. */
static bool is_link_local(const uint8_t address[16])
{
	return address[0] == 0xfe && (address[1] & 0xc0) == 0x80;
}

int sockets_ask(int diagnosis, const struct lanetag_connection *connection)
{
	int state = is_link_local(connection->local_address) ? -EOPNOTSUPP
							     : find_state(diagnosis, connection);

	if (state < 0)
		return state;
	/* Without a connection the kernel gives the listener, where there is one. */
	return state != 0 && state != TCP_LISTEN && state != TCP_TIME_WAIT && state != TCP_CLOSE;
}

/* "No such socket" is also what a kernel says that lacks the module: it must find one of ours. */
static int find_own(int diagnosis)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct lanetag_connection own = {
		.local_address = {[10] = 0xff, 0xff, 127, 0, 0, 1},
		.remote_address = {[10] = 0xff, 0xff, 127, 0, 0, 1},
	};
	socklen_t length = sizeof(address);
	int error = 0, listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (listener < 0)
		return -errno;
	if (bind(listener, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(listener, 1) < 0 ||
	    getsockname(listener, (struct sockaddr *)&address, &length) < 0)
		error = -errno;
	own.local_port = ntohs(address.sin_port);
	if (error == 0 && find_state(diagnosis, &own) != TCP_LISTEN)
		error = -EOPNOTSUPP;
	close(listener);
	return error;
}

int sockets_open(void)
{
	int diagnosis = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG), error;

	if (diagnosis < 0)
		return -errno;
	error = find_own(diagnosis);
	if (error == 0)
		return diagnosis;
	close(diagnosis);
	return error;
}
