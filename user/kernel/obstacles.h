/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* What keeps this kernel, or this process's rights, from tagging: found by asking, never by
 * version. */
#include "base/buffer.h"

/*
 * Appends the names of the rights that the tagger needs and this process lacks ("CAP_BPF,
 * CAP_PERFMON"). 0, or -EPERM if any is missing.
 */
int obstacles_check_rights(struct buffer *missing);

/* Appends what may explain that the kernel refused a program or a map with `error` (an errno). */
void obstacles_explain(int error, struct buffer *text);

/*
 * 0 if `directory` (or, where it does not exist, its parent) lies on a bpffs; mounts one on
 * /sys/fs/bpf where that is meant and allowed, as bpftool and iproute2 do. Else a negative errno,
 * and `advice` says what to run.
 */
int obstacles_ensure_bpffs(const char *directory, struct buffer *advice);

/*
 * The path of `wanted` (NULL: the root of cgroup v2, wherever it is mounted), or NULL if that is no
 * directory of cgroup v2; `advice` says what to do then.
 */
const char *obstacles_find_cgroup(const char *wanted, struct buffer *advice);
