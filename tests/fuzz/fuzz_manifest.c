/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * `make fuzz`: manifests, and what requests meet that they are in force for, under libFuzzer, from
 * the inputs in tests/fuzz/corpus/manifest and with the words of manifest.dict.
 */
#include "fuzz/manifest_properties.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	check_manifest((const char *)data, size);
	return 0;
}
