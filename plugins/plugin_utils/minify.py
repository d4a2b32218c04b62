# SPDX-License-Identifier: GPL-3.0-or-later
"""Shell text without what only people need: comments, indentation, blanks around operators, line continuations.

It reads as a shell does: quotes, `$(...)`, `${...}`, `$((...))` and here-documents are known, and what is quoted stays
as it is. Words are never changed. What it does not understand it refuses, rather than to guess.
"""

from __future__ import annotations

import re
import typing as t

_TWO: t.Final = (";;", "&&", "||")
_HEREDOC: t.Final = re.compile(r"<<(-?)[ \t]*(\\?)(['\"]?)([A-Za-z_][A-Za-z0-9_]*)\3")
_PLAIN: t.Final = re.compile(r"[A-Za-z0-9_./:=+,@%-]+")
_PATTERN: t.Final = re.compile(r"\$\{[A-Za-z0-9_@*?]+[#%]")
_UNTIL: t.Final = {"s": re.compile(r"[^']*"), "d": re.compile(r'[^"\\$`]*'), "v": re.compile(r"[^}\"'\\$`]*")}


class _Frame:
    """Where we are: `n` code, `s` '...', `d` "...", `v` ${...}, `a` $((...)); and what is open in it."""

    def __init__(self, mode: str) -> None:
        self.mode = mode
        self.parens = 0
        self.cases = 0
        self.literal = False  # ${x-...} within "...": a single quote is one there, and no quote; in ${x%...} it is


class _Minifier:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.out: list[str] = []
        self.stack = [_Frame("n")]
        self.gap = ""  # a blank or a line end that is written when it turns out to be needed
        self.joins = True  # what was written last needs nothing after it: the beginning, an operator, a pattern's `)`
        self.documents: list[tuple[str, bool]] = []

    def run(self) -> str:
        while self.at < len(self.text):
            frame = self.stack[-1]
            if frame.mode == "n":
                self._code(frame)
            else:
                self._quoted(frame)
        if len(self.stack) != 1 or self.stack[0].parens or self.stack[0].cases or self.documents:
            raise ValueError("the shell text ends within a quote, a parenthesis, a case or a here-document")
        return "".join(self.out) + "\n"

    def _write(self, piece: str, *, joins: bool = False) -> None:
        if self.gap and not self.joins:
            self.out.append(self.gap)
        self.gap = ""
        self.out.append(piece)
        self.at += len(piece)
        self.joins = joins

    def _operator(self, piece: str) -> None:
        """An operator needs no blank around it; a line may break after it, and before `;;`."""
        if self.gap == "\n" and piece != ";;":
            raise ValueError(f"a line begins with {piece}")
        self.gap = ""
        self._write(piece, joins=True)

    def _code(self, frame: _Frame) -> None:
        text, at = self.text, self.at
        char = text[at]
        word_begins = bool(self.gap) or self.joins or self.out[-1][-1:] in "(){}`"
        if char in " \t":
            self.gap = self.gap or " "
            self.at += 1
        elif char == "\n":
            self.gap = "\n"
            self.at += 1
            if self.documents:
                self._copy_documents()
        elif char == "#" and word_begins:
            self.at = end if (end := text.find("\n", at)) >= 0 else len(text)
        elif text.startswith("\\\n", at):
            self.gap = self.gap or " " if text[at + 2 : at + 3] in " \t" else self.gap
            self.at += 2
        elif text[at : at + 2] in _TWO:
            self._operator(text[at : at + 2])
        elif char == ";" or (char == "|" and self.out[-1][-1:] != ">"):
            self._operator(char)
        elif text.startswith("<<", at):
            self._here()
        elif char in "()":
            self._paren(frame, char)
        elif not self._opens():
            self._word(frame)

    def _paren(self, frame: _Frame, char: str) -> None:
        if char == "(":
            frame.parens += 1
            if self.out and self.out[-1] == "$(":
                self.gap, self.joins = " ", False  # `$((` would be arithmetic
            self._write(char)
        elif frame.parens:
            frame.parens -= 1
            self._write(char)
        elif frame.cases:  # the end of a pattern
            self._write(char, joins=True)
        elif len(self.stack) > 1:
            self.stack.pop()
            self.gap = ""
            self._write(char)
        else:
            raise ValueError("a parenthesis too many in the shell text")

    def _word(self, frame: _Frame) -> None:
        found = _PLAIN.match(self.text, self.at)
        word = found[0] if found else self.text[self.at]
        begins = bool(self.gap) or self.joins
        after = self.text[self.at + len(word) : self.at + len(word) + 1]
        if begins and word == "case" and after in (" ", "\t"):
            frame.cases += 1
        elif begins and word == "esac" and after in ("", "\n", " ", "\t", ";", ")", "|", "&"):
            frame.cases -= 1
        self._write(word)

    def _opens(self) -> bool:
        """Begin what is quoted or expanded here; False when nothing does."""
        text, at = self.text, self.at
        for start, mode in (("$((", "a"), ("$(", "n"), ("${", "v"), ('"', "d"), ("'", "s")):
            if text.startswith(start, at):
                frame = _Frame(mode)
                frame.literal = mode == "v" and not _PATTERN.match(text, at) and any(f.mode == "d" for f in self.stack)
                self._write(start, joins=mode == "n")
                self.stack.append(frame)
                return True
        if text[at] == "`":
            raise ValueError("write $(...) and not backquotes")
        if text[at] in "\\$":
            self._write(text[at : at + 2] if text[at] == "\\" else "$")
            if text[at] == "$" and text[at + 1 : at + 2] == "#":
                self._write("#")
            return True
        return False

    def _quoted(self, frame: _Frame) -> None:
        text, mode = self.text, frame.mode
        if mode == "a":
            end = text.index("))", self.at)
            inner = text[self.at : end]
            if "'" in inner or '"' in inner or "$(" in inner:
                raise ValueError("keep arithmetic simple")
            self._write(inner + "))")
            self.stack.pop()
            return
        found = _UNTIL[mode].match(text, self.at)
        if found and found[0]:
            self._write(found[0])
            return
        char = text[self.at]
        if char == {"s": "'", "d": '"', "v": "}"}[mode]:
            self._write(char)
            self.stack.pop()
        elif (char == "'" and (mode == "d" or frame.literal)) or not self._opens():
            self._write(char)

    def _here(self) -> None:
        found = _HEREDOC.match(self.text, self.at)
        if not found or self.stack[-1] is not self.stack[0]:
            raise ValueError("a here-document that is not understood")
        self.documents.append((found[4], bool(found[1])))
        self._write(found[0])

    def _copy_documents(self) -> None:
        for end, tabs in self.documents:
            while True:
                stop = self.text.find("\n", self.at)
                if stop < 0:
                    raise ValueError(f"the here-document {end} does not end")
                line = self.text[self.at : stop]
                self.at = stop + 1
                self.out.append("\n" + line)
                if (line.lstrip("\t") if tabs else line) == end:
                    break
        self.documents.clear()
        self.gap, self.joins = "\n", False


def minify(text: str) -> str:
    """The same program in fewer bytes, ending with a line end.

    Args:
        text: whole commands of POSIX shell.

    Raises:
        ValueError: something that is not understood: backquotes, a here-document inside `$(...)`, an open quote.
    """
    return _Minifier(text).run()
