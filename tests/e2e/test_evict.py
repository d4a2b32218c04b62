# SPDX-License-Identifier: GPL-3.0-or-later
"""The `evict` command end to end: exit codes, folders, killed runs, wrong input."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e import playbooks
from tests.unit import test_observation as answers

ABSENT = f"print({answers.frame(*answers.whole())!r}.replace({answers.NONCE!r}, nonce))\n"
KESL = "R packages.dpkg name=kesl version=12.1.0.1297 arch=amd64 state=ii"
PRESENT = (
    f"print({answers.frame(KESL, *answers.whole(**{'packages.dpkg': 'ok'}))!r}.replace({answers.NONCE!r}, nonce))\n"
)


def evict(where: Path, *args: str, **more: str) -> playbooks.Run:
    done = subprocess.run(
        [sys.executable, "-m", "evict", *args],
        cwd=where,
        env=playbooks.environment(**more),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=300,
        check=False,
        start_new_session=True,  # what a test kills by its group must not be the tests
    )
    return playbooks.Run(done.returncode, done.stdout.decode("utf-8", "replace"), where / "run")


def inventory(where: Path, **hosts: str) -> str:
    """Hosts that answer as stand-ins: name -> Python code of playbooks.stand_in, or a line of variables."""
    lines = []
    for name, body in hosts.items():
        if body.startswith("ansible_"):
            lines.append(f"{name} {body}")
        else:
            fake = playbooks.stand_in(where / f"sh-{name}", body)
            lines.append(f"{name} ansible_connection=local ansible_shell_executable={fake}")
    file = where / "hosts"
    file.write_text("\n".join(lines) + "\n")
    return str(file)


DEAD = "ansible_host=127.0.0.1 ansible_port=1"


@pytest.mark.parametrize(
    ("hosts", "code", "verdicts"),
    [
        ({"a": ABSENT}, 0, {"a": "absent"}),
        ({"a": PRESENT}, 0, {"a": "present"}),
        ({"a": ABSENT, "b": "print('nothing to see')\n"}, 2, {"a": "absent", "b": "unknown"}),
        ({"a": PRESENT, "b": DEAD}, 2, {"a": "present", "b": "unreachable"}),
    ],
)
def test_exit_code_comes_from_rows(tmp_path: Path, hosts: dict[str, str], code: int, verdicts: dict[str, str]) -> None:
    done = evict(tmp_path, "audit", "-i", inventory(tmp_path, **hosts), "--out", str(tmp_path / "run"))
    assert {name: row["verdict"] for name, row in done.rows().items()} == verdicts
    assert done.code == code, done.out
    assert "Traceback" not in done.out
    checked = evict(tmp_path, "check-evidence", str(tmp_path / "run"))
    assert checked.code == 0, checked.out


def test_run_folder_is_private(tmp_path: Path) -> None:
    evict(tmp_path, "audit", "-i", inventory(tmp_path, a=ABSENT), "--out", str(tmp_path / "run"))
    modes = {p.relative_to(tmp_path): p.stat().st_mode & 0o777 for p in (tmp_path / "run").rglob("*")}
    assert len(modes) >= 5
    assert all(mode == (0o700 if (tmp_path / path).is_dir() else 0o600) for path, mode in modes.items()), modes


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--limit", "nosuch"], "nosuch"),
        (["-e", "evict_hosts=nosuch"], "nosuch"),
        (["-e", "evict_fail_on=nonsense"], "nonsense"),
        (["--no-such-option"], "--no-such-option"),
        (["--out", "/proc/nowhere"], "/proc"),
        (["--out"], "--out needs a value"),
    ],
)
def test_bad_input_is_named_and_ends_with_an_error(tmp_path: Path, args: list[str], words: str) -> None:
    done = evict(tmp_path, "audit", "-i", inventory(tmp_path, a=ABSENT), *args)
    assert done.code not in (0, 3)
    assert words in done.out
    assert "Traceback" not in done.out


def test_broken_inventory_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "hosts.yml").write_text("all:\n  hosts: [unclosed\n")
    done = evict(tmp_path, "audit", "-i", str(tmp_path / "hosts.yml"))
    assert done.code == 1
    assert "hosts.yml" in done.out


def test_a_catalog_with_a_mistake_is_named(tmp_path: Path) -> None:
    """A copy of the collection with one wrong key in one entry: nothing is judged by half a catalog."""
    copy = tmp_path / "ansible_collections" / "evict" / "kaspersky"
    copy.mkdir(parents=True)
    for part in ("catalog", "schemas", "probes", "plugins", "roles", "playbooks", "meta"):
        subprocess.run(["cp", "-rL", str(playbooks.ROOT / part), str(copy)], check=True)
    entry = copy / "catalog" / "products" / "linux" / "kesl.yml"
    entry.write_text(entry.read_text().replace("family: endpoint", "famly: endpoint"))
    done = playbooks.run(tmp_path, "a ansible_connection=local\n", env={"PYTHONPATH": str(tmp_path)})
    assert done.code != 0
    assert "products/linux/kesl.yml" in done.out
    assert "famly" in done.out


def test_used_folder_is_refused_before_any_host_is_asked(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "mine").write_text("")
    done = evict(tmp_path, "audit", "-i", inventory(tmp_path, a=ABSENT), "--out", str(tmp_path / "run"))
    assert done.code == 1
    assert "is not empty" in done.out
    assert [p.name for p in (tmp_path / "run").iterdir()] == ["mine"]


def test_a_run_leaves_reports_for_people(tmp_path: Path) -> None:
    """By the command and by the playbook alone, with the callback and without it: the same files, in the manifest."""
    hosts = inventory(tmp_path, a=PRESENT, b=ABSENT)
    done = evict(tmp_path, "audit", "-i", hosts, "--out", str(tmp_path / "run"))
    assert f"report: {tmp_path / 'run' / 'report.html'} (for a browser), report.csv beside it" in done.out
    folders = [tmp_path / "run"]
    for name, callbacks in (("with", "evict.kaspersky.rows"), ("without", "ansible.builtin.default")):
        (tmp_path / name).mkdir()
        text = Path(hosts).read_text()
        run = playbooks.run(tmp_path / name, text, env={"ANSIBLE_CALLBACKS_ENABLED": callbacks})
        folders.append(run.folder)
    for folder in folders:
        assert (folder / "report.csv").read_text(encoding="utf-8-sig").count("\n") == 3
        assert "1 of 2 hosts needs attention: 1 present." in (folder / "report.html").read_text()
        listed = {entry["path"] for entry in json.loads((folder / "manifest.json").read_text())["files"]}
        assert {"rows.json", "report.csv", "report.html"} <= listed
        assert evict(tmp_path, "check-evidence", str(folder)).code == 0


def test_report_of_a_killed_run(tmp_path: Path) -> None:
    hosts = inventory(tmp_path, a=PRESENT, b="time.sleep(60)\n")
    playbooks.kill_after(tmp_path, Path(hosts), 1)
    assert not (tmp_path / "run" / "rows.json").exists()
    done = evict(tmp_path, "report", str(tmp_path / "run"), "--format", "json")
    rows = {row["host"]: row for row in done.rows().values()}
    assert rows["a"]["verdict"] == "present"
    assert rows["b"]["verdict"] == "not_attempted"
    assert json.loads((tmp_path / "run" / "rows.json").read_text())["complete"] is False
    assert "The run did not come to its end" in (tmp_path / "run" / "report.html").read_text()
    checked = evict(tmp_path, "check-evidence", str(tmp_path / "run"))
    assert checked.code == 0
    assert "incomplete" in checked.out


def test_changed_evidence_is_found(tmp_path: Path) -> None:
    evict(tmp_path, "audit", "-i", inventory(tmp_path, a=PRESENT), "--out", str(tmp_path / "run"))
    file = tmp_path / "run" / "hosts" / "a.jsonl"
    file.write_bytes(file.read_bytes().replace(b'"present"', b'"absent"'))
    checked = evict(tmp_path, "check-evidence", str(tmp_path / "run"))
    assert checked.code == 1
    assert "hosts/a.jsonl" in checked.out
