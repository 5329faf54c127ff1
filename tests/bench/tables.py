# SPDX-License-Identifier: GPL-2.0-only
"""Measurements by their rounds; numbers and tables in markdown."""
import statistics


def by_round(measurements):
    """(workload, party) -> round -> measurement"""
    values = {}
    for each in measurements:
        values.setdefault((each["workload"], each["party"]), {})[each["round"]] = each
    return values


def number(value):
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}"


def ratio(value):
    return f"{value:.2f}"


def spread(values, form=number):
    """The median, and the least and the most."""
    if not values:
        return ""
    between = " to " if min(values) < 0 else "-"
    return f"{form(statistics.median(values))} ({form(min(values))}{between}{form(max(values))})"


def row(cells):
    return "| " + " | ".join(cells) + " |"


def table(head, rows):
    return "\n".join([row(head), row(["---"] * len(head)), *map(row, rows)])
