# SPDX-License-Identifier: GPL-2.0-only
"""What the documents hold: their blocks of code, each with its language, and what stands in `code` in the text."""
import glob
import re
from dataclasses import dataclass

FENCE = re.compile(r"```(\w*)$")


@dataclass
class Block:
    path: str
    line: int  # of its first line
    language: str
    text: str
    next_to_previous: bool  # nothing but empty lines between them


@dataclass
class Document:
    path: str
    blocks: list
    spans: list  # what stands in `…` in the text, in one line each
    text: str  # without the blocks


def names():
    return sorted(name for name in glob.glob("**/*.md", recursive=True) if not name.startswith("build/"))


def read(path):
    with open(path, encoding="utf-8") as file:
        return parse(path, file.read())


def parse(path, text):
    lines = text.split("\n")
    blocks, text, start, near = [], [], None, False
    for number, line in enumerate(lines, 1):
        fence = FENCE.match(line)
        if fence and start is None:
            start, language = number + 1, fence.group(1)
        elif fence:
            blocks.append(Block(path, start, language, "\n".join(lines[start - 1:number - 1]), near))
            start, near = None, True
        elif start is None:
            text.append(line)
            near = near and not line.strip()
    assert start is None, f"{path}:{start}: a fence without an end"
    text = "\n".join(text)
    spans = [" ".join(span.split()) for span in re.findall(r"(?<!`)`([^`]+)`(?!`)", text)]
    return Document(path, blocks, spans, text)


def section(document, title):
    """The text below a heading, up to the next of its rank."""
    found = re.search(rf"^(#+) {re.escape(title)}\b.*$", document.text, re.MULTILINE)
    assert found, f"{document.path} has no section {title}"
    rest = document.text[found.end():]
    end = re.search(rf"^#{{1,{len(found.group(1))}}} ", rest, re.MULTILINE)
    return rest[:end.start()] if end else rest


def anchors(document):
    """What links may name of it, as GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.*)$", document.text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
