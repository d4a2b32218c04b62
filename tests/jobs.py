# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans written out for tests of the job compiler, and the jobs they become: ``tests/fixtures/jobs``.

``python -m tests.jobs`` writes those files anew. Look at the difference before it is committed: it is what hosts get.
"""

from __future__ import annotations

import json
import typing as t
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from ansible_collections.evict.kaspersky.plugins.plugin_utils import job
from ansible_collections.evict.kaspersky.plugins.plugin_utils.plan import Plan, Step
from ansible_collections.evict.kaspersky.plugins.plugin_utils.steps import KINDS, Condition, Phase
from tests import tree

FOLDER: t.Final = tree.ROOT / "tests" / "fixtures" / "jobs"
PHASES: t.Final[tuple[Phase, ...]] = ("stage", "commit", "finish")
# Not part of a job: the files are code of this repository, too.
HEAD: t.Final = "# SPDX-License-Identifier: GPL-3.0-or-later\n# shellcheck shell=sh\n"


def step(id: str, kind: str, /, **given: t.Any) -> Step:
    """A step; its place comes from the first part of its id, what is not given from its kind."""
    known, part = KINDS[kind], id.partition(".")[0]
    phase = "commit" if part in ("remove", "cover", "fallback") else part
    fields: dict[str, t.Any] = {
        "phase": phase,
        "section": part if phase == "commit" else "",
        "target": id,
        "reason": "because",
        "change": known.change,
        "timeout": known.timeout,
        "typical": known.typical,
        "on_fail": {"stage": "stop", "remove": "cover", "cover": "fallback"}.get(part, "continue"),
        **given,
    }
    return Step(id=id, kind=kind, **fields)


def plan(platform: str, steps: Iterable[Step], **given: t.Any) -> Plan:
    """A plan that acts."""
    fields: dict[str, t.Any] = {
        "host": "web1",
        "machine": "0123456789abcdef",
        "state": "act",
        "verdict": "present",
        "replacement": "clamav",
        "fallback": "lantern",
        **given,
    }
    return Plan(platform=platform, steps=tuple(steps), **fields)


def _stage_clamav(manager: str, packages: tuple[str, ...]) -> Iterator[Step]:
    yield step("stage.clamav.lists", "refresh_packages", args={"manager": manager})
    yield step("stage.clamav.install", "install_packages", args={"manager": manager, "packages": packages})
    text = "# Made by evict.kaspersky\nLogFile /var/log/clam 'av'.log\n\n"
    yield step("stage.clamav.settings", "write_file", args={"path": "/etc/clam.conf", "mode": "0644", "text": text})
    yield step("stage.lantern.download", "download_packages", args={"manager": manager, "packages": ("lantern",)})


def _remove(manager: str, *products: str) -> Iterator[Step]:
    for product in products:
        unless = (
            Condition("product_absent", products[0]) if product == "klnagent" and len(products) > 1 else Condition()
        )
        if product == "kesl":
            yield step("remove.kesl.stop", "stop_unit", args={"unit": "kesl.service"}, timeout=660)
        purge = {"purge": "yes"} if manager == "apt" else {}
        yield step(
            f"remove.{product}.package",
            "remove_package",
            args={"manager": manager, "package": product, **purge},
            condition=unless,
        )
        looked = {"product": product, "packages": (product,), "services": (f"{product}.service",)}
        yield step(f"remove.{product}.confirm", "confirm_absent", args=looked, condition=unless)


def _cover_clamav() -> Iterator[Step]:
    yield step("cover.clamav.enable", "enable_unit", args={"unit": "clamav-daemon.service"}, on_fail="continue")
    yield step("cover.clamav.start", "start_unit", args={"unit": "clamav-daemon.service"})
    yield step("cover.clamav.active", "unit_active", args={"unit": "clamav-daemon.service"})
    failed = Condition("cover_failed")
    yield step(
        "fallback.lantern.install",
        "install_packages",
        args={"manager": "apt", "packages": ("lantern",)},
        condition=failed,
    )
    yield step("fallback.lantern.active", "unit_active", args={"unit": "lantern.service"}, condition=failed)


def _finish() -> Iterator[Step]:
    path = "/var/opt/kaspersky/kesl"
    keep = (f"{path}/private/storage",)
    yield step("finish.path", "purge_path", args={"path": path, "keep": keep}, condition=Condition("remains", path))
    yield step("finish.group", "purge_group", args={"group": "kesluser"}, condition=Condition("remains", "kesluser"))


def _services() -> Iterator[Step]:
    """What was left in other services, with a line that is full of signs."""
    line = "smtpd_milters = inet:a:1, unix:/run/k'av milter"
    args = {"path": "/etc/postfix/main.cf", "lines": (line, "#klms-end"), "becomes": ("=smtpd_milters = inet:a:1", "-")}
    yield step("finish.edit.main.cf", "edit_lines", args={**args, "joined": "indent", "checks": ("postfix check",)})
    folder, bundle = "/usr/local/share/ca-certificates", "/etc/ssl/certs/ca-certificates.crt"
    store = {"refresh": "update-ca-certificates --fresh", "bundle": bundle, "hashed": "/etc/ssl/certs"}
    gone = Condition("product_absent", "kesl")
    files = (f"{folder}/a.crt", f"{folder}/b c.crt")
    yield step(
        "finish.trust", "remove_anchors", args={"files": files, "marks": ("S2FzcGVyc2t5",), **store}, condition=gone
    )


def _windows() -> Iterator[Step]:
    yield step("stage.defender.feature", "enable_feature", args={"feature": "Windows-Defender"})
    yield step("stage.lantern.fetch", "fetch", args={"name": "l.msi", "method": "share", "sha256": "0" * 64})
    codes = {"kes": "{E7C1F2A4-0000-4000-8000-000000000001}", "klnagent": "{E7C1F2A4-0000-4000-8000-000000000002}"}
    for product, code in codes.items():
        gone = Condition("product_absent", "kes") if product == "klnagent" else Condition()
        yield step(
            f"remove.{product}.msi.{code}",
            "msi_uninstall",
            args={"code": code, "properties": ("REBOOT=ReallySuppress",)},
            secrets={"KLPASSWD" if product == "kes" else "KLUNINSTPASSWD": f"{product}.password"},
            condition=gone,
        )
        looked = {"product": product, "codes": (code,)}
        yield step(f"remove.{product}.confirm", "confirm_absent", args=looked, condition=gone)
    yield step("cover.defender.exclusion", "add_exclusion", args={"type": "path", "value": "D:\\Daten\\Ä b"})
    yield step("cover.defender.start", "start_service", args={"service": "WinDefend"})
    yield step(
        "cover.defender.mode", "expect_defender", args={"property": "AMRunningMode", "value": "Normal"}, timeout=300
    )
    yield step("fallback.lantern.install", "install_msi", args={"name": "l.msi"}, condition=Condition("cover_failed"))
    yield step("reboot", "reboot", condition=Condition("reboot_required"))
    key = "SOFTWARE\\KasperskyLab\\protected\\KES"
    yield step("finish.registry", "purge_registry", args={"key": key}, condition=Condition("remains", key))
    yield step("finish.staged", "remove_staged")


PLANS: t.Final[Mapping[str, Plan]] = {
    "clamav-deb": plan(
        "linux",
        [
            *_stage_clamav("apt", ("clamav", "clamav-daemon")),
            *_remove("apt", "kesl", "klnagent"),
            *_cover_clamav(),
            step("reboot", "reboot", condition=Condition("reboot_required")),
            *_finish(),
        ],
    ),
    "clamav-rpm": plan(
        "linux", [*_stage_clamav("dnf", ("clamd",)), *_remove("dnf", "kesl"), *_cover_clamav(), *_finish()]
    ),
    "windows-defender": plan("windows", _windows(), replacement="defender_av"),
    "leftovers-only": plan("linux", _finish(), verdict="leftovers"),
    "services": plan("linux", _services(), verdict="leftovers"),
    "existing": plan(
        "linux",
        [
            *_remove("apt", "klnagent"),
            step("cover.existing.active", "unit_active", args={"unit": "shield.service"}, on_fail="continue"),
        ],
        replacement="existing",
        fallback="",
    ),
    "none": plan("linux", _remove("apt", "kesl"), replacement="none", fallback=""),
}


def text(made: job.Job) -> str:
    """What lies in the fixture: the job as a host gets it, the document laid out to be read."""
    if made.platform != "windows":
        return HEAD + made.posix()
    return json.dumps(made.windows(), indent=2, sort_keys=True) + "\n"


def golden() -> Iterator[tuple[Path, str]]:
    """Every fixture and what it should hold."""
    for name, whole in PLANS.items():
        for phase in PHASES:
            made = job.compile_job(whole, phase)
            if any(part.steps for part in made.parts):
                yield FOLDER / f"{name}.{phase}.{'json' if whole.platform == 'windows' else 'sh'}", text(made)


def main() -> None:
    """Write the fixtures anew."""
    FOLDER.mkdir(exist_ok=True)
    for old in (*FOLDER.glob("*.sh"), *FOLDER.glob("*.json")):
        old.unlink()
    for path, content in golden():
        path.write_text(content, encoding="utf-8")
        print(path.relative_to(tree.ROOT))


if __name__ == "__main__":
    main()
