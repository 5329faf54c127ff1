/* SPDX-License-Identifier: GPL-2.0-only */
#include "proxy/worker/scratch.h"

#include <errno.h>
#include <stdlib.h>

int scratch_start(struct scratch *scratch, size_t head_bytes)
{
	scratch->received = malloc(SCRATCH_RECEIVE_BYTES);
	scratch->head = malloc(head_bytes);
	scratch->head_bytes = head_bytes;
	return scratch->received && scratch->head ? 0 : -ENOMEM;
}

void scratch_free(struct scratch *scratch)
{
	buffer_free(&scratch->text);
	buffer_free(&scratch->request.values);
	buffer_free(&scratch->request.path);
	buffer_free(&scratch->request.target);
	free(scratch->received);
	free(scratch->head);
}
