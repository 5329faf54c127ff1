/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * Which clusters an address and port is an endpoint of. Built once per mesh, then only read. A
 * zeroed struct is an empty directory.
 */
#include "mesh/cluster.h"

struct endpoint_place {
	uint32_t cluster;  /* mesh_cluster.index */
	uint32_t endpoint; /* of its endpoints */
	uint32_t next;	   /* place + 1 in the same bucket; 0: none */
};

struct endpoint_directory {
	struct endpoint_place *places;
	uint32_t *buckets;  /* place + 1; 0: none */
	size_t bucket_mask; /* their number, a power of two, minus 1 */
};

/* 0, or -1 when memory is short. */
int endpoint_directory_build(struct endpoint_directory *directory,
			     struct mesh_cluster *const *clusters, size_t count);
void endpoint_directory_free(struct endpoint_directory *directory);
