/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* From changed manifests to a configuration in force, or to the reason why it is not. */
#include "agent/state.h"

/* The first configuration, published but not yet served. 0, or a negative errno; logged. */
int reload_first(struct agent *agent);
/* A burst of changes is reloaded once: sets agent->quiet_due_ns. */
/*
 * Frees replaced configurations that are no longer used, and gives their pages back to the system:
 * here, so that no worker has to. False: there is none left.
 */
bool reload_reclaim(struct agent *agent);
void reload_note_change(struct agent *agent);
/* Reads the manifests and puts them in force; where that fails, all stays, and it is said. */
void reload_now(struct agent *agent);
