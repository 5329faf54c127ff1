/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * Pseudonyms: hashes that say nothing to anyone without the key (SipHash-2-4, by libsodium). Equal
 * bytes have equal hashes; without the key, neither can bytes be found by trying nor a hash be made.
 */
#include <stdint.h>
#include "base/span.h"

#define KEYED_HASH_KEY_BYTES 16
#define KEYED_HASH_FILE_MINIMUM 16 /* bytes of a key's file */
#define KEYED_HASH_FILE_MAXIMUM 4096

struct keyed_hash_key {
	unsigned char bytes[KEYED_HASH_KEY_BYTES];
};

/* A key of the kernel's generator. 0 or a negative errno. */
int keyed_hash_make_key(struct keyed_hash_key *ret_key);

/*
 * The key of a file: every byte of it counts, a line feed at its end too. 0, or -1: *ret_why says
 * in words what is wrong.
 */
int keyed_hash_read_key(const char *path, struct keyed_hash_key *ret_key, const char **ret_why);

uint64_t keyed_hash(const struct keyed_hash_key *key, struct span bytes);
