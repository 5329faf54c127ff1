/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * How cost grows with work, in instructions: the same on every machine, whatever else runs there. A program has a
 * table of curves and gives it to growth_main. Under valgrind each curve is counted at two sizes and the counts are
 * held against what the curve allows; tests/growth/growth.py runs the programs and judges.
 *
 * To add a curve, add a row. To add a program, add tests/growth/growth_NAME.c: test_growth.sh finds it.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <valgrind/callgrind.h>

enum growth_order {
	GROWTH_FLAT,   /* the same count at both sizes, within a tenth */
	GROWTH_LINEAR, /* the count grows as the size at the most */
};

struct growth_curve {
	const char *name; /* what grows, as a claim reads: "cookies of one field" */
	/*
	 * Makes the work of this size, NULL on failure; does it, false on failure: work that fails early costs
	 * little, and proves nothing; and frees it. It is done twice, and the second time is counted.
	 */
	void *(*prepare)(const struct growth_curve *curve, size_t size);
	bool (*run)(void *work);
	void (*release)(void *work);
	const void *shape; /* for prepare */
	size_t small;
	size_t large; /* 0: twice the small one */
	enum growth_order order;
	double at_most;	 /* of the larger count by the smaller one; 0: as the order says */
	double per_unit; /* instructions that each further unit of size may take; 0: any */
};

/* Counts one size, and says so in a line; growth.py finds the count by the order of these lines. */
static inline void growth_count(const struct growth_curve *curve, size_t size)
{
	void *work = curve->prepare(curve, size);
	bool done = work && curve->run(work);

	CALLGRIND_TOGGLE_COLLECT;
	done = done && curve->run(work);
	CALLGRIND_TOGGLE_COLLECT;
	CALLGRIND_DUMP_STATS;
	if (work && curve->release)
		curve->release(work);
	printf("%s\t%s\t%zu\t%g\t%g\t%s\n", curve->name,
	       curve->order == GROWTH_FLAT ? "flat" : "linear", size, curve->at_most,
	       curve->per_unit, done ? "done" : "failed");
}

/* Counts the curves with names that hold argv[1], or all. */
static inline int growth_main(const struct growth_curve *curves, size_t count, int argc,
			      char **argv)
{
	for (size_t i = 0; i < count; i++) {
		const struct growth_curve *curve = &curves[i];

		if (argc > 1 && !strstr(curve->name, argv[1]))
			continue;
		growth_count(curve, curve->small);
		growth_count(curve, curve->large ? curve->large : 2 * curve->small);
	}
	return 0;
}
