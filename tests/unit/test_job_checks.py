# SPDX-License-Identifier: GPL-3.0-or-later
"""What may not become a job: each refusal by its words, and what must never be touched."""

from __future__ import annotations

import dataclasses
import typing as t
from collections.abc import Sequence

import pytest

from ansible_collections.evict.kaspersky.plugins.plugin_utils.job import JobError, compile_job
from ansible_collections.evict.kaspersky.plugins.plugin_utils.plan import Step
from ansible_collections.evict.kaspersky.plugins.plugin_utils.steps import Condition
from tests import jobs


def first(steps: Sequence[Step], **changes: t.Any) -> list[Step]:
    """The steps, the first one changed."""
    return [dataclasses.replace(steps[0], **changes), *steps[1:]]


REMOVE: t.Final = [
    jobs.step("remove.a", "remove_package", args={"manager": "apt", "package": "a"}),
    jobs.step("cover.b", "unit_active", args={"unit": "b.service"}, on_fail="continue"),
]
STAGE: t.Final = [jobs.step("stage.a", "write_file", args={"path": "/etc/a", "text": "x", "mode": "0600"})]
SECRET: t.Final = "Correct horse battery staple"
REFUSED: t.Final[Sequence[tuple[str, Sequence[Step], dict[str, t.Any], str]]] = [
    ("blocked", (), {"state": "blocked"}, "is blocked: there is nothing to perform"),
    ("undecided", (), {"state": "undecided"}, "is undecided"),
    ("excepted", (), {"state": "excepted"}, "is excepted"),
    ("nothing to do", (), {"state": "nothing_to_do"}, "is nothing_to_do"),
    ("platform", STAGE, {"platform": "macos"}, "no hand performs steps on 'macos'"),
    ("kind", first(STAGE, kind="format_disk"), {}, "'format_disk' is no kind of step"),
    ("kind of Windows", [jobs.step("stage.a", "enable_feature", args={"feature": "x"})], {}, "not known on linux"),
    ("kind of Linux", STAGE, {"platform": "windows"}, "not known on windows"),
    ("argument", first(STAGE, args={**STAGE[0].args, "owner": "root"}), {}, "has no argument 'owner'"),
    ("missing argument", first(STAGE, args={"path": "/etc/a", "text": "x"}), {}, "needs the argument 'mode'"),
    ("list for a text", first(STAGE, args={**STAGE[0].args, "path": ("a", "b")}), {}, "'path' must be one text"),
    ("NUL", first(STAGE, args={**STAGE[0].args, "text": "a\0b"}), {}, "'text' has a character"),
    ("half a character", first(STAGE, args={**STAGE[0].args, "text": "\ud800"}), {}, "'text' has a character"),
    ("host", STAGE, {"host": "a\0"}, "the inventory name has a character"),
    ("twice", [*STAGE, *STAGE], {}, "another step has the same id"),
    ("id", first(STAGE, id="-n"), {}, "its id must begin"),
    ("id of two lines", first(STAGE, id="a\nb"), {}, "its id must begin"),
    ("condition", first(STAGE, condition=Condition("full_moon")), {}, "'full_moon' is no condition"),
    ("condition of nothing", first(STAGE, condition=Condition("remains")), {}, "needs what it is about"),
    ("condition of something", first(STAGE, condition=Condition("always", "x")), {}, "is not about anything"),
    ("timeout", first(STAGE, timeout=0), {}, "a timeout of 0 s"),
    ("restart", [jobs.step("finish.r", "reboot")], {}, "a restart has its place in the staging"),
    ("irreversible stage", [jobs.step("stage.p", "purge_group", args={"group": "g"})], {}, "no place before"),
    ("understated", first(REMOVE, change="none"), {}, "its change is 'none', but remove_package is irreversible"),
    ("stop after no return", first(REMOVE, on_fail="stop"), {}, "nothing may stop the job"),
    ("stop in the cover", [REMOVE[0], dataclasses.replace(REMOVE[1], on_fail="stop")], {}, "nothing may stop the job"),
    ("no cover", REMOVE[:1], {}, "nothing covers the host afterwards"),
    ("no fallback", first(REMOVE, on_fail="fallback"), {}, "goes on with the fallback, and there is none"),
    ("cover again", [REMOVE[0], dataclasses.replace(REMOVE[1], on_fail="cover")], {}, "the cover again"),
    ("jump out of stage", first(STAGE, on_fail="cover"), {}, "is part of the commit, and this step is not"),
    ("section of stage", first(STAGE, section="cover"), {}, "is not part of the phase"),
    ("commit without section", first(REMOVE, section=""), {}, "is not part of the phase"),
    ("order", REMOVE[::-1], {}, "is over"),
    ("looks for nothing", [jobs.step("finish.c", "confirm_absent", args={"product": "a"})], {}, "look for nothing"),
    (
        "no package",
        [jobs.step("stage.i", "install_packages", args={"manager": "apt", "packages": ()})],
        {},
        "no package",
    ),
    ("value of a secret", first(STAGE, secrets={"T": SECRET}), {}, "must be given as `owner.NAME`"),
    ("name of a secret", first(STAGE, secrets={"T T": "a.b"}), {}, "no name of an argument"),
]


@pytest.mark.parametrize(("steps", "given", "words"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_what_may_not_become_a_job(steps: Sequence[Step], given: dict[str, t.Any], words: str) -> None:
    plan = dataclasses.replace(jobs.plan("linux", steps), **given)
    for phase in jobs.PHASES:
        with pytest.raises(JobError) as caught:
            compile_job(plan, phase)
        assert words in str(caught.value)
        assert SECRET not in str(caught.value)


def test_all_reasons_are_named_at_once() -> None:
    steps = [dataclasses.replace(STAGE[0], timeout=0, kind="x"), dataclasses.replace(REMOVE[0], on_fail="stop")]
    with pytest.raises(JobError) as caught:
        compile_job(jobs.plan("linux", steps), "stage")
    assert len(str(caught.value).splitlines()) == 3


def test_the_restart_is_no_job() -> None:
    with pytest.raises(JobError, match="'reboot' is no job"):
        compile_job(jobs.PLANS["clamav-deb"], "reboot")


def test_a_feature_may_bring_its_restart_along_in_the_staging_only() -> None:
    feature = jobs.step("stage.feature", "enable_feature", args={"feature": "Windows-Defender"})
    needed = Condition("reboot_required")
    restart = jobs.step("stage.restart", "reboot", change="reversible", condition=needed)
    assert compile_job(jobs.plan("windows", [feature, restart]), "stage").parts[0].steps == (feature, restart)
    for wrong in (
        dataclasses.replace(restart, change="irreversible"),
        dataclasses.replace(restart, change="none"),
        dataclasses.replace(restart, phase="commit", section="cover", change="irreversible", on_fail="continue"),
    ):
        with pytest.raises(JobError):
            compile_job(jobs.plan("windows", [feature, wrong]), "stage")


def test_without_protection_only_when_it_was_chosen() -> None:
    assert compile_job(jobs.plan("linux", REMOVE[:1], replacement="none", fallback=""), "commit")
    for replacement in ("", "existing", "clamav"):
        with pytest.raises(JobError, match="nothing covers"):
            compile_job(jobs.plan("linux", REMOVE[:1], replacement=replacement), "commit")


STORE: t.Final = "/var/opt/kaspersky/kesl/private/storage"


@pytest.mark.parametrize(
    ("kind", "args", "never", "is_refused"),
    [
        ("purge_path", {"path": STORE}, STORE, True),
        ("purge_path", {"path": f"{STORE}/a"}, STORE, True),
        ("purge_path", {"path": "/var/opt/kaspersky/kesl"}, STORE, True),
        ("purge_path", {"path": "/"}, STORE, True),
        ("purge_path", {"path": "/var/opt/*/kesl"}, STORE, True),
        ("purge_path", {"path": "/var/opt/kaspersky/kesl/private/st*"}, STORE, True),
        ("purge_path", {"path": "/var/opt/kaspersky", "keep": (STORE,)}, STORE, False),
        ("purge_path", {"path": STORE, "keep": (STORE,)}, STORE, True),
        ("purge_path", {"path": "/var/opt/kaspersky", "keep": ("/elsewhere",)}, STORE, True),
        ("purge_path", {"path": f"{STORE}room"}, STORE, False),
        ("purge_path", {"path": "/opt/kaspersky"}, STORE, False),
        ("purge_group", {"group": "klusers"}, "klusers", True),
        ("purge_group", {"group": "kl"}, "klusers", False),
        ("purge_user", {"user": "ksc"}, "ksc", True),
    ],
)
def test_what_must_never_be_touched(kind: str, args: dict[str, t.Any], never: str, is_refused: bool) -> None:
    plan = jobs.plan("linux", [jobs.step("finish.x", kind, args=args)])
    if not is_refused:
        assert compile_job(plan, "finish", {never})
        return
    for phase in jobs.PHASES:  # whichever phase is asked for
        with pytest.raises(JobError, match="must never be touched"):
            compile_job(plan, phase, {never})


@pytest.mark.parametrize(
    ("kind", "args", "never", "is_refused"),
    [
        ("purge_registry", {"key": r"HKLM\SOFTWARE\KasperskyLab\Data"}, r"software\kasperskylab\data", True),
        ("purge_registry", {"key": r"SOFTWARE\KasperskyLab"}, r"SOFTWARE\KasperskyLab\Data", True),
        ("purge_registry", {"key": r"SOFTWARE\KasperskyLab\Other"}, r"SOFTWARE\KasperskyLab\Data", False),
        ("purge_path", {"path": r"%ProgramData%\Kaspersky Lab\KES.21\QB"}, r"%ProgramData%\Kaspersky Lab\KES*", True),
        ("msi_uninstall", {"code": "{AA}"}, "{aa}", True),
        ("msi_uninstall", {"code": "{AA}"}, "{bb}", False),
    ],
)
def test_what_must_never_be_touched_on_windows(kind: str, args: dict[str, t.Any], never: str, is_refused: bool) -> None:
    id = "remove.x" if kind == "msi_uninstall" else "finish.x"
    plan = jobs.plan("windows", [jobs.step(id, kind, args=args)], replacement="none")
    if not is_refused:
        assert compile_job(plan, "finish", {never})
        return
    with pytest.raises(JobError, match="must never be touched"):
        compile_job(plan, "finish", {never})


def test_looking_at_what_must_not_be_touched_is_no_touch() -> None:
    step = jobs.step("cover.x", "unit_active", args={"unit": "klnagent64.service"}, on_fail="continue")
    assert compile_job(jobs.plan("linux", [step]), "commit", {"klnagent64.service"}).parts[1].steps == (step,)
