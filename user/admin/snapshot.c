/* SPDX-License-Identifier: GPL-2.0-only */
#include "admin/snapshot.h"

#include <stdlib.h>

void admin_snapshot_free(struct admin_snapshot *snapshot)
{
	if (!snapshot)
		return;
	configuration_drop(snapshot->configuration);
	rejections_drop(snapshot->rejections);
	free(snapshot->last_reload_error);
	free(snapshot);
}
