/* SPDX-License-Identifier: GPL-2.0-only */
#include "proxy/http1/client.h"

bool http1_client_keep(struct http1_client *client, const struct span *bytes)
{
	if (bytes->length)
		buffer_append_span(&client->input, *bytes);
	return !client->input.failed;
}

void http1_client_drop(struct http1_client *client)
{
	buffer_free(&client->input);
	client->input_start = 0;
}
