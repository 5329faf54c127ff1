/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * What an agent has in force, asked for over its control socket; after a refused reload this is not
 * what its files hold. In lines:
 *
 *     asks   configuration 1              the version of this conversation
 *     agent  manifests GENERATION WHAT    all, or tags: those that it read (lanetag run --no-route)
 *     agent  a byte with a descriptor     of sealed memory
 *
 * The memory holds file after file: "NAME_LENGTH TEXT_LENGTH\n", name, text, as they were read. The
 * agent waits for nobody to read them. All return 0 or a negative errno.
 */
#include "config/configuration.h"

#define IN_FORCE_COMMAND "configuration 1"

struct in_force {
	uint32_t generation;
	bool tags_only;
	struct manifest_file *files; /* in the order in which they were read */
	size_t file_count;
};

/* The agent's end, after the command was read. */
int in_force_tell(int connection, const struct configuration *configuration);

/*
 * Asks the agent that listens at `path`: in_force_free. -ENOENT or -ECONNREFUSED: none does;
 * -EOPNOTSUPP: it does not know the command; -EPROTO: nonsense.
 */
int in_force_ask(const char *path, struct in_force *ret_in_force);
void in_force_free(struct in_force *in_force);

/* Between the two; for tests. The descriptor is the caller's. */
int in_force_write(const struct manifest_set *manifests, int *ret_fd);
int in_force_read(int fd, struct in_force *in_force);
