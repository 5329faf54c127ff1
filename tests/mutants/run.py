#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Plants the bugs of a table one at a time in a copy of the tree, builds it, and asks the fitting suites to find each.

    tests/mutants/run.py [--build DIRECTORY] [--jobs N] [--sample N] [--seed N] [--seconds N] [--table FILE] [NAME...]

--sample N takes N of them at random; the seed is printed, and --seed takes the same ones again. NAMEs are parts of names. Prints TAP.
A bug that no suite finds fails; so does one that does not build, and a suite that fails without any bug. A row of the table that no
longer applies ends the run at once, whether it is picked or not. Rows not started after --seconds are skipped.
"""
import argparse
import concurrent.futures
import os
import pathlib
import queue
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time

TREE = pathlib.Path(__file__).resolve().parents[2]
SUITE_SECONDS = 120  # a suite that hangs has found it, too
BUILD_SECONDS = 300
OUT_OF_TIME = "out of time"


class Mutant:
    def __init__(self, line):
        fields = [re.sub(r"\\(.)", lambda match: {"n": "\n", "t": "\t"}.get(match[1], match[1]), field) for field in line.split("\t")]
        self.name, self.file, self.old, self.new, suites = fields
        self.suites = suites.split(",")


def read_table(path):
    lines = path.read_text().splitlines()
    return [Mutant(line) for line in lines if line and not line.startswith("#")]


def fault_of(mutant, tree):
    """Why it can't be planted, or None."""
    path = tree / mutant.file
    count = path.read_text().count(mutant.old) if path.exists() else 0
    if count != 1:
        return f"its text is {count} times in {mutant.file}, not once"
    for suite in mutant.suites:
        if not (tree / "tests" / (suite + (".sh" if suite.startswith("e2e/") else ".c"))).exists():
            return f"there is no tests/{suite}"
    return None


def check_table(mutants):
    """All rows: one that no longer applies is found at once, not when it is picked."""
    faults = [f"{mutant.name}: {fault}" for mutant in mutants if (fault := fault_of(mutant, TREE))]
    if faults:
        print("not ok 1 - every row of the table applies")
        print("#   " + "\n#   ".join(faults))
        sys.exit(1)


class Copy:
    """A tree of its own with what is built already."""

    def __init__(self, place, build):
        self.place = place
        shutil.copytree(TREE, place, symlinks=True, ignore=lambda directory, names: [
            name for name in names if name in (".git", ".cache") or (pathlib.Path(directory) == TREE and name == "build")])
        shutil.copytree(build, place / "build", symlinks=True, ignore=shutil.ignore_patterns("fuzz", "asan", "tsan", "sanitize", "kernels", "distributions", "*.deb"))
        makefile = place / "Makefile"
        status = makefile.stat()
        # A planted bug may leave something unused.
        makefile.write_text(makefile.read_text().replace(" -Werror", ""))
        os.utime(makefile, ns=(status.st_atime_ns, status.st_mtime_ns))

    def make(self, suites):
        targets = set()
        for suite in suites:
            if suite.startswith("e2e/"):
                targets |= {"build/lanetag", "build/tests/apps/mock_app"}
            else:
                targets.add(f"build/tests/{suite}")
        # Without link-time optimisation: only what changed is compiled anew.
        command = ["timeout", "--kill-after=10", str(BUILD_SECONDS), "make", "-s", "-j2", "LTO=-fno-lto", "VERSION=mutant", *sorted(targets)]
        return subprocess.run(command, cwd=self.place, capture_output=True, text=True, env=environment())

    def passes(self, suite):
        program = f"tests/{suite}.sh" if suite.startswith("e2e/") else f"build/tests/{suite}"
        env = environment() | {"LANETAG_TEST_TIMEOUT": str(SUITE_SECONDS), "LANETAG_BUILD": "build"}
        return subprocess.run(["tests/run.sh", program], cwd=self.place, capture_output=True, env=env).returncode == 0

    def plant(self, mutant):
        """Gives the file's former text."""
        path = self.place / mutant.file
        text = path.read_text()
        path.write_text(text.replace(mutant.old, mutant.new))
        return text

    def restore(self, mutant, text):
        (self.place / mutant.file).write_text(text)


def environment():
    return {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}


def try_mutant(copy, mutant):
    """None if it was found, or what is wrong."""
    text = copy.plant(mutant)
    try:
        built = copy.make(mutant.suites)
        if built.returncode == 124:
            return "its build took too long"
        if built.returncode:
            return "it does not build: " + built.stderr.strip()[-300:]
        if not all(copy.passes(suite) for suite in mutant.suites):
            return None
        return "it survived " + ", ".join(mutant.suites)
    finally:
        copy.restore(mutant, text)


def check_suites(copy, mutants):
    suites = sorted({suite for mutant in mutants for suite in mutant.suites})
    built = copy.make(suites)
    if built.returncode:
        return ["the tree does not build: " + built.stderr[-500:]]
    return [f"{suite} fails without any bug" for suite in suites if not copy.passes(suite)]


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=pathlib.Path, default=TREE / "build")
    parser.add_argument("--jobs", type=int, default=max(1, (os.cpu_count() or 1) // 2))
    parser.add_argument("--sample", type=int)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--seconds", type=int, default=7200)
    parser.add_argument("--table", type=pathlib.Path, default=TREE / "tests/mutants/table.tsv")
    parser.add_argument("names", nargs="*")
    return parser.parse_args()


def select(mutants, arguments):
    if arguments.names:
        mutants = [mutant for mutant in mutants if any(name in mutant.name for name in arguments.names)]
    if arguments.sample:
        print(f"# seed {arguments.seed}", flush=True)
        mutants = random.Random(arguments.seed).sample(mutants, min(arguments.sample, len(mutants)))
    if not mutants:
        sys.exit("no such bug in the table")
    return mutants


def make_copies(place, mutants, arguments):
    copies = queue.Queue()
    first = Copy(place / "0", arguments.build)
    faults = check_suites(first, mutants)
    if faults:
        print("not ok 1 - the suites are good without any bug")
        print("#   " + "\n".join(faults).replace("\n", "\n#   "))
        sys.exit(1)
    copies.put(first)
    for i in range(1, arguments.jobs):
        copies.put(Copy(place / str(i), first.place / "build"))
    return copies


def run_all(mutants, copies, arguments, deadline):
    """How many were tried, and how many of them found."""

    def work(mutant):
        if time.monotonic() > deadline:
            return OUT_OF_TIME
        copy = copies.get()
        try:
            return try_mutant(copy, mutant)
        finally:
            copies.put(copy)

    tried = found = 0
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        for number, (mutant, fault) in enumerate(zip(mutants, pool.map(work, mutants)), 1):
            claim = f"{number} - {mutant.name} ({mutant.file}) is caught"
            if fault == OUT_OF_TIME:
                print(f"ok {claim} # SKIP {fault}", flush=True)
                continue
            tried += 1
            found += not fault
            print(f"{'not ok' if fault else 'ok'} {claim}", flush=True)
            if fault:
                print("#   " + fault.replace("\n", "\n#   "), flush=True)
    return tried, found


def main():
    arguments = parse_arguments()
    table = read_table(arguments.table)
    check_table(table)
    mutants = select(table, arguments)
    deadline = time.monotonic() + arguments.seconds
    with tempfile.TemporaryDirectory(prefix="lanetag-mutants-") as place:
        copies = make_copies(pathlib.Path(place), mutants, arguments)
        tried, found = run_all(mutants, copies, arguments, deadline)
    print(f"# bugs planted: {tried} of {len(mutants)}; caught: {found}; survived or not built: {tried - found}")
    sys.exit(tried == 0 or found < tried)


if __name__ == "__main__":
    main()
