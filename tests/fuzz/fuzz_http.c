/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * `make fuzz`: the parsers of user/http under libFuzzer, from the inputs in tests/fuzz/corpus/http.
 */
#include "fuzz/http_properties.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	check_http((const char *)data, size);
	return 0;
}
