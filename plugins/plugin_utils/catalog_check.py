# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be wrong in a catalog: every mistake of every file, each with its place and the remedy."""

from __future__ import annotations

import dataclasses
import re
import typing as t
from collections.abc import Collection, Iterable, Iterator, Mapping

from . import catalog_form, kinds, literals, paths, signals
from .catalog_form import Data, Mistake

Where = tuple[str, str]  # platform folder, file name without its suffix

# Removing such a folder whole would take other people's files with it.
_TOO_BROAD: t.Final = frozenset(
    {
        *("/", "/bin", "/boot", "/dev", "/etc", "/home", "/lib", "/lib64", "/media", "/mnt", "/opt", "/proc", "/root"),
        *("/run", "/sbin", "/srv", "/sys", "/tmp", "/usr", "/var", "/etc/init.d", "/etc/opt", "/etc/systemd"),
        *("/etc/systemd/system", "/usr/bin", "/usr/lib", "/usr/local", "/usr/sbin", "/usr/share", "/var/lib"),
        *("/var/log", "/var/opt", "/var/run", "/var/tmp"),
        *(variable.lower() for variable in paths.WINDOWS_VARIABLES),
        *(rf"%systemroot%\{folder}" for folder in ("system32", r"system32\drivers", "syswow64", "temp")),
    }
)
_STRATEGIES: t.Final = {"linux": ("package", "manual"), "windows": ("msi", "manual"), "macos": ("manual",)}
_POSIX_KEYS: t.Final = ("below", "path", "file", "files")
_EXACT: t.Final = ("package", "unit", "init_script", "product_code")  # nobody shares these


def check(name: str, where: Where, data: t.Any) -> list[Mistake]:
    """All mistakes of one entry: first its form, and when that is right, its meaning.

    Args:
        name: the file, below the catalog's folder.
        where: the platform its folder and the id its name stand for.
        data: what the file holds.
    """
    if not isinstance(data, dict):
        return [
            Mistake(
                name, "", "the file holds no entry", "begin with `schema: 1`; catalog/README.md shows a whole entry"
            )
        ]
    errors = catalog_form.errors(name, data)
    found = [mistake for _dummy, mistake in errors]
    # Parts of a right form are looked at further even when others are broken, so that one run names all mistakes.
    found += [
        Mistake(name, *said) for said in _meaning(where, _sound(data, [way for way, _by in errors]), whole=not errors)
    ]
    return list(dict.fromkeys(found))


_Found = tuple[str, str, str]  # place, problem, remedy
_LISTS: t.Final = ("signals", "secrets", "residue", "never_touch")


def _sound(data: Data, broken: list[list[t.Any]]) -> dict[str, t.Any]:
    """The entry without the keys and list items that have a mistake; what is missing is missing."""
    items = {(way[0], way[1]) for way in broken if len(way) > 1 and way[0] in _LISTS}
    keys = {way[0] for way in broken if way and (way[0] not in _LISTS or len(way) == 1)}
    return {
        key: [item for at, item in enumerate(value) if (key, at) not in items] if key in _LISTS else value
        for key, value in data.items()
        if key not in keys
    }


def _meaning(where: Where, data: Data, *, whole: bool) -> Iterator[_Found]:
    """Mistakes of meaning in the sound parts of an entry; `whole` when that is all of it."""
    folder, stem = where
    if data.get("id", stem) != stem:
        yield "id", f"{data['id']!r} is not the file's name", f"call the file {data['id']}.yml, or set `id: {stem}`"
    if data.get("platform", folder) != folder:
        remedy = f"move the file to products/{data['platform']}/, or set `platform: {folder}`"
        yield "platform", f"{data['platform']!r} is not the folder", remedy
    generic = data.get("generic", False)
    if generic != (stem == "kaspersky"):
        remedy = "set `generic: true` there and remove it elsewhere"
        yield "generic", "the vendor's net, `kaspersky`, and nothing else is generic", remedy
    if "sources" in data:
        yield from _sources(data, whole=whole)
    yield from _twice("signals", (signal["id"] for signal in data.get("signals", ())))
    for signal in data.get("signals", ()):
        yield from _signal(folder, signal)
    if whole and not any(_proves(signal) for signal in data["signals"]):
        remedy = "add one that shows `product` or `live` with a mark other than X and memory"
        yield "signals", "none of them can prove the product", remedy
    strategy = data.get("removal", {}).get("strategy")
    if strategy and strategy not in _STRATEGIES[folder]:
        yield "removal.strategy", f"{strategy!r} is not for {folder}", f"use one of: {', '.join(_STRATEGIES[folder])}"
    if generic and strategy and strategy != "manual":
        yield "removal.strategy", "what is not known exactly is not removed by a machine", "set `strategy: manual`"
    yield from _residue(folder, data)


def _proves(signal: Data) -> bool:
    return signal["shows"] not in ("residue", "mention") and signals.Confidence(signal["confidence"]).can_prove


def _sources(data: Data, *, whole: bool) -> Iterator[_Found]:
    known, used = data["sources"], set()
    for section in _LISTS:
        for number, item in enumerate(data.get(section, ()), 1):
            used.update(item["source"])
            for key in item["source"]:
                if key not in known:
                    yield (
                        f"{section}[{item.get('id', number)}].source",
                        f"{key!r} is no key of `sources`",
                        f"add it there, or use one of: {', '.join(sorted(known))}",
                    )
    for key in sorted(set(known) - used) if whole else ():
        yield f"sources.{key}", "no fact names this source", "name it where it belongs, or remove it"


def _twice(place: str, names: Iterable[str]) -> Iterator[_Found]:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            yield f"{place}[{name}]", "the id stands twice", "give each its own id"
        seen.add(name)


def _signal(platform: str, signal: Data) -> Iterator[_Found]:
    place = f"signals[{signal['id']}]"
    cls = kinds.KINDS[platform].get(signal["kind"])
    if cls is None:
        known = ", ".join(sorted(kinds.KINDS[platform]))
        yield f"{place}.kind", f"{signal['kind']!r} is not a kind for {platform}", f"use one of: {known}"
        return
    fields = {field.name for field in dataclasses.fields(cls)} | {"kind", "source"}
    for key in sorted(set(signal) - fields):
        yield f"{place}.{key}", f"{signal['kind']!r} on {platform} has no such key", "remove it"
    if "danger" in signal and signal["shows"] != "residue":
        yield f"{place}.danger", "only a residue has a danger", "remove it, or set `shows: residue`"
    for key in cls.regexes:
        if key in signal:
            yield from _regex(f"{place}.{key}", signal[key], filtered=key in cls.filtered)
    if platform == "windows" and signal["kind"] == "process" and not {"name", "below"} & set(signal):
        yield place, "a process needs a name or a place", "add `name` or `below`"
    if platform != "windows" and signal["kind"] == "process" and "below" not in signal:
        yield place, "a process needs the directory of its executable", "add `below`"
    for key, path in _paths(platform, signal):
        for problem, remedy in _path(
            platform, path, star=key == "files" or (key == "path" and signal["kind"] == "path")
        ):
            yield f"{place}.{key}", problem, remedy


def _regex(place: str, pattern: str, *, filtered: bool) -> Iterator[_Found]:
    try:
        re.compile(pattern, re.IGNORECASE)
    except re.error as exc:
        at = f" at character {exc.pos + 1}" if exc.pos is not None else ""
        yield (
            place,
            f"not a regular expression: {exc.msg}{at}",
            "correct it; a literal bracket, dot or plus needs a `\\`",
        )
        return
    if filtered:
        try:
            literals.derive(pattern)
        except literals.NoLiteral as exc:
            yield (
                place,
                f"a host cannot filter by it: {exc}",
                f"let each match hold a fixed text of {literals.MIN_LENGTH} or more characters, or anchor it: ^NAME$",
            )


def _paths(platform: str, item: Data) -> Iterator[tuple[str, str]]:
    """The values of a signal that are whole paths."""
    for key in _POSIX_KEYS:
        value = item.get(key)
        if value is not None and not (platform == "windows" and key == "below"):
            for path in value if isinstance(value, list) else (value,):
                yield key, path


def _path(platform: str, path: str, *, star: bool, users: bool = False) -> Iterator[tuple[str, str]]:
    known = paths.WINDOWS_VARIABLES + (paths.USER_VARIABLES if users else ())
    separator = "\\" if platform == "windows" else "/"
    parts = path.split(separator)
    if platform == "windows":
        if parts[0] not in known:
            yield f"{path!r} begins with no known folder", f"begin with one of: {', '.join(known)}"
    elif parts[0]:
        yield f"{path!r} is not absolute", "begin with /"
    if any(part in ("", ".", "..") for part in parts[1:]):
        yield f"{path!r} has an empty part, `.` or `..`", "write the plain path without a separator at its end"
    if "*" in separator.join(parts[:-1]) or ("*" in parts[-1] and not star):
        yield f"{path!r}: `*` may stand in the last part of a path to look for only", "write the names out"
    if re.search(r"[?\[\]\n\r\0]", path):
        yield f"{path!r} holds a character that is not plain", "use letters, digits, blanks, . _ - ( ) $ % and one `*`"


def _residue(platform: str, data: Data) -> Iterator[_Found]:
    for section in ("residue", "never_touch"):
        for number, item in enumerate(data.get(section, ()), 1):
            if "path" in item:
                for problem, remedy in _path(platform, item["path"], star=True, users=True):
                    yield f"{section}[{number}].path", problem, remedy
            key = next((k for k in ("registry", "code") if k in item), None)
            if key and platform != "windows":
                yield f"{section}[{number}].{key}", f"there is no such thing on {platform}", "remove it"
    for number, item in enumerate(data.get("residue", ()), 1):
        target = item.get("path", "")
        if item["purge"] and (target.lower() in _TOO_BROAD or re.search(r"[\\/]\*$", target)):
            remedy = "name the vendor's own folder or file, or set `purge: false`"
            yield f"residue[{number}].path", f"{target!r} is not the vendor's alone", remedy


def check_patterns(name: str, data: t.Any) -> list[Mistake]:
    """All mistakes of patterns.yml: `patterns`, name -> `regex`, `confidence`, `source` and a free `note`."""
    patterns = data.get("patterns") if isinstance(data, dict) else None
    if not isinstance(patterns, dict):
        return [Mistake(name, "", "it holds no `patterns`", "write `patterns:` with a name and its `regex` for each")]
    found: list[Mistake] = []
    for key, item in patterns.items():
        place = f"patterns.{key}"
        texts = item if isinstance(item, dict) else {}
        missing = [k for k in ("regex", "confidence", "source") if not isinstance(texts.get(k), str)]
        if missing or set(texts) - {"regex", "confidence", "source", "note"}:
            remedy = "give it `regex`, `confidence`, `source`, all texts, and a `note` if you like; nothing else"
            found.append(Mistake(name, place, "it has not the form of a pattern", remedy))
        elif texts["confidence"] not in set(signals.Confidence):
            remedy = f"use one of: {', '.join(signals.Confidence)}"
            found.append(Mistake(name, f"{place}.confidence", f"{texts['confidence']!r} is no mark", remedy))
        else:
            found += [Mistake(name, *said) for said in _regex(f"{place}.regex", texts["regex"], filtered=False)]
    return found


def check_programs(name: str, data: t.Any) -> list[Mistake]:
    """All mistakes of protection.yml: `scanners` and `not_scanners`, each program -> words."""
    keys = ("scanners", "not_scanners")
    if not isinstance(data, dict) or set(data) != set(keys):
        return [Mistake(name, "", f"it does not hold exactly {' and '.join(keys)}", "write both, each program: words")]
    found = [
        Mistake(name, f"{key}.{program}", "it is not a program with words", "write `program: what it is`")
        for key in keys
        for program, text in (data[key].items() if isinstance(data[key], dict) else [("", None)])
        if not (isinstance(program, str) and program and isinstance(text, str) and text)
    ]
    if not found and (both := set(data["scanners"]) & set(data["not_scanners"])):
        found.append(Mistake(name, f"scanners.{min(both)}", "it stands in both lists", "remove one"))
    return found


def check_all(entries: Mapping[str, Data], files: Collection[str]) -> list[Mistake]:
    """Mistakes between entries that are right each for itself.

    Args:
        entries: file name -> data.
        files: the names of all files, those of broken entries included.
    """
    found: list[Mistake] = []
    ids = {(data["platform"], data["id"]): data for data in entries.values()}
    claims: dict[tuple[str, str, str], str] = {}
    guarded = [(name, data["platform"], item) for name, data in entries.items() for item in data.get("never_touch", ())]
    for name, data in entries.items():
        platform = data["platform"]
        for other in data["removal"].get("companions", ()):
            partner = ids.get((platform, other))
            if partner is None and f"products/{platform}/{other}.yml" in files:
                continue  # it has mistakes of its own, which are named
            if partner is None or other == data["id"]:
                problem = f"{other!r} is no other entry of {platform}"
                remedy = f"write products/{platform}/{other}.yml, or remove it here"
                found.append(Mistake(name, "removal.companions", problem, remedy))
            elif partner["removal"]["order"] >= data["removal"]["order"]:
                problem = f"the companion {other!r} would not go first"
                remedy = f"set an order above {partner['removal']['order']}"
                found.append(Mistake(name, "removal.order", problem, remedy))
        for signal in data["signals"]:
            place = f"signals[{signal['id']}]"
            for guard, _dummy, item in guarded:
                if "code" in item and item["code"] == signal.get("code"):
                    found.append(Mistake(name, f"{place}.code", f"{guard} says never to use this code", "remove it"))
            if signal["kind"] in _EXACT:
                exact = (platform, signal["kind"], str(signal.get("code", signal.get("name"))))
                first = claims.setdefault(exact, f"{name} {place}")
                if first != f"{name} {place}":
                    found.append(Mistake(name, place, f"{exact[2]!r} is claimed by {first} already", "let one have it"))
        found += _guarded(name, data, [(guard, item) for guard, on, item in guarded if on == platform])
    return found


def _guarded(name: str, data: Data, guarded: list[tuple[str, Data]]) -> Iterator[Mistake]:
    """A residue that is purged may neither hold nor lie in what some entry says never to touch."""
    below = paths.windows_below if data["platform"] == "windows" else paths.posix_below
    for number, item in enumerate(data.get("residue", ()), 1):
        for key in ("path", "registry"):
            for guard, other in guarded:
                if not item["purge"] or key not in item or key not in other:
                    continue
                purged, kept = item[key], other[key]
                if (
                    below(kept.rstrip("*"), purged)
                    or below(purged.rstrip("*"), kept)
                    or ("*" in purged and kept.lower().startswith(purged.partition("*")[0].lower()))
                    or ("*" in kept and purged.lower().startswith(kept.partition("*")[0].lower()))
                ):
                    problem = f"purging it would touch {other[key]!r}, which {guard} keeps"
                    remedy = "purge its other parts by name, or set `purge: false`"
                    yield Mistake(name, f"residue[{number}].{key}", problem, remedy)
