# SPDX-License-Identifier: GPL-2.0-only
"""Runs what the documents tell the reader to type, and holds the answers against what stands beside it.

Blocks of `sh` are typed command by command into a shell, one for each document; from `make playground` to `exit` into the
playground's. A block of `text` right behind is the expected answer: there … stands for anything, on a line of its own for
any lines. What can't be run here as it stands is listed in commands.tsv: what is run in its place, and why."""
import csv
import functools
import os
import re
import shutil
import subprocess
import sys
import tempfile

import documents
from shell import Playground, Shell

BUILD = os.environ.get("LANETAG_BUILD", "build")
OWN_COMMANDS = re.findall(r"^  ([a-z]+)  ", subprocess.run([f"{BUILD}/lanetag", "--help"], capture_output=True, text=True,
                                                          check=True).stdout, re.MULTILINE)
LANGUAGES = {"sh", "text", "yaml", "json"}
# What touches nothing but files of the reader's own; all else is listed.
RUN_AS_THEY_ARE = {"(curl", "bpftool", "build/lanetag", "cat", "cp", "curl", "diff", "echo", "exit", "for", "jq", "lanetag", "on_node",
                   "printf", "scripts/apply.sh", "sed"}
NEITHER = "a command that is neither run nor listed in commands.tsv"


def read_list():
    with open("tests/e2e/docs/commands.tsv", encoding="utf-8") as file:
        rows = [row for row in csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE) if row and row[0][:1] != "#"]
    assert all(len(row) == 3 for row in rows), "commands.tsv has three columns"
    return {command: (instead, why) for command, instead, why in rows}


@functools.cache
def succeeds(*arguments):
    return subprocess.run(arguments, capture_output=True, check=False).returncode == 0


def is_whole(command):
    """Bash only warns of a here-document without an end."""
    answer = subprocess.run(["bash", "-n", "-c", command], capture_output=True, check=False)
    return answer.returncode == 0 and not answer.stderr


def commands_of(text):
    """One a line; of several lines where bash wants more."""
    command = []
    for line in text.split("\n"):
        command.append(line)
        whole = "\n".join(command).strip()
        if line.endswith("\\") or not is_whole(whole):
            continue
        command = []
        if whole and not whole.startswith("#"):
            yield re.sub(r"\s+# .*$", "", whole)
    assert not command, "a command without an end: " + "\n".join(command)


def pattern(expected):
    lines = [r"(?:.*\n)*?" if line.strip() == "…" else re.escape(line.rstrip()).replace("…", ".*?") + r"[ \t]*\n"
             for line in expected.rstrip("\n").split("\n")]
    return re.compile("".join(lines))


class Reader:
    """Who reads one document and types what it says. Answers are (what was said, what is wrong)."""

    def __init__(self, listed, used, work):
        self.listed, self.used, self.work = listed, used, work
        self.shell = Shell()
        self.playground = None

    def type(self, command):
        if command == "make playground":
            self.playground = Playground()
            return "", "" if succeeds("make", "-n", "playground") else "make does not know it"
        if command == "exit" and self.playground:
            return self.leave_playground()
        if command in self.listed:
            self.used.add(command)
            command = self.listed[command][0]
            if command == "-":
                return "", ""
        elif command.split()[0] not in RUN_AS_THEY_ARE:
            return "", f"{command}: {NEITHER}"
        command = re.sub(r"(?<![\w./-])build/", f"{BUILD}/", command).replace("/tmp/", f"{self.work}/")
        said, status = (self.playground or self.shell).run(command)
        said = said.replace(f"{self.work}/", "/tmp/")
        return said, "" if status == 0 else f"{command}\nstatus {status}: {said}"

    def leave_playground(self):
        said, status = self.playground.end()
        left = self.playground.remains()
        self.playground = None
        return "", "" if status == 0 and not left else f"status {status}: {said}\nstays behind: {left}"

    def block(self, block, expected):
        said, problems = "", []
        commands = list(commands_of(block.text))
        for command in commands:
            answer, problem = self.type(command)
            said += answer
            problems += [problem] if problem else []
        if expected and not problems and not pattern(expected).fullmatch(said if said.endswith("\n") else said + "\n"):
            problems.append(f"is:\n{said}\nwanted:\n{expected}")
        what = commands[0].split("\n")[0] + (f" (and {len(commands) - 1} more)" if len(commands) > 1 else "")
        return f"{block.path}:{block.line}: {what}{', as it says' if expected else ''}", "\n".join(problems)


def claims_of_blocks(document, listed, used):
    with tempfile.TemporaryDirectory(prefix="lanetag-docs-") as work:
        reader = Reader(listed, used, work)
        for block, behind in zip(document.blocks, document.blocks[1:] + [None]):
            if block.language == "sh":
                answered = behind and behind.language == "text" and behind.next_to_previous
                yield reader.block(block, behind.text if answered else "")
            elif block.language not in LANGUAGES:
                yield f"{block.path}:{block.line}: a block says what it is", f"one of {sorted(LANGUAGES)}"
        reader.shell.end()
        if reader.playground:
            yield f"{document.path}: the playground is left", reader.leave_playground()[1] or "no exit"


def wrong_option(command, words):
    """What --help does not know of these words."""
    answer = subprocess.run([f"{BUILD}/lanetag", command, "--help"], capture_output=True, text=True, check=False)
    if answer.returncode != 0:
        return f"lanetag has no command {command}"
    options = [word.split("=")[0].strip("[]") for word in words if re.match(r"\[?--?[a-z]", word)]
    unknown = [option for option in options if not re.search(rf"(?<![\w-]){option}(?![\w-])", answer.stdout)]
    return f"lanetag {command} has no option {unknown[0]}" if unknown else ""


def wrong_span(span, listed, used):
    """What is wrong with a command or a path in the text."""
    words = span.split()
    if span in listed:
        used.add(span)
        instead = listed[span][0]
        return "" if instead == "-" or succeeds("bash", "-c", instead) else f"{instead}: fails"
    if words[0] in ("lanetag", "build/lanetag") and len(words) > 1:
        return "" if words[1].isupper() or words[1].startswith("-") else wrong_option(words[1], words[2:])
    if len(words) > 1 and words[0] in OWN_COMMANDS:
        return wrong_option(words[0], words[1:])
    if words[0] == "make":
        return "" if len(words) == 1 or succeeds("make", "-n", words[1]) else "make does not know it"
    if re.fullmatch(r"(build|bpf|deploy|docs|examples|include|scripts|tests|user)/[a-z0-9_./-]+", words[0]):
        made_later = words[0].startswith("build/") and len(words) == 1
        if not made_later and not os.path.exists(words[0]):
            return "there is no such file"
        return "" if len(words) == 1 else NEITHER
    if len(words) > 1 and re.fullmatch(r"[a-z][a-z0-9_-]*", words[0]) and shutil.which(words[0]):
        return NEITHER
    return ""


def claim_of_text(document, listed, used):
    problems = [(f"`{span}`", wrong_span(span, listed, used)) for span in dict.fromkeys(document.spans)]
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", document.text):
        path = os.path.join(os.path.dirname(document.path), target) if target else document.path
        if not os.path.exists(path):
            problems.append((path, "a link to what is not there"))
        elif anchor and anchor not in documents.anchors(documents.read(path)):
            problems.append((f"{path}#{anchor}", "a link to a heading that is not there"))
    return (f"{document.path}: commands, files and links in its text are there",
            "\n".join(f"{what}: {problem}" for what, problem in problems if problem))


WRONG = """
```sh
reboot --now
printf 'one\\n'
```

```sh
printf 'one\\ntwo\\n'
```

```text
one
three
```

```sh
lanetag-that-is-not-there
false
cat /tmp/nothing
```

```
what is it?
```

`lanetag check --no-such-option`, `lanetag frobnicate x`, `make no-such-target`, `user/no_such_file.c`, `rm -r /`,
[a link](no-such-file.md), [another](docs/commands.md#no-such-heading), but [one](docs/commands.md#check), `lanetag check -o json` and `make demo`.
"""


def claim_that_faults_are_found():
    document = documents.parse("wrong.md", WRONG)
    found = [problem for _, problem in claims_of_blocks(document, {"false": ("false", "")}, set())]
    found.append(claim_of_text(document, {}, set())[1])
    wanted = ["reboot --now: " + NEITHER, "is:\none\ntwo\n", "lanetag-that-is-not-there: " + NEITHER, "false\nstatus 1",
              "nothing\nstatus 1", "one of ['json'", "no option --no-such-option", "no command frobnicate", "make does not know",
              "user/no_such_file.c`: there is no", "`rm -r /`: " + NEITHER, "no-such-file.md: a link",
              "commands.md#no-such-heading: a link"]
    missing = [text for text in wanted if text not in "\n".join(found)]
    told = len(found[-1].split("\n"))
    return "this test finds what is wrong", "" if not missing and told == 7 else f"not found: {missing}\n{found}"


def claim_of_a_terminal():
    """The playground as a person has it; the others' standard input is no terminal."""
    answer = subprocess.run(["script", "-qec", "scripts/playground.sh", "/dev/null"], capture_output=True, check=False,
                            input=b"echo it is $((6 * 7)) $(basename $manifests)\nexit\n", timeout=60)
    said = answer.stdout.decode("utf-8", "replace")
    good = answer.returncode == 0 and "This shell is the client" in said and "it is 42 manifests" in said
    return "at a terminal the playground says what it is, and ends with exit", "" if good else f"{answer.returncode}: {said}"


def claims():
    listed, used = read_list(), set()
    for name in documents.names():
        document = documents.read(name)
        if name == "docs/tutorial.md" and os.environ.get("LANETAG_SKIP_KERNEL") == "1":
            yield f"{name} # SKIP LANETAG_SKIP_KERNEL", ""
        else:
            yield from claims_of_blocks(document, listed, used)
        yield claim_of_text(document, listed, used)
    yield "commands.tsv lists nothing that no document says", "\n".join(sorted(set(listed) - used))
    tests = [name for _, why in listed.values() for name in re.findall(r"(?:tests|scripts)/[\w./]+\.\w+", why)]
    yield "the tests that it names are there", "\n".join(name for name in tests if not os.path.exists(name))
    yield claim_that_faults_are_found()
    yield claim_of_a_terminal()


def main():
    failed = False
    for number, (text, problem) in enumerate(claims(), 1):
        failed |= bool(problem)
        print(f"{'not ok' if problem else 'ok'} {number} - {text}", flush=True)
        for line in problem.splitlines():
            print(f"#   {line}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
