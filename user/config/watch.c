/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Each path is watched at three places: its parent directory (the path itself may be replaced or be
 * a link that is swapped), the path if it is a directory, and the directory that it really leads
 * to. Watches hang on inodes, so they are laid anew after every change.
 */
#include "config/watch.h"

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

/* Not IN_MODIFY: a file that is being written is read when it is closed. */
#define WATCHED_EVENTS                                                                           \
	(IN_CLOSE_WRITE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE | IN_CREATE | IN_DELETE_SELF | \
	 IN_MOVE_SELF | IN_ATTRIB)

struct watch {
	int inotify;
	char **paths;
	size_t path_count;
};

static void watch_directory(struct watch *watch, const char *directory)
{
	inotify_add_watch(watch->inotify, directory, WATCHED_EVENTS | IN_ONLYDIR);
}

static void watch_directory_of(struct watch *watch, const char *path)
{
	char copy[PATH_MAX];

	if (strlen(path) >= sizeof(copy))
		return;
	strcpy(copy, path);
	watch_directory(watch, dirname(copy));
}

static void lay_watches(struct watch *watch)
{
	char real[PATH_MAX];

	for (size_t i = 0; i < watch->path_count; i++) {
		watch_directory_of(watch, watch->paths[i]);
		watch_directory(watch, watch->paths[i]);
		if (realpath(watch->paths[i], real)) {
			watch_directory_of(watch, real);
			watch_directory(watch, real);
		}
	}
}

int watch_open(const char *const *paths, size_t path_count, struct watch **ret_watch)
{
	struct watch *watch = calloc(1, sizeof(*watch));
	int error = -ENOMEM;

	if (!watch)
		return error;
	watch->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (watch->inotify < 0) {
		error = -errno;
		goto fail;
	}
	watch->paths = calloc(path_count ? path_count : 1, sizeof(*watch->paths));
	if (!watch->paths)
		goto fail;
	for (; watch->path_count < path_count; watch->path_count++) {
		watch->paths[watch->path_count] = strdup(paths[watch->path_count]);
		if (!watch->paths[watch->path_count])
			goto fail;
	}
	lay_watches(watch);
	*ret_watch = watch;
	return 0;
fail:
	watch_close(watch);
	return error;
}

void watch_close(struct watch *watch)
{
	if (!watch)
		return;
	for (size_t i = 0; i < watch->path_count; i++)
		free(watch->paths[i]);
	free(watch->paths);
	if (watch->inotify >= 0)
		close(watch->inotify);
	free(watch);
}

int watch_fd(const struct watch *watch)
{
	return watch->inotify;
}

bool watch_changed(struct watch *watch)
{
	char events[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
	bool changed = false;

	for (;;) {
		ssize_t length = read(watch->inotify, events, sizeof(events));
		if (length <= 0)
			break;
		for (char *at = events; at < events + length;) {
			const struct inotify_event *event = (const struct inotify_event *)at;

			at += sizeof(*event) + event->len;
			/* IN_IGNORED follows a watch that went: nothing changed by itself. */
			if (!(event->mask & IN_IGNORED))
				changed = true;
		}
	}
	if (changed)
		lay_watches(watch);
	return changed;
}
