# SPDX-License-Identifier: GPL-2.0-only
"""Prints what the test needs of the DaemonSet: daemonset.py capabilities|args"""
import sys

import yaml

with open("deploy/kubernetes/agent/daemonset.yaml", encoding="utf-8") as file:
    POD = yaml.safe_load(file)["spec"]["template"]["spec"]
AGENT = POD["containers"][0]
if sys.argv[1] == "capabilities":
    print(",".join(AGENT["securityContext"]["capabilities"]["add"]))
else:
    print("\n".join(AGENT["args"]))
