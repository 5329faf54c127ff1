/* SPDX-License-Identifier: GPL-2.0-only */
#include "cli/progress.h"

#include <inttypes.h>
#include <unistd.h>

FILE *progress_terminal(void)
{
	return isatty(STDERR_FILENO) ? stderr : NULL;
}

void progress_start(struct progress *progress, const char *command, FILE *stream, uint64_t now_ns)
{
	*progress = (struct progress){
		.command = command,
		.stream = stream,
		.started_ns = now_ns,
		.due_ns = now_ns + PROGRESS_QUIET_NS,
	};
}

void progress_update(struct progress *progress, uint64_t now_ns, uint64_t ids, uint64_t done,
		     uint64_t total)
{
	char share[16] = "", line[128];

	if (!progress->stream || now_ns < progress->due_ns)
		return;
	progress->due_ns = now_ns + PROGRESS_INTERVAL_NS;
	if (total != PROGRESS_UNKNOWN && total > 0)
		snprintf(share, sizeof(share), "%.0f %%, ", 100 * (double)done / (double)total);
	snprintf(line, sizeof(line), "lanetag %s: %s%" PRIu64 " ids, %" PRIu64 " s",
		 progress->command, share, ids, (now_ns - progress->started_ns) / 1000000000);
	/* What stood there may have been longer. */
	int width = fprintf(progress->stream, "\r%-*s", progress->width, line) - 1;
	fflush(progress->stream);
	if (width > progress->width)
		progress->width = width;
}

void progress_wipe(struct progress *progress)
{
	if (progress->width == 0)
		return;
	fprintf(progress->stream, "\r%*s\r", progress->width, "");
	fflush(progress->stream);
	progress->width = 0;
}
