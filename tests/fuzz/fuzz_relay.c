/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * `make fuzz`: scripts of requests, answers, resets and closes around a worker, under libFuzzer.
 */
#include "fuzz/relay_properties.h"

int LLVMFuzzerInitialize(int *count, char ***arguments);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *count, char ***arguments)
{
	(void)count;
	(void)arguments;
	script_start();
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	run_script(data, size);
	return 0;
}
