# SPDX-License-Identifier: GPL-3.0-or-later
"""The kinds of steps that change other services, in a root of the test's own and in several shells.

The service is made up, with a check of its own; a real Postfix, a real Squid and a real trust store are in
tests/lab/linux/test_perform_edit.py.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.performing import Ended, Value, perform
from tests.target.posix.staged import PIECES, raw_look
from tests.target.posix.test_perform_remove import MACHINE, do, fails, sh

__all__ = ["sh"]  # a fixture
FILE = "/etc/own/own.conf"
# Its check: each line must have a `=`, unless it is empty, a comment, or goes on with the one before.
CHECK = r"""mkdir -p /etc/own /usr/bin
cat >/usr/bin/own-check <<'END'
#!/bin/sh
grep -n -v -e = -e '^#' -e '^[[:space:]]' -e '^$' /etc/own/own.conf || exit 0
echo 'error: no statement' >&2
exit 1
END
cat >/usr/bin/own-warn <<'END'
#!/bin/sh
! grep -e '^odd' /etc/own/own.conf || echo "warning: odd, line $$"
END
chmod 755 /usr/bin/own-check /usr/bin/own-warn
"""
LOOK = f"od -An -v -tx1 {FILE} | tr -d ' \\n'; stat -c ' %a %U' {FILE}; ls -A /etc/own; "
KEPT = "echo kept; od -An -v -tx1 /var/lib/evict.kaspersky/kept/*own.conf | tr -d ' \\n'"


def made(data: bytes) -> str:
    """The service with this configuration."""
    text = "".join(f"\\{byte:03o}" for byte in data)
    return f"{CHECK}printf '{text}' >{FILE}\nchmod 640 {FILE}\nchown daemon {FILE}\n"


def shown(data: bytes) -> str:
    """What LOOK sees of it: content, mode and owner, and that nothing of ours lies beside it."""
    return f"{data.hex()} 640 daemon\nown.conf\n"


def edit(
    folder: Path,
    prepare: str,
    changes: dict[str, str],
    after: str = LOOK,
    *,
    path: str = FILE,
    joined: str = "indent",
    checks: str = "own-check",
) -> tuple[Ended, str]:
    """One step; line -> what becomes of it."""
    return do(
        folder,
        prepare,
        "edit_lines",
        after=after,
        path=path,
        joined=joined,
        lines=[*changes],
        becomes=[*changes.values()],
        checks=[checks],
    )


HEAD = b"# a\n\n\tx\\y %s = 1 \nm = kav \n m = kav\n"
WHOLE = HEAD + b"list = a, kav, b\n\x81\x85\xff = ok\nm = kav\nmm = kav\n-n = $x `y`\nm = kav\nend = 1"
LEFT = HEAD + b"list = a, b\n\x81\x85\xff = ok\nmm = kav\n-n = $x `y`\nend = 1"
CHANGES = {"m = kav": "-", "list = a, kav, b": "=list = a, b"}


def test_exactly_the_seen_lines_go(sh: str, tmp_path: Path) -> None:
    """Lines that are like them stay, byte by byte, and so does a last line without an end."""
    ended, seen = edit(tmp_path, sh + made(WHOLE), CHANGES, LOOK + KEPT)
    assert (ended.status, seen) == ("done", f"{shown(LEFT)}kept\n{WHOLE.hex()}"), ended


def test_a_second_time_nothing_changes(sh: str, tmp_path: Path) -> None:
    ended, seen = edit(tmp_path, sh + made(LEFT), CHANGES, f"{LOOK}ls /var/lib/evict.kaspersky/kept")
    assert (ended, seen) == (Ended("already"), shown(LEFT))
    ended, _seen = edit(tmp_path, sh + CHECK, CHANGES, "")
    assert ended == Ended("already")


def test_a_check_that_fails_brings_the_file_back(sh: str, tmp_path: Path) -> None:
    ended, seen = edit(tmp_path, sh + made(WHOLE), {"m = kav": "=nothing"}, LOOK)
    fails(ended, "syntax_refused", "own-check ended with 1: error: no statement", "as it was before")
    assert seen == shown(WHOLE)


def test_a_new_complaint_counts_and_an_old_one_does_not(tmp_path: Path) -> None:
    ended, seen = edit(tmp_path, made(WHOLE), {"m = kav": "=odd = 1"}, checks="own-warn")
    fails(ended, "syntax_refused", "warning: odd")
    assert seen == shown(WHOLE)
    ended, _seen = edit(tmp_path, made(b"odd = 1\n" + WHOLE), {"m = kav": "-"}, checks="own-warn")
    assert ended.status == "done"


@pytest.mark.parametrize(
    ("joined", "data", "stuck"),
    [
        ("indent", b"m = kav\n # c\n\n  more\n", True),
        ("indent", b"m = kav\n# c\n \nother = 1\n  more\n", False),
        ("indent", b"other = 1\n  m\nm = kav\n", False),
        ("backslash", b"other = 1 \\\nm = kav\n", True),
        ("backslash", b"m = kav\n  other = 1\n", False),
    ],
)
def test_a_part_of_a_longer_statement_stays(joined: str, data: bytes, stuck: bool, sh: str, tmp_path: Path) -> None:
    ended, seen = edit(tmp_path, sh + made(data), {"m = kav": "-"}, joined=joined)
    if stuck:
        fails(ended, "line_not_alone", "nothing was changed")
        assert seen == shown(data)
    else:
        assert (ended.status, seen) == ("done", shown(data.replace(b"m = kav\n", b"")))


def test_what_is_not_changed_at_all(tmp_path: Path) -> None:
    ended, seen = edit(tmp_path, made(WHOLE), CHANGES, checks="no-such-check")
    fails(ended, "program_missing", "no-such-check")
    assert seen == shown(WHOLE)
    zero = b"a = 1\nm = kav\n\0\n"
    ended, seen = edit(tmp_path, made(zero), CHANGES)
    fails(ended, "changed_meanwhile", "no text")
    assert seen == shown(zero)
    link = made(WHOLE) + "ln -s own.conf /etc/own/link.conf; ln -s own /etc/linked\n"
    fails(edit(tmp_path, link, CHANGES, path="/etc/own/link.conf")[0], "no_plain_file")
    fails(edit(tmp_path, link, CHANGES, path="/etc/linked/own.conf")[0], "linked_parent")


def test_a_step_that_was_interrupted_goes_on(sh: str, tmp_path: Path) -> None:
    """Killed while the check runs, when the file is changed already: the same job takes it up and checks it."""
    killing = r"""cat >/usr/bin/own-check <<'END'
#!/bin/sh
if [ ! -e /run/once ] && ! grep -q kav.own /etc/own/own.conf; then
  : >/run/once
  kill -9 "$(cut -d ' ' -f 1 /var/lib/evict.kaspersky/jobs/*/commit/pid)"
  sleep 1
fi
END
"""
    prepare = sh + made(b"a = 1\nm = kav.own\n") + killing
    if os.geteuid() != 0:
        pytest.skip("needs root: only root performs")
    seen: list[str] = []

    def run(text: str) -> str:
        # Sent again, as the controller does when the performer has died.
        whole = f"(\n{text})\necho AGAIN\n(\n{text})\necho SEEN\n{LOOK}ls /run/once\n"
        first, _mark, rest = raw_look(tmp_path, MACHINE + prepare, text=whole).decode().partition("AGAIN\n")
        assert " state=died " in first
        answer, _mark, looked = rest.partition("SEEN\n")
        seen.append(looked)
        return answer

    given: dict[str, Value] = {"lines": ["m = kav.own"], "becomes": ["-"], "checks": ["own-check"]}
    ended = perform(run, "edit_lines", {"path": FILE, "joined": "indent", **given}, timeout=50)
    assert (ended.status, seen) == ("done", [f"{shown(b'a = 1' + bytes([10]))}/run/once\n"]), ended


# --- certificates: a store of our own making, as an update-ca-certificates would make it

FOLDER, BUNDLE = "/usr/local/share/ca-own", "/etc/own/bundle.crt"
STORE = f"""mkdir -p {FOLDER} /etc/own /usr/bin
cat >/usr/bin/own-refresh <<'END'
#!/bin/sh
[ ! -e /run/refuse ] || exit 7
for file in {FOLDER}/*.crt /run/more.crt; do [ ! -e "$file" ] || cat "$file"; done >{BUNDLE}
END
chmod 755 /usr/bin/own-refresh
for n in one two other; do
  who=Kaspersky; [ $n != other ] || who=Keeper
  openssl req -x509 -newkey rsa:2048 -nodes -days 2 -keyout /dev/null -out {FOLDER}/$n.crt \
    -subj "/O=AO $who Lab/CN=$n" 2>/dev/null
done
own-refresh
"""
SEEN = f"ls {FOLDER}; grep -c BEGIN {BUNDLE}; ls /var/lib/evict.kaspersky/kept | wc -l"


def anchors(folder: Path, prepare: str, *names: str, refresh: str = "own-refresh") -> tuple[Ended, str]:
    files = [f"{FOLDER}/{name}.crt" for name in names]
    return do(
        folder,
        STORE + prepare,
        "remove_anchors",
        files=files,
        marks=PIECES,
        after=SEEN,
        refresh=refresh,
        bundle=BUNDLE,
        hashed="",
    )


def test_certificates_leave_the_store(tmp_path: Path, sh: str) -> None:
    ended, seen = anchors(tmp_path, sh, "one", "two")
    assert (ended.status, seen.split()) == ("done", ["other.crt", "1", "2"]), ended


def test_certificates_that_are_not_there(tmp_path: Path) -> None:
    assert anchors(tmp_path, "", "four", "five") == (Ended("already"), "one.crt\nother.crt\ntwo.crt\n3\n0\n")


@pytest.mark.parametrize(
    ("prepare", "names", "refresh", "failure"),
    [
        (f"cp {FOLDER}/one.crt /run/more.crt; own-refresh\n", ("one", "two"), "own-refresh", "still_trusted"),
        (": >/run/refuse\n", ("one", "two"), "own-refresh", "store_failed"),
        ("", ("one", "two"), "no-such-program", "program_missing"),
        ("", ("one", "other"), "own-refresh", "changed_meanwhile"),
        (f"cat {FOLDER}/other.crt >>{FOLDER}/two.crt\n", ("one", "two"), "own-refresh", "many_certificates"),
        (
            f"mv {FOLDER}/two.crt /run/x; ln -s /run/x {FOLDER}/two.crt\n",
            ("one", "two"),
            "own-refresh",
            "no_plain_file",
        ),
    ],
)
def test_all_stays_when_something_is_wrong(
    prepare: str, names: tuple[str, ...], refresh: str, failure: str, tmp_path: Path
) -> None:
    ended, seen = anchors(tmp_path, prepare, *names, refresh=refresh)
    fails(ended, failure)
    assert seen.startswith("one.crt\nother.crt\ntwo.crt\n")
