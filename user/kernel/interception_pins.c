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
#define LAYOUT_DIGITS 16 /* hexadecimal, the name of a layout's directory */

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

/* For itself at first, which tells whether others are there; then as they do. */
static bool lock_with_others(struct interception_pins *pins, int directory)
{
	pins->alone = flock(directory, LOCK_EX | LOCK_NB) == 0;
	return flock(directory, LOCK_SH) == 0 && still_there(directory, pins->maps);
}

/* An agent that ends may remove each of the directories at any moment. */
static int lock_shared(struct interception_pins *pins)
{
	for (int tries = 0; tries < LOCK_TRIES; tries++) {
		int error = make_directory(pins->root), fd = -1;

		if (error == 0)
			error = make_directory(pins->maps);
		if (error == 0) {
			fd = open(pins->maps, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
			error = fd < 0 ? -errno : 0;
		}
		if (error && error != -ENOENT)
			return error;
		if (fd >= 0 && lock_with_others(pins, fd)) {
			pins->lock = fd;
			return 0;
		}
		if (fd >= 0)
			close(fd);
	}
	return -EBUSY;
}

static void remove_maps(const char *path)
{
	DIR *directory = opendir(path);
	struct dirent *entry;

	while (directory && (entry = readdir(directory))) {
		if (strncmp(entry->d_name, "lane_", 5) == 0)
			unlinkat(dirfd(directory), entry->d_name, 0);
	}
	if (directory)
		closedir(directory);
	rmdir(path);
}

/* Calls for the directory of each other layout, until one call gives true. */
static bool each_other_layout(const struct interception_pins *pins,
			      bool (*visit)(const char *path, void *context), void *context)
{
	DIR *root = pins->root[0] ? opendir(pins->root) : NULL;
	const char *own = pins->maps + strlen(pins->root) + 1;
	struct dirent *entry;
	bool found = false;

	while (root && !found && (entry = readdir(root))) {
		char path[PATH_MAX];

		if (strspn(entry->d_name, "0123456789abcdef") != LAYOUT_DIGITS ||
		    strlen(entry->d_name) != LAYOUT_DIGITS || strcmp(entry->d_name, own) == 0)
			continue;
		snprintf(path, sizeof(path), "%s/%s", pins->root, entry->d_name);
		found = visit(path, context);
	}
	if (root)
		closedir(root);
	return found;
}

/* What an agent of another version left when it was killed. */
static bool remove_if_unused(const char *path, void *context)
{
	int directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	(void)context;
	if (directory < 0)
		return false;
	if (flock(directory, LOCK_EX | LOCK_NB) == 0)
		remove_maps(path);
	close(directory);
	return false;
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
		error = lock_shared(pins);
	if (error)
		log_error("cannot pin the interception's maps", log_text("path", directory),
			  log_errno(error), log_text("advice", buffer_text(&advice)));
	else
		each_other_layout(pins, remove_if_unused, NULL);
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

struct question {
	bool (*ask)(int map, void *context);
	void *context;
};

/* Another version's entries are read only if they look as ours do. */
static bool ask_layout(const char *path, void *context)
{
	const struct question *question = context;
	char pin[PATH_MAX + sizeof("/lane_intercepted")];
	struct bpf_map_info info = {0};
	__u32 length = sizeof(info);

	snprintf(pin, sizeof(pin), "%s/lane_intercepted", path);
	int map = bpf_obj_get(pin);
	if (map < 0)
		return false;
	bool found = bpf_obj_get_info_by_fd(map, &info, &length) == 0 &&
		     info.type == BPF_MAP_TYPE_LRU_HASH &&
		     info.key_size == sizeof(struct lanetag_interception_key) &&
		     info.value_size == sizeof(struct lanetag_intercepted) &&
		     question->ask(map, question->context);
	close(map);
	return found;
}

bool interception_pins_ask_others(const struct interception_pins *pins,
				  bool (*ask)(int map, void *context), void *context)
{
	struct question question = {ask, context};

	return each_other_layout(pins, ask_layout, &question);
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

void interception_pins_close(struct interception_pins *pins, bool keep)
{
	if (pins->lock < 0)
		return;
	if (!keep && flock(pins->lock, LOCK_EX | LOCK_NB) == 0) {
		remove_maps(pins->maps);
		rmdir(pins->root); /* unless another layout's agent is there */
	}
	close(pins->lock);
	pins->lock = -1;
}
