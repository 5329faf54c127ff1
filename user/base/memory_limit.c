/* SPDX-License-Identifier: GPL-2.0-only */
#include "base/memory_limit.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/number.h"
#include "base/span.h"

#define CGROUPS "/sys/fs/cgroup"
#define MAXIMUM_LINE_BYTES 64

/* The number in a file's only line; UINT64_MAX: there is none ("max", or no such file). */
static uint64_t read_limit(const char *path)
{
	char line[MAXIMUM_LINE_BYTES] = "";
	uint64_t limit;
	FILE *file = fopen(path, "re");

	if (!file)
		return UINT64_MAX;
	char *text = fgets(line, sizeof(line), file);
	fclose(file);
	return text && parse_unsigned((struct span){line, strcspn(line, "\n")}, UINT64_MAX,
				      &limit) == 0
		       ? limit
		       : UINT64_MAX;
}

/* The least limit of a cgroup and of those above it. */
static uint64_t least_limit(const char *root, const char *hierarchy, const char *cgroup,
			    const char *file)
{
	char path[PATH_MAX];
	uint64_t least = UINT64_MAX;
	size_t length = strlen(cgroup);

	for (;;) {
		while (length && cgroup[length - 1] == '/')
			length--;
		int written = snprintf(path, sizeof(path), "%s%s%.*s/%s", root, hierarchy,
				       (int)length, cgroup, file);
		uint64_t limit = written < (int)sizeof(path) ? read_limit(path) : UINT64_MAX;
		if (limit < least)
			least = limit;
		if (length == 0)
			return least;
		while (length && cgroup[length - 1] != '/')
			length--;
	}
}

static bool names_memory(const char *controllers)
{
	struct span rest = span_of(controllers), controller;

	while (rest.length) {
		span_cut(rest, ',', &controller, &rest);
		if (span_equal(controller, span_of("memory")))
			return true;
	}
	return false;
}

/* A line of /proc/self/cgroup: "0::/path" of v2, "9:cpu,memory:/path" of v1 (cgroups(7)). */
static uint64_t limit_of_line(const char *root, char *line)
{
	char *controllers = strchr(line, ':');
	char *cgroup = controllers ? strchr(controllers + 1, ':') : NULL;

	if (!cgroup)
		return UINT64_MAX;
	*cgroup++ = '\0';
	cgroup[strcspn(cgroup, "\n")] = '\0';
	if (controllers[1] == '\0')
		return least_limit(root, CGROUPS, cgroup, "memory.max");
	if (names_memory(controllers + 1))
		return least_limit(root, CGROUPS "/memory", cgroup, "memory.limit_in_bytes");
	return UINT64_MAX;
}

static uint64_t limit_of_cgroups(const char *root)
{
	char path[PATH_MAX];
	uint64_t least = UINT64_MAX;
	char *line = NULL;
	size_t size = 0;

	snprintf(path, sizeof(path), "%s/proc/self/cgroup", root);
	FILE *file = fopen(path, "re");
	if (!file)
		return UINT64_MAX;
	while (getline(&line, &size, file) > 0) {
		uint64_t limit = limit_of_line(root, line);

		if (limit < least)
			least = limit;
	}
	free(line);
	fclose(file);
	return least;
}

uint64_t memory_limit_read(const char *root, bool *ret_in_cgroup)
{
	long pages = sysconf(_SC_PHYS_PAGES), page_bytes = sysconf(_SC_PAGESIZE);
	uint64_t machine =
		pages > 0 && page_bytes > 0 ? (uint64_t)pages * (uint64_t)page_bytes : UINT64_MAX;
	uint64_t cgroup = limit_of_cgroups(root);

	/* v1 has no word for "no limit": it is a number above all memory. */
	*ret_in_cgroup = cgroup < machine;
	return *ret_in_cgroup ? cgroup : machine;
}
