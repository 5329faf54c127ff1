/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* For fuzzers of what takes descriptors: none is left open, and none is closed twice. */
#include <stdlib.h>
#include <unistd.h>

/* The lowest free number: it is the same again once all is closed that was opened since. */
static inline int descriptor_mark(void)
{
	int fd = dup(STDIN_FILENO);

	if (fd < 0)
		abort();
	close(fd);
	return fd;
}
