/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Each path is watched at three places: the directories above it (the path itself, or one of them,
 * may be replaced or be a link that is swapped), the path if it is a directory, and the directory
 * that it really leads to. Watches hang on inodes, so they are laid anew after every change.
 *
 * Of a directory above only the path's next step counts: what else is written there (/etc, a log
 * directory) is nothing to reload for. Names with a leading dot hold no manifests, but those with
 * two are the links of a mounted ConfigMap.
 */
#include "config/watch.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/array.h"

/* Not IN_MODIFY: a file that is being written is read when it is closed. */
#define WATCHED_EVENTS                                                                           \
	(IN_CLOSE_WRITE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE | IN_CREATE | IN_DELETE_SELF | \
	 IN_MOVE_SELF | IN_ATTRIB)

/* What counts of the events of one inotify watch; a directory may have several. */
struct interest {
	int descriptor;
	char *name; /* the only one that counts; NULL: all do */
};

struct watch {
	int inotify;
	char **paths;
	size_t path_count;
	struct interest *interests;
	size_t interest_count;
};

static void forget_interests(struct watch *watch)
{
	for (size_t i = 0; i < watch->interest_count; i++)
		free(watch->interests[i].name);
	free(watch->interests);
	watch->interests = NULL;
	watch->interest_count = 0;
}

static void watch_directory(struct watch *watch, const char *directory, const char *name)
{
	int descriptor = inotify_add_watch(watch->inotify, directory, WATCHED_EVENTS | IN_ONLYDIR);
	struct interest *interest =
		descriptor < 0 ? NULL : ARRAY_APPEND(watch->interests, watch->interest_count);

	/* Short of memory for the name, every name counts: a reload too many is no harm. */
	if (interest)
		*interest = (struct interest){descriptor, name ? strdup(name) : NULL};
}

/*
 * Each directory on the way, for the next step. From the root on: what is made meanwhile is told by
 * the directory above.
 */
static void watch_way_to(struct watch *watch, const char *path)
{
	char directory[PATH_MAX] = ".", name[NAME_MAX + 1];

	for (const char *step = path; *step && strlen(path) < PATH_MAX;) {
		size_t length = strcspn(step, "/");

		if (length > NAME_MAX)
			return;
		if (step > path)
			snprintf(directory, sizeof(directory), "%.*s", (int)(step - path), path);
		snprintf(name, sizeof(name), "%.*s", (int)length, step);
		if (length)
			watch_directory(watch, directory, name);
		step += length;
		step += strspn(step, "/");
	}
}

static void lay_watches(struct watch *watch)
{
	char real[PATH_MAX];

	forget_interests(watch);
	for (size_t i = 0; i < watch->path_count; i++) {
		watch_way_to(watch, watch->paths[i]);
		watch_directory(watch, watch->paths[i], NULL);
		if (realpath(watch->paths[i], real)) {
			watch_way_to(watch, real);
			watch_directory(watch, real, NULL);
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
	forget_interests(watch);
	if (watch->inotify >= 0)
		close(watch->inotify);
	free(watch);
}

int watch_fd(const struct watch *watch)
{
	return watch->inotify;
}

static bool counts(const struct watch *watch, const struct inotify_event *event)
{
	const char *name = event->len ? event->name : "";

	/* IN_IGNORED follows a watch that went: nothing changed by itself. */
	if (event->mask & IN_IGNORED)
		return false;
	if (event->mask & IN_Q_OVERFLOW || !name[0])
		return true;
	if (name[0] == '.')
		return name[1] == '.';
	for (size_t i = 0; i < watch->interest_count; i++) {
		const struct interest *interest = &watch->interests[i];

		if (interest->descriptor == event->wd &&
		    (!interest->name || strcmp(interest->name, name) == 0))
			return true;
	}
	return false;
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
			changed = changed || counts(watch, event);
		}
	}
	if (changed)
		lay_watches(watch);
	return changed;
}
