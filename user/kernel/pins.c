/* SPDX-License-Identifier: GPL-2.0-only */
#include "kernel/pins.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include "base/array.h"
#include "base/buffer.h"
#include "base/log.h"
#include "kernel/obstacles.h"

#define HALF_MADE_SUFFIX "-pinning"

/* The process that holds the flock on this directory, from /proc/locks; 0 if that does not tell. */
static int lock_holder(int directory)
{
	struct stat status;
	char line[256], wanted[64];
	int holder = 0;
	FILE *locks;

	if (fstat(directory, &status) < 0 || (locks = fopen("/proc/locks", "re")) == NULL)
		return 0;
	snprintf(wanted, sizeof(wanted), "%02x:%02x:%lu", major(status.st_dev),
		 minor(status.st_dev), (unsigned long)status.st_ino);
	while (fgets(line, sizeof(line), locks)) {
		char kind[16], place[64];
		int pid;

		if (sscanf(line, "%*d: %15s %*s %*s %d %63s", kind, &pid, place) == 3 &&
		    strcmp(kind, "FLOCK") == 0 && strcmp(place, wanted) == 0) {
			holder = pid;
			break;
		}
	}
	fclose(locks);
	return holder;
}

/* Another agent that ends may remove the directory between our open and our lock. */
static bool still_there(int directory, const char *path)
{
	struct stat ours, theirs;

	return fstat(directory, &ours) == 0 && stat(path, &theirs) == 0 &&
	       ours.st_ino == theirs.st_ino && ours.st_dev == theirs.st_dev;
}

/* 0 and the locked descriptor; -EAGAIN: the directory went away meanwhile. */
static int lock_directory(const char *path, int *ret_directory)
{
	int error = 0, directory;

	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return -errno;
	directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (directory < 0)
		return errno == ENOENT ? -EAGAIN : -errno;
	if (flock(directory, LOCK_EX | LOCK_NB) < 0) {
		error = errno == EWOULDBLOCK ? -EBUSY : -errno;
		if (error == -EBUSY)
			log_error("pin directory is in use", log_text("path", path),
				  log_number("pid", (uint64_t)lock_holder(directory)));
	} else if (!still_there(directory, path)) {
		error = -EAGAIN;
	}
	if (error) {
		close(directory);
		return error;
	}
	*ret_directory = directory;
	return 0;
}

/* Half-made pins of an agent that was killed. */
static int remove_half_made(const char *name, void *context)
{
	size_t length = strlen(name), suffix = strlen(HALF_MADE_SUFFIX);

	if (length > suffix && strcmp(name + length - suffix, HALF_MADE_SUFFIX) == 0)
		pins_remove(context, name);
	return 0;
}

int pins_open(struct pins *pins, const char *directory)
{
	struct buffer advice = {0};
	int error;

	*pins = (struct pins){.directory = -1};
	if (directory == NULL)
		return 0;
	if (snprintf(pins->path, sizeof(pins->path), "%s", directory) >= (int)sizeof(pins->path))
		error = -ENAMETOOLONG;
	else
		error = obstacles_ensure_bpffs(directory, &advice);
	for (int attempt = 0; error == 0 && attempt < 10; attempt++) {
		error = lock_directory(directory, &pins->directory);
		if (error != -EAGAIN)
			break;
		error = 0;
	}
	if (error == 0 && pins->directory < 0)
		error = -EAGAIN;
	if (error && error != -EBUSY)
		log_error(
			"cannot use the pin directory", log_text("path", directory),
			log_text("error", advice.length ? buffer_text(&advice) : strerror(-error)));
	buffer_free(&advice);
	if (error)
		pins->path[0] = '\0';
	else
		pins_each(pins, "", remove_half_made, pins);
	return error;
}

int pins_look(struct pins *pins, const char *directory)
{
	struct stat status;

	*pins = (struct pins){.directory = -1};
	if (strlen(directory) >= sizeof(pins->path))
		return -ENAMETOOLONG;
	if (stat(directory, &status) < 0)
		return -errno;
	memcpy(pins->path, directory, strlen(directory) + 1);
	return 0;
}

void pins_close(struct pins *pins)
{
	if (pins->directory >= 0)
		close(pins->directory);
	pins->directory = -1;
	pins->path[0] = '\0';
}

void pins_remove_directory(struct pins *pins)
{
	if (pins->path[0] && rmdir(pins->path) < 0 && errno != ENOTEMPTY)
		log_debug("pin directory stays", log_text("path", pins->path), log_errno(-errno));
	pins_close(pins);
}

int pins_path(const struct pins *pins, const char *name, char *ret_path, size_t size)
{
	if (pins->path[0] == '\0')
		return -ENOENT;
	return snprintf(ret_path, size, "%s/%s", pins->path, name) < (int)size ? 0 : -ENAMETOOLONG;
}

static int get_pinned(const struct pins *pins, const char *name, uint32_t flags)
{
	LIBBPF_OPTS(bpf_obj_get_opts, options, .file_flags = flags);
	char path[PATH_MAX];
	int error = pins_path(pins, name, path, sizeof(path));

	if (error)
		return error;
	int fd = bpf_obj_get_opts(path, &options);
	return fd < 0 ? -errno : fd;
}

int pins_get(const struct pins *pins, const char *name)
{
	return get_pinned(pins, name, 0);
}

int pins_get_for_reading(const struct pins *pins, const char *name)
{
	return get_pinned(pins, name, BPF_F_RDONLY);
}

int pins_rename(const struct pins *pins, const char *from, const char *to)
{
	if (pins->path[0] == '\0')
		return 0;
	return renameat(pins->directory, from, pins->directory, to) < 0 ? -errno : 0;
}

int pins_replace(const struct pins *pins, const char *name, int fd)
{
	char fresh[NAME_MAX], path[PATH_MAX];
	int error;

	if (pins->path[0] == '\0')
		return 0;
	if (snprintf(fresh, sizeof(fresh), "%s" HALF_MADE_SUFFIX, name) >= (int)sizeof(fresh))
		return -ENAMETOOLONG;
	error = pins_path(pins, fresh, path, sizeof(path));
	if (error)
		return error;
	pins_remove(pins, fresh);
	if (bpf_obj_pin(fd, path) < 0)
		return -errno;
	error = pins_rename(pins, fresh, name);
	if (error)
		pins_remove(pins, fresh);
	return error;
}

void pins_remove(const struct pins *pins, const char *name)
{
	if (pins->path[0] == '\0')
		return;
	if (unlinkat(pins->directory, name, 0) < 0 && errno != ENOENT)
		log_warning("cannot remove a pin", log_text("path", pins->path),
			    log_text("name", name), log_errno(-errno));
}

static int list_names(const struct pins *pins, const char *prefix, char ***ret_names,
		      size_t *ret_count)
{
	DIR *directory = opendir(pins->path);
	char **names = NULL;
	struct dirent *entry;
	size_t count = 0;

	if (directory == NULL)
		return -errno;
	while ((entry = readdir(directory)) != NULL) {
		if (entry->d_name[0] == '.' || strncmp(entry->d_name, prefix, strlen(prefix)) != 0)
			continue;
		char **name = ARRAY_APPEND(names, count);
		if (name)
			*name = strdup(entry->d_name);
		if (name == NULL || *name == NULL)
			break;
	}
	closedir(directory);
	*ret_names = names;
	*ret_count = count;
	return 0;
}

int pins_each(const struct pins *pins, const char *prefix,
	      int (*visit)(const char *name, void *context), void *context)
{
	char **names = NULL;
	size_t count = 0;
	int error;

	if (pins->path[0] == '\0')
		return 0;
	error = list_names(pins, prefix, &names, &count);
	for (size_t i = 0; i < count; i++) {
		if (error == 0 && names[i])
			error = visit(names[i], context);
		free(names[i]);
	}
	free(names);
	return error;
}

uint64_t pins_network_namespace(void)
{
	struct stat status;

	return stat("/proc/thread-self/ns/net", &status) == 0 ? status.st_ino : 0;
}

uint32_t pins_program_id(int fd)
{
	struct bpf_prog_info info = {0};
	__u32 length = sizeof(info);

	return bpf_obj_get_info_by_fd(fd, &info, &length) == 0 ? info.id : 0;
}
