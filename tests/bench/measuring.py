# SPDX-License-Identifier: GPL-2.0-only
"""What every party of the benchmark is measured by. A party has load_command(), which is told the load's arguments, and
pids(), the processes of its proxy."""
import json
import os
import re
import subprocess

GRACE_SECONDS = 30


def run_load(party, seconds, arguments):
    command = party.load_command("-s", str(seconds), *arguments)
    done = subprocess.run(command, stdout=subprocess.PIPE, timeout=seconds + GRACE_SECONDS, check=False)
    return json.loads(done.stdout)


def measure(party, seconds, arguments):
    pids = party.pids()
    proxy_before, machine_before = processor_us(pids), machine_busy_us()
    result = run_load(party, seconds, arguments)
    requests = max(result["requests"], 1)
    result["requests_per_second"] = result["requests"] / seconds
    result["proxy_us"] = (processor_us(pids) - proxy_before) / requests
    result["machine_us"] = (machine_busy_us() - machine_before) / requests
    return result


def rotated(names, round_number):
    """Each goes first in turn, so that none always has the same neighbour."""
    start = round_number % len(names)
    return names[start:] + names[:start]


def descendants(pid):
    """The process and all that came from it."""
    pids = [pid]
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as file:
            for child in file.read().split():
                pids += descendants(int(child))
    return pids


def processor_us(pids):
    """Time on a processor of all their threads, from the scheduler: finer than ticks."""
    total = 0
    for pid in pids:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/schedstat", encoding="ascii") as file:
                total += int(file.read().split()[0])
    return total / 1000


def machine_busy_us():
    """Time that all processors together were busy with whatever it was."""
    with open("/proc/stat", encoding="ascii") as file:
        user, nice, system, _, _, interrupts, softirqs = map(int, file.readline().split()[1:8])
    return (user + nice + system + interrupts + softirqs) * 1_000_000 // os.sysconf("SC_CLK_TCK")


def memory(pids):
    """Bytes that are their own (anonymous), and all that is resident, shared libraries' pages included."""
    anonymous = resident = 0
    for pid in pids:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
            fields = dict(re.findall(r"^(\w+):\s+(\d+) kB", file.read(), re.MULTILINE))
        anonymous += int(fields["Anonymous"]) * 1024
        resident += int(fields["Rss"]) * 1024
    return {"anonymous": anonymous, "resident": resident}


def descriptors(pid):
    """What the kernel says of each open file; one may be closed meanwhile."""
    for descriptor in os.listdir(f"/proc/{pid}/fdinfo"):
        try:
            with open(f"/proc/{pid}/fdinfo/{descriptor}", encoding="ascii") as file:
                yield dict(re.findall(r"^(\w+):\s+(\S+)$", file.read(), re.MULTILINE))
        except FileNotFoundError:
            pass


def map_bytes(pids):
    """The kernel's memory for the BPF maps that they hold open."""
    sizes = {fields["map_id"]: int(fields["memlock"]) for pid in pids for fields in descriptors(pid) if "map_id" in fields}
    return sum(sizes.values())
