/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* `--no-route` and `--listen`, as the commands that know them have them in common. */
#include "mesh/mesh.h"

struct tag_only_arguments {
	struct mesh_tag_only tag_only; /* port 0: --no-route was not given */
	char *host;
	struct mesh_listener *listeners;
};

/* "ADDRESS:PORT" or "HOST:PORT"; 0, or -1 (told to standard error in the command's name). */
int tag_only_parse_next_hop(const char *command, const char *text,
			    struct tag_only_arguments *arguments);
/* "ADDRESS:PORT"; may be called several times. The same. */
int tag_only_parse_listener(const char *command, const char *text,
			    struct tag_only_arguments *arguments);
/* Once all options are read: whether they fit together. The same. */
int tag_only_check(const char *command, const struct tag_only_arguments *arguments);
/* For configuration_load_tag_only; NULL: with routes. */
const struct mesh_tag_only *tag_only_of(const struct tag_only_arguments *arguments);
/* Once no configuration is left that was loaded by them. */
void tag_only_free(struct tag_only_arguments *arguments);
