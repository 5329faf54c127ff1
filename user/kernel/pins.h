/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * The pin directory: what of ours outlives the agent. One agent at a time holds it (flock on the
 * directory itself). Every name in it says what the pin is:
 *
 *   lane_marks …                            a map, under its own name
 *   program, program-new                    the program in force; -new during a take-over
 *   link-NETNS-IFINDEX                      a TCX link
 *   filter-NETNS-IFINDEX-PRIORITY-QDISC     the program of a clsact filter; QDISC is "made" where
 *                                           the qdisc is ours too, else "found"
 *
 * NETNS is the inode of the network namespace. Everything here works unpinned too (path is then
 * empty).
 */
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pins {
	char path[PATH_MAX - NAME_MAX - 2]; /* "": nothing is pinned */
	int directory;			    /* open and locked, or -1 */
};

/*
 * Makes the directory if absent and locks it. `directory` NULL: unpinned. 0, or a negative errno
 * that has been logged: -EBUSY where another agent holds it (the log names its process id).
 */
int pins_open(struct pins *pins, const char *directory);
/*
 * For reading beside the agent that holds the directory: nothing is made and nothing locked. 0,
 * -ENOENT where it is not there, or another negative errno; nothing is logged.
 */
int pins_look(struct pins *pins, const char *directory);
/* Gives the lock back; the pins stay. */
void pins_close(struct pins *pins);
/* Also removes the directory, if nothing is left in it. */
void pins_remove_directory(struct pins *pins);

/* 0 and the path of pin `name`, or -ENAMETOOLONG, or -ENOENT where nothing is pinned. */
int pins_path(const struct pins *pins, const char *name, char *ret_path, size_t size);
/* A new file descriptor of what is pinned there, or a negative errno (-ENOENT: nothing). */
int pins_get(const struct pins *pins, const char *name);
/* The same, but the kernel refuses every write through it. */
int pins_get_for_reading(const struct pins *pins, const char *name);
/* Pins in one step in place of what was there. 0 (also unpinned) or a negative errno. */
int pins_replace(const struct pins *pins, const char *name, int fd);
int pins_rename(const struct pins *pins, const char *from, const char *to);
/* Nothing there is fine. */
void pins_remove(const struct pins *pins, const char *name);

/* Calls for every name that begins with `prefix`, on a copy of the list: the visitor may remove
 * pins. */
int pins_each(const struct pins *pins, const char *prefix,
	      int (*visit)(const char *name, void *context), void *context);

/*
 * The inode of this thread's network namespace, as in the names of links and filters; 0 if unknown.
 */
uint64_t pins_network_namespace(void);

/* The id of the program behind a descriptor; 0 if it is none. */
uint32_t pins_program_id(int fd);
