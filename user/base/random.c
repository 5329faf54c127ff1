/* SPDX-License-Identifier: GPL-2.0-only */
#include "base/random.h"

#include <errno.h>
#include <sys/random.h>

int random_fetch(struct random_numbers *random)
{
	ssize_t length;

	random->left = 0;
	/* More than 256 bytes may be interrupted by a signal, or come in part. */
	do
		length = getrandom(random->numbers, sizeof(random->numbers), 0);
	while (length < 0 && errno == EINTR);
	if (length < 0)
		return -errno;
	random->left = (size_t)length / sizeof(random->numbers[0]);
	return random->left ? 0 : -EIO;
}
