/* SPDX-License-Identifier: GPL-2.0-only */
#include "base/port_holder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/address.h"
#include "base/array.h"

struct listening {
	uint8_t address[16];
	uint16_t port;
	bool only_ipv6; /* an any address that takes no IPv4 */
	uint32_t inode;
	uid_t uid;
};

struct port_holders {
	struct listening *items;
	size_t count;
};

static int ask(int diagnosis, uint8_t family)
{
	const struct {
		struct nlmsghdr header;
		struct inet_diag_req_v2 wanted;
	} question = {
		.header = {.nlmsg_len = sizeof(question),
			   .nlmsg_type = SOCK_DIAG_BY_FAMILY,
			   .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
		.wanted = {.sdiag_family = family,
			   .sdiag_protocol = IPPROTO_TCP,
			   .idiag_states = 1U << TCP_LISTEN},
	};

	return send(diagnosis, &question, sizeof(question), 0) < 0 ? -errno : 0;
}

static bool takes_only_ipv6(const struct inet_diag_msg *message, size_t length)
{
	const struct rtattr *attribute = (const struct rtattr *)(message + 1);
	unsigned left = (unsigned)(length - sizeof(*message));

	for (; RTA_OK(attribute, left); attribute = RTA_NEXT(attribute, left)) {
		if (attribute->rta_type == INET_DIAG_SKV6ONLY && RTA_PAYLOAD(attribute))
			return *(const uint8_t *)RTA_DATA(attribute);
	}
	return false;
}

static int add(struct port_holders *holders, const struct inet_diag_msg *message, size_t length)
{
	struct listening *item = ARRAY_APPEND(holders->items, holders->count);

	if (!item)
		return -ENOMEM;
	*item = (struct listening){.port = ntohs(message->id.idiag_sport),
				   .only_ipv6 = takes_only_ipv6(message, length),
				   .inode = message->idiag_inode,
				   .uid = message->idiag_uid};
	if (message->idiag_family == AF_INET) {
		item->address[10] = item->address[11] = 0xff;
		memcpy(item->address + 12, message->id.idiag_src, 4);
	} else {
		memcpy(item->address, message->id.idiag_src, 16);
	}
	return 0;
}

/* 0: more is to come; 1: that was all; or a negative errno. */
static int take(struct port_holders *holders, const struct nlmsghdr *header, size_t length)
{
	for (; NLMSG_OK(header, length); header = NLMSG_NEXT(header, length)) {
		if (header->nlmsg_type == NLMSG_DONE)
			return 1;
		if (header->nlmsg_type == NLMSG_ERROR) {
			const struct nlmsgerr *error = NLMSG_DATA(header);

			return header->nlmsg_len < NLMSG_LENGTH(sizeof(*error)) || !error->error
				       ? -EPROTO
				       : error->error;
		}
		if (header->nlmsg_len < NLMSG_LENGTH(sizeof(struct inet_diag_msg)))
			return -EPROTO;
		int error = add(holders, NLMSG_DATA(header), header->nlmsg_len - NLMSG_HDRLEN);
		if (error)
			return error;
	}
	return 0;
}

static int dump(int diagnosis, uint8_t family, struct port_holders *holders)
{
	union {
		struct nlmsghdr header;
		char bytes[32768];
	} answer;
	int result = ask(diagnosis, family);

	while (result == 0) {
		ssize_t length = recv(diagnosis, &answer, sizeof(answer), 0);

		if (length > 0)
			result = take(holders, &answer.header, (size_t)length);
		else if (length == 0 || errno != EINTR)
			result = length < 0 ? -errno : -EPROTO;
	}
	return result < 0 ? result : 0;
}

void port_holders_free(struct port_holders *holders)
{
	if (holders)
		free(holders->items);
	free(holders);
}

/* The inode of the socket behind an entry of a /proc/PID/fd; 0: it is none. */
static uint32_t socket_inode(DIR *directory, const struct dirent *entry)
{
	char target[32];
	ssize_t length = readlinkat(dirfd(directory), entry->d_name, target, sizeof(target) - 1);
	unsigned inode = 0;

	if (length < 0)
		return 0;
	target[length] = '\0';
	return sscanf(target, "socket:[%u]", &inode) == 1 ? inode : 0;
}

/* True if the process has the socket, and we may see that. */
static bool has_socket(long pid, uint32_t inode)
{
	char path[32];
	struct dirent *entry;
	bool found = false;

	snprintf(path, sizeof(path), "/proc/%ld/fd", pid);
	DIR *directory = opendir(path);
	while (directory && !found && (entry = readdir(directory)))
		found = socket_inode(directory, entry) == inode;
	if (directory)
		closedir(directory);
	return found;
}

static int compare_inodes(const void *a, const void *b)
{
	const uint32_t *left = a, *right = b;

	return (*left > *right) - (*left < *right);
}

/* Leaves out those that this process has itself. */
static int leave_out_own(struct port_holders *holders)
{
	DIR *directory = opendir("/proc/self/fd");
	uint32_t *own = NULL;
	size_t count = 0, kept = 0;
	struct dirent *entry;

	if (!directory)
		return -errno;
	while ((entry = readdir(directory))) {
		uint32_t inode = socket_inode(directory, entry);
		uint32_t *item = inode ? ARRAY_APPEND(own, count) : NULL;

		if (item)
			*item = inode;
	}
	closedir(directory);
	if (count)
		qsort(own, count, sizeof(own[0]), compare_inodes);
	for (size_t i = 0; i < holders->count; i++) {
		if (!count ||
		    !bsearch(&holders->items[i].inode, own, count, sizeof(own[0]), compare_inodes))
			holders->items[kept++] = holders->items[i];
	}
	holders->count = kept;
	free(own);
	return 0;
}

int port_holders_read(struct port_holders **ret_holders)
{
	struct port_holders *holders = calloc(1, sizeof(*holders));
	int diagnosis = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	int error = diagnosis < 0 ? -errno : holders ? 0 : -ENOMEM;

	if (error == 0)
		error = dump(diagnosis, AF_INET, holders);
	if (error == 0) {
		error = dump(diagnosis, AF_INET6, holders);
		if (error == -ENOENT) /* a kernel without IPv6 */
			error = 0;
	}
	if (error == 0)
		error = leave_out_own(holders);
	if (diagnosis >= 0)
		close(diagnosis);
	if (error)
		port_holders_free(holders);
	else
		*ret_holders = holders;
	return error;
}

static void read_program(pid_t pid, char ret_program[16])
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	FILE *file = fopen(path, "re");
	if (file && fgets(ret_program, 16, file))
		ret_program[strcspn(ret_program, "\n")] = '\0';
	if (file)
		fclose(file);
}

static void find_process(uint32_t inode, struct port_holder *holder)
{
	DIR *processes = opendir("/proc");
	struct dirent *entry;

	while (processes && holder->pid == 0 && (entry = readdir(processes))) {
		long pid = strtol(entry->d_name, NULL, 10);

		if (pid > 0 && has_socket(pid, inode))
			holder->pid = (pid_t)pid;
	}
	if (processes)
		closedir(processes);
	if (holder->pid)
		read_program(holder->pid, holder->program);
}

/* True if connections to the second may come to the first. */
static bool covers(const uint8_t any[16], bool only_ipv6, const uint8_t address[16])
{
	if (!address_is_any(any))
		return false;
	return address_is_ipv4(any)	  ? address_is_ipv4(address)
	       : address_is_ipv4(address) ? !only_ipv6
					  : true;
}

static bool overlap(const struct listening *theirs, const uint8_t ours[16])
{
	return memcmp(theirs->address, ours, 16) == 0 ||
	       covers(theirs->address, theirs->only_ipv6, ours) ||
	       covers(ours, false, theirs->address);
}

bool port_holders_find(const struct port_holders *holders, const uint8_t address[16], uint16_t port,
		       struct port_holder *ret_holder)
{
	for (size_t i = 0; i < holders->count; i++) {
		const struct listening *item = &holders->items[i];

		if (item->port != port || !overlap(item, address))
			continue;
		*ret_holder = (struct port_holder){.port = item->port, .uid = item->uid};
		memcpy(ret_holder->address, item->address, 16);
		find_process(item->inode, ret_holder);
		return true;
	}
	return false;
}
