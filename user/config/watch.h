/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * Tells when the manifests under some paths changed: files written or replaced, and the symlink
 * swap of a mounted ConfigMap (..data). Says "something changed", never what.
 */
#include <stdbool.h>
#include <stddef.h>

struct watch;

/* 0 and *ret_watch, or a negative errno. A path that does not exist yet is watched for. */
int watch_open(const char *const *paths, size_t path_count, struct watch **ret_watch);
void watch_close(struct watch *watch);

/* To poll for EPOLLIN. */
int watch_fd(const struct watch *watch);

/*
 * Reads what is there and follows moved directories and links. True if a manifest may have changed.
 * Never blocks.
 */
bool watch_changed(struct watch *watch);
