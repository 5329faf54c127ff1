/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * The sequence number with which a connection's SYN came: together with the addresses it tells the
 * connection from every other that has, or claims to have, the same ends. tcp(7): TCP_SAVE_SYN.
 */
#include <stddef.h>
#include <stdint.h>

/* Asks a listening socket to keep the SYN of each connection. 0 or a negative errno. */
int saved_syn_request(int listener);

/*
 * Of an accepted connection, once. 0 or a negative errno; -ENODATA: nothing was kept, as under a
 * flood of SYNs that the kernel answers with cookies.
 */
int saved_syn_sequence(int connection, uint32_t *ret_sequence);

/* The same from the headers, as the kernel gives them: from IP on to TCP's end. 0 or -EBADMSG. */
int saved_syn_parse(const uint8_t *headers, size_t length, uint32_t *ret_sequence);
