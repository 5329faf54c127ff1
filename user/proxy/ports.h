/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * The ports of a configuration are one agent's: with a second one (SO_REUSEPORT) users would change
 * between the rules of the two from one connection to the next.
 */
#include "mesh/mesh.h"
#include "proxy/sharing/options.h"

/*
 * 0, or -EADDRINUSE (logged, with the process) if another process listens where the mesh has a
 * listener that `previous` (or NULL) has not. Where the kernel does not say who listens: 0, with a
 * warning.
 */
int ports_check(const struct proxy_options *options, const struct mesh *mesh,
		const struct mesh *previous);
