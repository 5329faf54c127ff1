/* SPDX-License-Identifier: GPL-2.0-only */
#include "config/source.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/log.h"
#include "config/watch.h"

struct manifest_source {
	const char *const *paths;
	size_t path_count;
	int both; /* epoll of the two below */
	struct watch *watch;
	struct kubernetes_client *kubernetes;
};

static int add(const struct manifest_source *source, int fd)
{
	struct epoll_event event = {.events = EPOLLIN};

	return epoll_ctl(source->both, EPOLL_CTL_ADD, fd, &event) ? -errno : 0;
}

static void watch_files(struct manifest_source *source)
{
	int error = watch_open(source->paths, source->path_count, &source->watch);

	if (error == 0)
		error = add(source, watch_fd(source->watch));
	if (error)
		log_warning("manifests are not watched", log_errno(error));
}

int manifest_source_open(const struct manifest_source_options *options,
			 struct manifest_source **ret_source)
{
	struct manifest_source *source = calloc(1, sizeof(*source));
	int error = 0;

	if (!source)
		return -ENOMEM;
	source->paths = options->paths;
	source->path_count = options->path_count;
	source->both = epoll_create1(EPOLL_CLOEXEC);
	if (source->both < 0)
		error = -errno;
	if (error == 0 && source->path_count)
		watch_files(source);
	if (error == 0 && options->kubernetes)
		error = kubernetes_open(options->kubernetes, &source->kubernetes);
	if (error == 0 && source->kubernetes)
		error = add(source, kubernetes_fd(source->kubernetes));
	if (error)
		manifest_source_close(source);
	else
		*ret_source = source;
	return error;
}

void manifest_source_close(struct manifest_source *source)
{
	if (!source)
		return;
	kubernetes_close(source->kubernetes);
	watch_close(source->watch);
	if (source->both >= 0)
		close(source->both);
	free(source);
}

int manifest_source_fd(const struct manifest_source *source)
{
	return source->both;
}

bool manifest_source_changed(struct manifest_source *source)
{
	bool files = source->watch && watch_changed(source->watch);
	bool objects = source->kubernetes && kubernetes_changed(source->kubernetes);

	return files || objects;
}

bool manifest_source_is_ready(struct manifest_source *source)
{
	return !source->kubernetes || kubernetes_is_listed(source->kubernetes);
}

struct kubernetes_client *manifest_source_kubernetes(const struct manifest_source *source)
{
	return source->kubernetes;
}

int manifest_source_read_objects(struct manifest_source *source, struct manifest_file **ret_objects,
				 size_t *ret_count)
{
	*ret_objects = NULL;
	*ret_count = 0;
	return source->kubernetes ? kubernetes_read(source->kubernetes, ret_objects, ret_count) : 0;
}
