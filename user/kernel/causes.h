/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* What the kernel knows of the requests that cause pods' calls; the proxy asks where a call bears
 * no tags itself. */
#include "kernel/arrivals.h"
#include "kernel/threads.h"

struct causes {
	const struct tagger *arrivals; /* opened with TAGGER_ARRIVALS; or NULL */
	const struct arrivals_fields *fields;
	const struct threads *threads; /* or NULL */
};
