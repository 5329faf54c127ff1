/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DIRECTORY/LAYOUT/lane_…   the maps; agents of the same layout share them, so that each knows the
 *                           calls that the other's programs redirected
 * DIRECTORY/link-NUMBER     fail-closed: the programs stay attached without an agent
 *
 * Every agent holds a shared lock of its layout's directory: who can have it alone is the last.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/buffer.h"
#include "base/log.h"
#include "kernel/interception_internal.h"
#include "kernel/layout.h"
#include "kernel/obstacles.h"

#define LOCK_TRIES 10

static int make_directory(const char *path)
{
	return mkdir(path, 0700) < 0 && errno != EEXIST ? -errno : 0;
}

/* True if the directory that is open is the one at this path: another agent may remove it. */
static bool still_there(int directory, const char *path)
{
	struct stat open_one, named;

	return fstat(directory, &open_one) == 0 && stat(path, &named) == 0 &&
	       open_one.st_ino == named.st_ino;
}

static int lock_shared(struct interception_pins *pins)
{
	for (int tries = 0; tries < LOCK_TRIES; tries++) {
		int error = make_directory(pins->maps);

		if (error)
			return error;
		int fd = open(pins->maps, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd < 0)
			continue;
		if (flock(fd, LOCK_SH) == 0 && still_there(fd, pins->maps)) {
			pins->lock = fd;
			return 0;
		}
		close(fd);
	}
	return -EBUSY;
}

int interception_pins_open(struct interception_pins *pins, const char *directory, uint64_t layout)
{
	struct buffer advice = {0};
	int error;

	*pins = (struct interception_pins){.lock = -1};
	if (!directory)
		return 0;
	if (snprintf(pins->root, sizeof(pins->root), "%s", directory) >= (int)sizeof(pins->root))
		return -ENAMETOOLONG;
	snprintf(pins->maps, sizeof(pins->maps), "%s/%016" PRIx64, pins->root, layout);
	error = obstacles_ensure_bpffs(directory, &advice);
	if (error == 0)
		error = make_directory(pins->root);
	if (error == 0)
		error = lock_shared(pins);
	if (error)
		log_error("cannot pin the interception's maps", log_text("path", directory),
			  log_errno(error), log_text("advice", buffer_text(&advice)));
	buffer_free(&advice);
	return error;
}

int interception_pins_use(const struct interception_pins *pins, struct bpf_object *object)
{
	struct bpf_map *map;
	int error = 0;

	if (!pins->root[0])
		return 0;
	bpf_object__for_each_map(map, object)
	{
		char path[PATH_MAX];

		if (!layout_is_lasting(map))
			continue;
		snprintf(path, sizeof(path), "%s/%s", pins->maps, bpf_map__name(map));
		error = bpf_map__set_pin_path(map, path);
		if (error)
			return error;
	}
	return 0;
}

static void link_path(const struct interception_pins *pins, size_t number, char path[PATH_MAX])
{
	snprintf(path, PATH_MAX, "%s/link-%zu", pins->root, number);
}

int interception_pins_links(const struct interception_pins *pins, struct bpf_link *const *links,
			    size_t count, bool keep)
{
	if (!pins->root[0])
		return keep ? -ENOENT : 0;
	for (size_t i = 0; i < INTERCEPTION_MAX_LINKS; i++) {
		char path[PATH_MAX];

		link_path(pins, i, path);
		if (unlink(path) < 0 && errno != ENOENT)
			return -errno;
		if (keep && i < count && bpf_obj_pin(bpf_link__fd(links[i]), path) < 0)
			return -errno;
	}
	return 0;
}

static void remove_maps(const struct interception_pins *pins)
{
	DIR *directory = opendir(pins->maps);
	struct dirent *entry;

	while (directory && (entry = readdir(directory))) {
		if (strncmp(entry->d_name, "lane_", 5) == 0)
			unlinkat(dirfd(directory), entry->d_name, 0);
	}
	if (directory)
		closedir(directory);
	rmdir(pins->maps);
	rmdir(pins->root); /* unless another layout's agent is there */
}

void interception_pins_close(struct interception_pins *pins, bool keep)
{
	if (pins->lock < 0)
		return;
	if (!keep && flock(pins->lock, LOCK_EX | LOCK_NB) == 0)
		remove_maps(pins);
	close(pins->lock);
	pins->lock = -1;
}
