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
