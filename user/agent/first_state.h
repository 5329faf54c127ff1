/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* An agent's wait for what it starts with, where that comes from an API server. */
#include "agent/state.h"

/*
 * 0 when each kind was listed, or when the state that an earlier agent saved has to do since the API
 * server did not answer in time; -ECANCELED: a signal ended the wait. Logged.
 */
int first_state_wait(struct agent *agent);
