# SPDX-License-Identifier: GPL-3.0-or-later
"""Which changes of a host a plan and its outcomes explain, and which not."""

from __future__ import annotations

from ansible_collections.evict.kaspersky.plugins.plugin_utils import outcome, planner
from ansible_collections.evict.kaspersky.plugins.plugin_utils.outcome import Failure, Outcome
from ansible_collections.evict.kaspersky.plugins.plugin_utils.plan import Plan
from tests import cases
from tests.lab.linux import explained

FOLDER, FILE = "dir mode=0755 owner=0:0 mtime=1", "file mode=0644 owner=0:0 mtime=1 size=1 hash=aa"
LATER, OTHER = FOLDER.replace("mtime=1", "mtime=2"), FILE.replace("aa", "bb")
BEFORE = {
    "/": FOLDER,
    "/opt": FOLDER,
    "/opt/kaspersky": FOLDER,
    "/opt/kaspersky/kesl": FOLDER,
    "/opt/kaspersky/kesl/libexec/kesl": FILE,
    "/usr": FOLDER,
    "/usr/share/of-kesl": FILE,
    "/usr/share/of-others": FILE,
    "/etc/group": FILE,
    "/var/lib/dpkg/status": FILE,
    "/var/lib/dpkg": FOLDER,
}
GONE = ("/opt/kaspersky", "/opt/kaspersky/kesl", "/opt/kaspersky/kesl/libexec/kesl", "/usr/share/of-kesl")
AFTER = {
    **{path: text for path, text in BEFORE.items() if path not in GONE},
    "/opt": LATER,
    "/etc/group": OTHER,
    "/var/lib/dpkg/status": OTHER,
    "/var/lib/dpkg": LATER,
    "/var/lib/evict.kaspersky": FOLDER,
    "/var/lib/evict.kaspersky/jobs": FOLDER,
}
FILES = {"kesl": ["/usr/share/of-kesl"]}


def plan() -> Plan:
    found = planner.plan(cases.case("linux", products=["kesl"]))
    assert found.state == "act"
    return found


def performed(made: Plan, *, removed: outcome.Status = "done") -> list[Outcome]:
    """All steps done, but for the removal."""
    return [
        Outcome(
            step=step.id,
            phase=step.phase,
            status=removed if step.section == "remove" else "already",
            why="why" if removed == "skipped" else "",
            failure=Failure("prerm_failed", "1", "no") if removed == "failed" else None,
        )
        for step in made.steps
    ]


def names(after: dict[str, str], outcomes: list[Outcome], *besides: str) -> list[str]:
    found = explained.unexplained(BEFORE, after, plan(), outcomes, FILES, besides)
    return [change.path for change in found]


def test_a_removal_explains_its_package_its_places_and_the_folders_that_held_them() -> None:
    assert names(AFTER, performed(plan())) == []


def test_a_removal_that_failed_half_way_explains_as_much() -> None:
    assert names(AFTER, performed(plan(), removed="failed")) == []


def test_a_step_that_was_skipped_explains_nothing() -> None:
    left = names(AFTER, performed(plan(), removed="skipped"))
    assert {*GONE, "/etc/group", "/var/lib/dpkg/status"} <= set(left)


def test_without_any_step_not_even_our_own_folder_is_explained() -> None:
    assert "/var/lib/evict.kaspersky/jobs" in names(AFTER, [])


def test_what_belongs_to_others_is_never_explained() -> None:
    after = {**AFTER, "/usr/share/of-others": OTHER, "/usr/new": FILE, "/usr": LATER}
    assert names(after, performed(plan())) == ["/usr", "/usr/new", "/usr/share/of-others"]
    assert names(after, performed(plan()), "/usr/new") == ["/usr/share/of-others"]


def test_a_folder_that_goes_with_something_of_others_in_it_is_not_explained() -> None:
    before = {**BEFORE, "/opt/kaspersky/of-others": FILE}
    found = explained.unexplained(before, AFTER, plan(), performed(plan()), FILES)
    assert [change.path for change in found] == ["/opt", "/opt/kaspersky", "/opt/kaspersky/of-others"]


def test_a_folder_whose_owner_changes_is_not_explained_by_what_is_in_it() -> None:
    after = {**AFTER, "/opt": LATER.replace("0:0", "1:1")}
    assert names(after, performed(plan())) == ["/opt"]


def test_every_list_has_reasons() -> None:
    lists = explained.sections()
    assert {"performed", "units", "dpkg", "rpm", "accounts"} <= set(lists)
    assert [p for patterns in lists.values() for p, reason in patterns.items() if len(reason) < 8] == []
