/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* What runs somewhere: Pod (v1), WorkloadEntry, and an endpoint that a ServiceEntry lists. */
#include "base/arena.h"
#include "manifest/resource.h"

struct builder;

enum workload_kind { WORKLOAD_POD, WORKLOAD_ENTRY, WORKLOAD_INLINE };

struct workload_port_manifest {
	const char *name;
	uint16_t port;
};

struct workload_manifest {
	struct resource resource; /* its labels are the workload's */
	struct arena arena;
	enum workload_kind kind;
	bool has_address; /* a Pod that is not scheduled yet has none */
	uint8_t address[16];
	bool is_ready;	     /* a Pod's condition Ready; others always are */
	bool shares_address; /* hostNetwork: its address says nothing about who calls */
	/* Pod: the names of its containers' ports. Others: service port name -> own port. */
	const struct workload_port_manifest *ports;
	size_t port_count;
};

int pod_read(const struct node *document, struct diagnostics *diagnostics,
	     struct workload_manifest *ret_manifest);
int workload_entry_read(const struct node *document, struct diagnostics *diagnostics,
			struct workload_manifest *ret_manifest);
/*
 * The fields of a WorkloadEntry's spec or of a ServiceEntry's endpoint: address, ports, labels. The
 * labels come on top of those that the resource has.
 */
void workload_read_endpoint(const struct builder *builder, const struct node *node,
			    const struct path *path, struct workload_manifest *manifest);
/* The port with this name, or 0. */
uint16_t workload_port(const struct workload_manifest *manifest, const char *name);
void workload_free(struct workload_manifest *manifest);
