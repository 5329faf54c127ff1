/* SPDX-License-Identifier: GPL-2.0-only */
#include "manifest/directory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/array.h"
#include "base/span.h"

#define CLOCK_STEP_NS 20000000 /* file systems stamp by a coarse clock: at most 10 ms a step */

bool is_manifest_name(const char *name)
{
	static const char *const suffixes[] = {".yaml", ".yml", ".json"};

	if (name[0] == '.')
		return false;
	for (size_t i = 0; i < ARRAY_LENGTH(suffixes); i++) {
		if (span_ends_with_ignore_case(span_of(name), span_of(suffixes[i])))
			return true;
	}
	return false;
}

static bool holds(int directory, const char *name, const char *suffix)
{
	char path[NAME_MAX + sizeof(MANIFEST_REMOVED_SUFFIX)];
	size_t length = strlen(name), suffix_length = strlen(suffix);

	if (directory < 0 || length + suffix_length >= sizeof(path))
		return false;
	memcpy(path, name, length);
	memcpy(path + length, suffix, suffix_length + 1);
	return faccessat(directory, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static int add_name(struct manifest_directory *directory, const char *name)
{
	char **slot = ARRAY_APPEND(directory->names, directory->count);

	if (!slot)
		return -ENOMEM;
	*slot = strdup(name);
	if (*slot)
		return 0;
	directory->count--;
	return -ENOMEM;
}

/* Of those that stand here; `but`: less what stands there, or goes by it. */
static int add_names(struct manifest_directory *directory, int here, int but)
{
	int fd = openat(here, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), error = 0;
	DIR *stream = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (!stream) {
		error = -errno;
		if (fd >= 0)
			close(fd);
		return error;
	}
	while (!error && (entry = readdir(stream))) {
		if (is_manifest_name(entry->d_name) && !holds(but, entry->d_name, "") &&
		    !holds(but, entry->d_name, MANIFEST_REMOVED_SUFFIX))
			error = add_name(directory, entry->d_name);
	}
	closedir(stream);
	return error;
}

static int compare_names(const void *left, const void *right)
{
	return strcmp(*(char *const *)left, *(char *const *)right);
}

/* When something was last decided or put in its place; 0 where commands never worked. */
static struct timespec stamp_of(int directory)
{
	struct stat status;

	if (fstatat(directory, MANIFEST_OWN_DIRECTORY, &status, AT_SYMLINK_NOFOLLOW))
		return (struct timespec){0};
	return status.st_mtim;
}

int manifest_directory_open(const char *path, struct manifest_directory *ret_directory)
{
	struct manifest_directory *directory = ret_directory;

	*directory = (struct manifest_directory){.fd = -1, .pending = -1};
	directory->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (directory->fd < 0)
		return -errno;
	clock_gettime(CLOCK_REALTIME, &directory->opened);
	directory->stamp = stamp_of(directory->fd);
	int own = openat(directory->fd, MANIFEST_OWN_DIRECTORY,
			 O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (own >= 0) {
		directory->pending = openat(own, MANIFEST_PENDING,
					    O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
		close(own);
	}
	int error = add_names(directory, directory->fd, directory->pending);
	if (!error && directory->pending >= 0)
		error = add_names(directory, directory->pending, -1);
	if (directory->count)
		qsort(directory->names, directory->count, sizeof(*directory->names), compare_names);
	return error;
}

void manifest_directory_close(struct manifest_directory *directory)
{
	for (size_t i = 0; i < directory->count; i++)
		free(directory->names[i]);
	free(directory->names);
	if (directory->pending >= 0)
		close(directory->pending);
	if (directory->fd >= 0)
		close(directory->fd);
	*directory = (struct manifest_directory){.fd = -1, .pending = -1};
}

int manifest_directory_open_file(const struct manifest_directory *directory, const char *name,
				 int *ret_holder)
{
	const int flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
	int fd = -1, holder = directory->pending;

	if (holder >= 0)
		fd = openat(holder, name, flags | O_NOFOLLOW);
	/* Gone from there: it is in its place by now. */
	if (holder < 0 || (fd < 0 && errno == ENOENT)) {
		holder = directory->fd;
		fd = openat(holder, name, flags);
	}
	if (ret_holder)
		*ret_holder = holder;
	return fd < 0 ? -errno : fd;
}

bool manifest_directory_changed(const struct manifest_directory *directory)
{
	struct timespec stamp = stamp_of(directory->fd);
	long long since = (directory->opened.tv_sec - stamp.tv_sec) * 1000000000LL +
			  directory->opened.tv_nsec - stamp.tv_nsec;

	if (stamp.tv_sec != directory->stamp.tv_sec || stamp.tv_nsec != directory->stamp.tv_nsec)
		return true;
	return stamp.tv_sec && since >= 0 && since < CLOCK_STEP_NS;
}
