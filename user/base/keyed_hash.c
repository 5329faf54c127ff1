/* SPDX-License-Identifier: GPL-2.0-only */
#include "base/keyed_hash.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

_Static_assert(KEYED_HASH_KEY_BYTES == crypto_shorthash_KEYBYTES, "libsodium's key");
_Static_assert(sizeof(uint64_t) == crypto_shorthash_BYTES, "libsodium's hash");

int keyed_hash_make_key(struct keyed_hash_key *ret_key)
{
	/* So few bytes come at once, or not at all. */
	ssize_t length = getrandom(ret_key->bytes, sizeof(ret_key->bytes), 0);

	return length < 0 ? -errno : 0;
}

/* How many bytes, at most `size`; or -1. */
static ssize_t read_all(int fd, unsigned char *bytes, size_t size)
{
	size_t length = 0;
	ssize_t got;

	while (length < size && (got = read(fd, bytes + length, size - length)) != 0) {
		if (got < 0 && errno != EINTR)
			return -1;
		length += got > 0 ? (size_t)got : 0;
	}
	return (ssize_t)length;
}

/* A file that is not regular may give no end of bytes, or none for ever. */
static const char *read_file(const char *path, unsigned char *bytes, size_t size,
			     ssize_t *ret_length)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat status;
	const char *why = NULL;

	if (fd < 0)
		return strerror(errno);
	if (fstat(fd, &status) || !S_ISREG(status.st_mode))
		why = "is no regular file";
	else if ((*ret_length = read_all(fd, bytes, size)) < 0)
		why = strerror(errno);
	close(fd);
	return why;
}

int keyed_hash_read_key(const char *path, struct keyed_hash_key *ret_key, const char **ret_why)
{
	unsigned char bytes[KEYED_HASH_FILE_MAXIMUM + 1];
	ssize_t length = 0;

	*ret_why = read_file(path, bytes, sizeof(bytes), &length);
	if (!*ret_why && length < KEYED_HASH_FILE_MINIMUM)
		*ret_why = "has fewer than 16 bytes";
	if (!*ret_why && length > KEYED_HASH_FILE_MAXIMUM)
		*ret_why = "has more than 4096 bytes";
	if (!*ret_why && crypto_generichash(ret_key->bytes, sizeof(ret_key->bytes), bytes,
					    (unsigned long long)length, NULL, 0))
		*ret_why = "cannot be hashed";
	sodium_memzero(bytes, sizeof(bytes));
	return *ret_why ? -1 : 0;
}

uint64_t keyed_hash(const struct keyed_hash_key *key, struct span bytes)
{
	unsigned char hash[crypto_shorthash_BYTES];
	uint64_t number = 0;

	crypto_shorthash(hash, (const unsigned char *)bytes.data, bytes.length, key->bytes);
	for (size_t i = sizeof(hash); i-- > 0;)
		number = number << 8 | hash[i];
	return number;
}
