/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * Other processes that listen where we want to: two agents on one port share its connections
 * (SO_REUSEPORT), so that users change between their rules. sock_diag(7) says which sockets of this
 * network namespace listen; /proc, which process has them.
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct port_holder {
	uint8_t address[16]; /* where it listens */
	uint16_t port;
	uid_t uid;
	pid_t pid;	  /* 0: none that we may see, such as in another container */
	char program[16]; /* as in /proc/PID/comm; "" without a pid */
};

/* The sockets that listen in this network namespace, at one moment. */
struct port_holders;

/* 0 and *ret_holders, or a negative errno where the kernel does not say. */
int port_holders_read(struct port_holders **ret_holders);
void port_holders_free(struct port_holders *holders);

/*
 * True if a process other than this one listens at an address that this one overlaps with; the any
 * address overlaps with all (of IPv4 too).
 */
bool port_holders_find(const struct port_holders *holders, const uint8_t address[16], uint16_t port,
		       struct port_holder *ret_holder);
