# SPDX-License-Identifier: GPL-3.0-or-later
"""Which changes of a host do its plan and its outcomes not explain?

    unexplained(before, after, plan, outcomes, package_files(host))

A change is explained by a step that was performed, whole or in part: the files of the package it removed (from the
database before), the places of its product in the catalog, the path it purged, and by the named lists of
``explained_changes.txt``. A step that was skipped, or found nothing to do, explains nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from ansible_collections.evict.kaspersky.plugins.plugin_utils import knowledge
from ansible_collections.evict.kaspersky.plugins.plugin_utils.outcome import Outcome
from ansible_collections.evict.kaspersky.plugins.plugin_utils.plan import Plan, Step

from . import snapshot
from .lab import Host
from .snapshot import Change, Snapshot

LISTS = Path(__file__).with_name("explained_changes.txt")
Files = Mapping[str, Sequence[str]]
_UNITS = ("stop_unit", "start_unit", "enable_unit", "disable_unit", "reload_units")
_INSTALL = ("install_packages", "install_file", "install_folder", "remove_packages")
_LISTS = ("refresh_packages", "download_packages")
_FILES = ("write_file", "place_file", "remove_file", "restore_file")
_TOUCHED = ("done", "failed")


def sections(file: Path = LISTS) -> dict[str, dict[str, str]]:
    """Section -> pattern -> reason.

    Raises:
        ValueError: a line without a reason, or before the first section.
    """
    found: dict[str, dict[str, str]] = {}
    name = ""
    for number, line in enumerate(file.read_text().splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        if line.startswith("["):
            name = line.strip("[]")
            found[name] = {}
            continue
        pattern, _, reason = line.strip().partition("  ")
        if not name or not reason.strip():
            raise ValueError(f"{file.name}:{number}: a section before, a pattern, two blanks, a reason")
        found[name][pattern] = reason.strip()
    return found


def package_files(host: Host) -> dict[str, list[str]]:
    """Package -> files of it, from the host's own database: those the catalog names, and those a cover brings."""
    wanted = {*knowledge.catalog().literals("linux")["packages"]}
    for provider in knowledge.providers().values():
        if (part := provider.platforms.get("linux")) is not None:
            wanted |= {name for names in part.packages.values() for name in names if "$" not in name}
    if host.family == "rpm":
        text = host.run("rpm -qa --qf '[%{=NAME}\\t%{FILENAMES}\\n]'", check=False).stdout
    else:
        script = 'cd /var/lib/dpkg/info; for l in *.list; do n=${l%.list}; sed "s|^|${n%%:*}\t|" $l; done'
        text = host.run(script).stdout
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        name, _, path = line.partition("\t")
        if name in wanted and path not in ("", "/."):
            found.setdefault(name, []).append(path)
    return found


def unexplained(
    before: Snapshot,
    after: Snapshot,
    plan: Plan,
    outcomes: Sequence[Outcome],
    files: Files,
    besides: Iterable[str] = (),
) -> list[Change]:
    """The changes that nothing explains.

    Args:
        before, after: snapshots of the host.
        plan: its plan.
        outcomes: what became of the steps.
        files: package -> its files, from the database before and after.
        besides: patterns of what the test itself, or a trouble it made, changed.
    """
    changes = snapshot.not_allowed(snapshot.diff(before, after))
    patterns = dict.fromkeys((*patterns_of(plan, outcomes, files), *besides), "")
    left = snapshot.not_allowed(changes, patterns)
    strange = {change.path for change in left}
    explained = {change.path for change in changes} - strange
    found = []
    for change in sorted(left, key=lambda one: -one.path.count("/")):  # what a folder holds is judged before the folder
        if _only_held(change, explained, before, patterns):
            explained.add(change.path)
        else:
            found.append(change)
    return sorted(found, key=lambda one: one.path)


def _only_held(change: Change, explained: set[str], before: Snapshot, patterns: Iterable[str]) -> bool:
    """Is it a folder of which only the time changed since something explained came or went in it, or one that went
    along since all that was in it is explained, or nothing was in it and only what is explained could have been?"""
    if change.before is None or not change.before.startswith("dir "):
        return False
    base = "" if change.path == "/" else change.path
    if change.after is None:
        inner = [path for path in before if path.startswith(f"{base}/")]
        if not inner:
            return any(pattern.startswith(f"{base}/") for pattern in patterns)
        return all(path in explained or before[path].startswith("dir ") for path in inner)
    differ = set(change.before.split()) ^ set(change.after.split())
    return all(fact.startswith("mtime=") for fact in differ) and any(
        path.rpartition("/")[0] == base for path in explained
    )


def patterns_of(plan: Plan, outcomes: Sequence[Outcome], files: Files) -> Iterator[str]:
    """What the performed steps may have changed, as patterns."""
    status = {outcome.step: outcome.status for outcome in outcomes}
    touched = [step for step in plan.steps if status.get(step.id) in _TOUCHED]
    lists = sections()
    if any(status.get(step.id) != "skipped" for step in plan.steps if step.id in status):
        yield from lists["performed"]
    for step in touched:
        yield from _step(step, files, lists)


def _step(step: Step, files: Files, lists: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    kind, args = step.kind, step.args
    if kind in ("remove_package", "stop_unit"):
        yield from _places(step.owner, lists)
    if kind == "remove_package":
        yield from (_plain(path) for path in files.get(_bare(str(args["package"])), ()))
    if kind in _INSTALL:
        for name in _texts(args.get("packages", ())):
            yield from (_plain(path) for path in files.get(_bare(name), ()))
    if kind == "remove_package" or kind in (*_INSTALL, *_LISTS):
        manager = lists["rpm" if args["manager"] in ("rpm", "dnf", "yum", "zypper") else "dpkg"]
        yield from _filled(manager, _bare(str(args.get("package", ""))))
    if kind == "remove_package" or kind in _INSTALL:
        yield from lists["accounts"]
    if kind in _UNITS:
        for unit in _texts(args.get("unit", args.get("units", ()))):
            yield from _filled(lists["units"], unit)
    if kind in ("purge_group", "purge_user"):
        yield from lists["accounts"]
    if kind == "purge_path":
        yield from _tree(str(args["path"]))
    if kind == "edit_lines":
        yield str(args["path"])
    if kind == "remove_anchors":
        yield from (*_texts(args["files"]), str(args["bundle"]), "/tmp")
        yield from (f"{folder}{more}" for folder in _texts(args["hashed"]) if folder for more in ("", "/*"))
    if kind in _FILES:
        yield from _tree(str(args["path"]))
    if step.owner in lists:
        yield from lists[step.owner]


def _places(product: str, lists: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    """The places of a product, and those that all products share, as the catalog names them: what its own scripts make
    and remove."""
    catalog = knowledge.catalog().for_platform("linux")
    for entry in catalog:
        if entry.generic:
            for residue in entry.residue:
                if residue.kind == "path" and residue.purge:
                    yield from _tree(residue.target)
        if entry.id != product:
            continue
        for residue in entry.residue:
            if residue.kind == "path":
                yield from _tree(residue.target)
        for signal in entry.signals:
            if signal.shows == "mention":
                continue
            if signal.kind == "path":
                yield from _tree(str(getattr(signal, "path", "")))
            elif signal.kind == "unit":
                yield from _filled(lists["units"], str(getattr(signal, "name", "")))


def _filled(patterns: Iterable[str], name: str) -> Iterator[str]:
    """Patterns about a unit or a package."""
    for pattern in patterns:
        yield pattern.format(name=name, script=name.removesuffix(".service"))


def _tree(path: str) -> Iterator[str]:
    """A path, and what lies below it; /var/run is /run on every host of the lab."""
    real = re.sub(r"^/var/run/", "/run/", path)
    yield from (real, f"{real}/**")


def _plain(path: str) -> str:
    return path.replace("*", "?")


def _bare(name: str) -> str:
    return name.partition(":")[0]


def _texts(value: str | Sequence[str]) -> Sequence[str]:
    return (value,) if isinstance(value, str) else value
