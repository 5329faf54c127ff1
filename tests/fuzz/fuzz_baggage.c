/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * `make fuzz`: a client's baggage under libFuzzer, each line a field, from the inputs in
 * tests/fuzz/corpus/baggage.
 */
#include <unistd.h>

#include "fuzz/baggage_properties.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct baggage_run run;
	struct span rest = {(const char *)data, size}, values[8];
	size_t count = 0;

	if (!run.configuration) {
		char path[] = "/tmp/lanetag-baggage-XXXXXX.yaml";
		int fd = mkstemps(path, 5);

		REQUIRE(fd >= 0);
		close(fd);
		REQUIRE(baggage_run_start(&run, path));
		unlink(path);
	}
	while (rest.length && count < 8)
		span_cut(rest, '\n', &values[count++], &rest);
	check_baggage(&run, values, count);
	return 0;
}
