/* SPDX-License-Identifier: GPL-2.0-only */
#include "proxy/ports.h"

#include <errno.h>
#include <string.h>

#include "base/address.h"
#include "base/log.h"
#include "base/port_holder.h"
#include "proxy/downstream/interception.h"

static int check(const struct port_holders *holders, const struct mesh_listener *listener)
{
	struct port_holder holder;
	char address[ADDRESS_TEXT_BYTES];

	if (!port_holders_find(holders, listener->address, listener->port, &holder))
		return 0;
	address_print(holder.address, address);
	log_error("another process listens on a port of this agent", log_text("address", address),
		  log_number("port", holder.port), log_number("pid", (uint64_t)holder.pid),
		  log_text("program", holder.pid ? holder.program : "not seen from here"),
		  log_number("uid", holder.uid),
		  log_text("advice", "end it; or give its --control, and --takeover"));
	return -EADDRINUSE;
}

static int check_all(const struct port_holders *holders, const struct proxy_options *options,
		     const struct mesh *mesh, const struct mesh *previous)
{
	struct mesh_listener interceptor;
	int error = 0;

	for (size_t i = 0; error == 0 && i < mesh_listener_count(mesh); i++) {
		const struct mesh_listener *listener = mesh_listener(mesh, i);

		if (!previous || !mesh_find_listener(previous, listener))
			error = check(holders, listener);
	}
	for (int family = 0; error == 0 && !previous && family < LANETAG_FAMILIES; family++) {
		if (interceptor_identity(options, (enum lanetag_address_family)family,
					 &interceptor))
			error = check(holders, &interceptor);
	}
	return error;
}

static bool has_new_listener(const struct mesh *mesh, const struct mesh *previous)
{
	for (size_t i = 0; i < mesh_listener_count(mesh); i++) {
		if (!previous || !mesh_find_listener(previous, mesh_listener(mesh, i)))
			return true;
	}
	return false;
}

int ports_check(const struct proxy_options *options, const struct mesh *mesh,
		const struct mesh *previous)
{
	struct port_holders *holders;

	if (previous && !has_new_listener(mesh, previous))
		return 0;
	int error = port_holders_read(&holders);
	if (error) {
		log_warning("other agents on the same ports are not seen", log_errno(error));
		return 0;
	}
	error = check_all(holders, options, mesh, previous);
	port_holders_free(holders);
	return error;
}
