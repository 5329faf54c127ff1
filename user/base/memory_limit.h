/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* How much memory this process may take before the kernel ends it. */
#include <stdbool.h>
#include <stdint.h>

/*
 * Bytes: the least of the machine's memory and the limits of the process' memory cgroup and of all
 * above it, in cgroup v2 (memory.max) and v1 (memory.limit_in_bytes). What cannot be read sets no
 * limit. `root`: "" or, for tests, the directory that /proc and /sys/fs/cgroup are looked for in.
 * *ret_in_cgroup says whether a cgroup's limit it is.
 */
uint64_t memory_limit_read(const char *root, bool *ret_in_cgroup);
