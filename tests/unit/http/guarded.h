/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* Bytes that end flush against an unreadable page: reading one too many ends the test. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct guarded {
	char *data;
	void *pages;
	size_t size;
};

static inline struct guarded guarded_copy(const char *bytes, size_t length)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t readable = (length / page + 1) * page;
	struct guarded guarded = {.size = readable + page};

	guarded.pages = mmap(NULL, guarded.size, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (guarded.pages == MAP_FAILED ||
	    mprotect((char *)guarded.pages + readable, page, PROT_NONE) != 0)
		abort();
	guarded.data = (char *)guarded.pages + readable - length;
	memcpy(guarded.data, bytes, length);
	return guarded;
}

static inline void guarded_free(struct guarded *guarded)
{
	munmap(guarded->pages, guarded->size);
}
