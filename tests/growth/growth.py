# SPDX-License-Identifier: GPL-2.0-only
"""Counts the instructions of growth curves under valgrind and judges them: growth.h has the programs' side.

  growth.py test  PROGRAM [CURVE]    TAP: a claim per curve
  growth.py table PROGRAM [CURVE]    a table in Markdown
"""
import glob
import os
import re
import subprocess
import sys
import tempfile
import typing

FLAT = 1.1
# Blocks of words and the ends of loops: a count is never in proportion to the byte.
LINEAR_SLACK = 1.05


class Measured(typing.NamedTuple):
    """One size of one curve."""
    name: str
    order: str
    size: int
    at_most: float  # times; 0: as the order says
    per_unit: float  # instructions; 0: any
    done: bool
    instructions: int


def count(program, words):
    with tempfile.TemporaryDirectory() as directory:
        result = subprocess.run(
            ["valgrind", "--tool=callgrind", "--collect-atstart=no", "--quiet",
             f"--callgrind-out-file={directory}/out", program, *words],
            capture_output=True, text=True, timeout=500, check=False)
        if result.returncode:
            raise RuntimeError(f"exit status {result.returncode}: {result.stderr.strip()[-2000:]}")
        totals = {}
        for path in glob.glob(f"{directory}/out.*"):
            with open(path, encoding="utf-8", errors="replace") as file:
                total = re.search(r"^totals: (\d+)", file.read(), re.M)[1]
            totals[int(path.rsplit(".", 1)[1])] = int(total)
    for number, line in enumerate(result.stdout.splitlines(), 1):
        name, order, size, at_most, per_unit, done = line.split("\t")
        yield Measured(name, order, int(size), float(at_most), float(per_unit), done == "done", totals[number])


def curves(program, words):
    """Pairs of the two sizes of each curve."""
    counts = list(count(program, words))
    if not counts:
        raise RuntimeError("no curve was counted")
    return list(zip(counts[::2], counts[1::2]))


class Growth:
    def __init__(self, small, large):
        self.small, self.large = small, large
        self.times = large.instructions / max(small.instructions, 1)
        self.each = (large.instructions - small.instructions) / (large.size - small.size)
        by_order = FLAT if small.order == "flat" else large.size / small.size * LINEAR_SLACK
        self.allowed = small.at_most or by_order

    def holds(self):
        return (self.small.done and self.large.done and self.small.instructions > 0 and self.times <= self.allowed
                and (not self.small.per_unit or self.each <= self.small.per_unit))

    def claim(self):
        cost = "the same cost at any size" if self.small.order == "flat" else "cost in proportion at most"
        return f"{self.small.name}: {cost}"

    def detail(self):
        small, large = self.small, self.large
        if not (small.done and large.done):
            return "the work could not be done"
        return (f"{small.instructions} instructions for {small.size}, {large.instructions} for {large.size}: "
                f"{self.times:.2f} times (allowed: {self.allowed:.2f}), {self.each:.0f} each"
                + (f" (allowed: {small.per_unit:.0f})" if small.per_unit else ""))


def test(program, words):
    try:
        grown = [Growth(small, large) for small, large in curves(program, words)]
    except (RuntimeError, OSError, subprocess.TimeoutExpired) as error:
        print(f"not ok 1 - {os.path.basename(program)} can be counted\n#   {error}")
        return 1
    for number, growth in enumerate(grown, 1):
        print(f"{'ok' if growth.holds() else 'not ok'} {number} - {growth.claim()}")
        if not growth.holds():
            print(f"#   {growth.detail()}")
    return 0 if all(growth.holds() for growth in grown) else 1


def table(program, words):
    print("| what grows | from | to | instructions | | times | each |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for small, large in curves(program, words):
        growth = Growth(small, large)
        print(f"| {small.name} | {small.size:,} | {large.size:,} | {small.instructions:,} | {large.instructions:,} "
              f"| {growth.times:.2f} | {growth.each:.0f} |")
    return 0


sys.exit({"test": test, "table": table}[sys.argv[1]](sys.argv[2], sys.argv[3:]))
