/* SPDX-License-Identifier: GPL-2.0-only */
#include "kernel/interface_events.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/array.h"

int interface_events_open(void)
{
	static const int groups[] = {RTNLGRP_LINK, RTNLGRP_TC};
	struct sockaddr_nl address = {.nl_family = AF_NETLINK};
	int events = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
	int error = 0;

	if (events < 0)
		return -errno;
	if (bind(events, (struct sockaddr *)&address, sizeof(address)) < 0)
		error = -errno;
	for (size_t i = 0; i < ARRAY_LENGTH(groups) && !error; i++) {
		if (setsockopt(events, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &groups[i],
			       sizeof(groups[i])) < 0)
			error = -errno;
	}
	if (error) {
		close(events);
		return error;
	}
	return events;
}

bool interface_events_drain(int events)
{
	bool any = false;
	char byte;

	/* Bounded: a storm of news leaves the rest to the next poll. */
	for (int i = 0; i < 4096; i++) {
		if (recv(events, &byte, sizeof(byte), MSG_DONTWAIT | MSG_TRUNC) < 0 &&
		    errno != ENOBUFS && errno != EINTR)
			break;
		any = true;
	}
	return any;
}
