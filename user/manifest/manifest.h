/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * Files and directories of multi-document YAML to typed manifests. One file per kind under this
 * folder knows its fields; this header is what the rooms above see.
 */
#include "manifest/diagnostics.h"
#include "manifest/resource.h"

struct wasm_plugin_manifest;
struct header_propagation_manifest;
struct gateway_manifest;
struct virtual_service_manifest;
struct destination_rule_manifest;
struct service_manifest;
struct workload_manifest;
struct unenforced;
struct reference_grant_manifest;

/* A kind that is not ours, passed over: counted and named. */
struct passed_over_kind {
	char *api_version;
	char *kind;
	size_t count;
};

/* A file as it was read. */
struct manifest_file {
	char *name;
	char *text; /* NULL: it could not be read */
	size_t length;
};

void manifest_files_free(struct manifest_file *files, size_t count);

/* What kinds are about, as bits. */
enum manifest_subject {
	MANIFEST_TAGS = 1 << 0,	    /* WasmPlugin, ASMHeaderPropagation */
	MANIFEST_GATEWAYS = 1 << 1, /* Gateway, Istio's and the Gateway API's */
	/* VirtualService, DestinationRule; HTTPRoute, ReferenceGrant */
	MANIFEST_ROUTES = 1 << 2,
	MANIFEST_HOSTS = 1 << 3, /* Service, ServiceEntry, Pod, WorkloadEntry */
	MANIFEST_ALL = (1 << 4) - 1,
};

/* A kind that is read; all of it lasts for ever. */
struct manifest_kind {
	const char *group; /* "": the core's */
	const char *kind;
	const char *const *versions; /* NULL at the end; all are the same to us */
	enum manifest_subject subject;
};

/* The kinds by index; false: there is none. */
bool manifest_kind_describe(size_t index, struct manifest_kind *ret_kind);

struct manifest_part;

struct manifest_set {
	struct wasm_plugin_manifest *wasm_plugins;
	size_t wasm_plugin_count;
	struct header_propagation_manifest *header_propagations;
	size_t header_propagation_count;
	struct gateway_manifest *gateways;
	size_t gateway_count;
	struct virtual_service_manifest *virtual_services; /* and HTTPRoutes */
	size_t virtual_service_count;
	struct destination_rule_manifest *destination_rules;
	size_t destination_rule_count;
	struct service_manifest *services; /* Service and the hosts of ServiceEntry */
	size_t service_count;
	struct workload_manifest *workloads; /* Pod, WorkloadEntry (a ServiceEntry has its own) */
	size_t workload_count;
	struct unenforced *unenforced; /* manifest/unenforced.h; counted as passed over, too */
	size_t unenforced_count;
	struct reference_grant_manifest *reference_grants;
	size_t reference_grant_count;
	struct passed_over_kind *passed_over;
	size_t passed_over_count;
	/* They own what the manifests above point to; shared with other sets. */
	struct manifest_part **parts;
	size_t part_count;
	uint32_t *part_slots; /* index in parts + 1, by hash; 0: free */
	size_t part_slot_count;
	struct manifest_file *files; /* owned, as are their texts */
	size_t file_count;
	unsigned subjects; /* that were read */
};

/*
 * Reads every path: a file, or a directory's *.yaml, *.yml and *.json in the order of their names
 * (not below it; names with a leading dot are left out, as kubelet's ..data links are). Errors go
 * into `diagnostics`; what could be read stands in *set (manifest_set_free) all the same, so that
 * later checks find their errors in the same run. Two resources of the same kind, namespace and
 * name are an error that names both places. Kinds of other subjects than those (enum
 * manifest_subject bits) are passed over, whatever stands in them; without MANIFEST_ROUTES no kind
 * of Istio's is missed.
 */
void manifest_set_read(const char *const *paths, size_t path_count, unsigned subjects,
		       struct diagnostics *diagnostics, struct manifest_set *set);
/* The same of files that were read before; their texts are copied. */
void manifest_set_read_files(const struct manifest_file *files, size_t file_count,
			     unsigned subjects, struct diagnostics *diagnostics,
			     struct manifest_set *set);
/* Paths as above, and objects that came from elsewhere: a text each, of which `name` is the place. */
struct manifest_input {
	const char *const *paths;
	size_t path_count;
	const struct manifest_file *objects;
	size_t object_count;
	/*
	 * True: each document is read by itself, and shared with `previous` (which may be NULL) where that has
	 * it in the same place of the same file.
	 */
	bool shares;
	const struct manifest_set *previous;
};

void manifest_set_read_input(const struct manifest_input *input, unsigned subjects,
			     struct diagnostics *diagnostics, struct manifest_set *set);
void manifest_set_free(struct manifest_set *set);
/* Of a set that is a part's own: the manifests and all that they point to. */
void manifest_set_free_manifests(struct manifest_set *set);
/* Leaves the wasm_plugins; the files that their places name are gone. */
void manifest_set_free_all_but_rules(struct manifest_set *set);
