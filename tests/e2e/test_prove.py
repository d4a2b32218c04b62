# SPDX-License-Identifier: GPL-3.0-or-later
"""The verb `prove` through real ansible-playbook, with a scanner that really blocks: result, evidence, refusals."""

from __future__ import annotations

import json
import typing as t
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.evict.kaspersky.plugins.plugin_utils import evidence
from ansible_collections.evict.kaspersky.plugins.plugin_utils.outcome import Outcome
from ansible_collections.evict.kaspersky.plugins.plugin_utils.performing import DONE, Performed
from ansible_collections.evict.kaspersky.plugins.plugin_utils.proof import Proof
from tests import jobs, runs
from tests.e2e import playbooks
from tests.watched import file_system, watching

PLAY: t.Final = """
- name: Prove
  hosts: all
  gather_facts: false
  tasks:
    - name: Prove
      evict.kaspersky.prove: {options}
      register: proved
      {keyword}

    - name: Hand out what came back
      ansible.builtin.copy:
        content: "{{{{ proved | to_json }}}}"
        dest: "{where}/{{{{ inventory_hostname }}}}.json"
        mode: "0600"
      delegate_to: localhost
      check_mode: false
"""


class Place(t.NamedTuple):
    """A working folder, and a folder that a scanner watches."""

    where: Path
    watched: Path

    def prove(
        self,
        *args: str,
        options: dict[str, t.Any] | None = None,
        keyword: str = "",
        inventory: str = "web1 ansible_connection=local",
        **settings: t.Any,
    ) -> playbooks.Run:
        """Run one task for a host whose protection is there already."""
        own: dict[str, t.Any] = {"service_names": ["other.service"], "watched_paths": [str(self.watched)]}
        own |= {"detection_test": "eicar_on_access", **settings.pop("own", {})}
        given = {"evict_replacement": {"linux": "existing"}, "evict_replacement_settings": own, **settings}
        play = self.where / "play.yml"
        text = json.dumps({"seconds": 3} if options is None else options)
        play.write_text(PLAY.format(options=text, keyword=keyword, where=self.where))
        done = playbooks.run(self.where, f"{inventory}\n", "-e", json.dumps(given), *args, playbook=str(play))
        assert "Traceback" not in done.out
        return done

    def result(self) -> dict[str, t.Any]:
        """What the task returned."""
        data: dict[str, t.Any] = json.loads((self.where / "web1.json").read_text())
        return data

    def recorded(self) -> list[dict[str, t.Any]]:
        """The data of the events `proof` in the host's evidence, which is whole and fits its schema."""
        logs = [evidence.load(file) for file in self.where.glob("run/hosts/*.jsonl")]
        assert not any(log.problems for log in logs)
        validator = runs.schema("evidence-1")
        found = [record for log in logs for record in log.records if record.event == "proof"]
        for file in self.where.glob("run/hosts/*.jsonl"):
            assert not [e for line in file.read_text().splitlines() for e in validator.iter_errors(json.loads(line))]
        return [dict(record.data) for record in found]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with file_system(tmp_path) as watched:
        yield Place(tmp_path, watched)


# In the second way the script travels as a file.
@pytest.mark.parametrize("way", ["", " ansible_pipelining=false"])
def test_what_is_proved_stands_in_result_and_evidence(place: Place, way: str) -> None:
    with watching("read", place.watched):
        done = place.prove("-vvv", inventory=f"web1 ansible_connection=local{way}")
    assert done.code == 0, done.out
    (recorded,) = place.recorded()
    assert place.result()["proof"] == recorded
    found = Proof.from_dict(recorded)
    assert (found.provider, found.role, found.result, found.level) == ("existing", "replacement", "pass", "on_access")
    assert place.result()["changed"] is False
    assert list(place.watched.iterdir()) == []
    # Put together here, because the whole string makes scanners remove this file.
    literal = ("X5O!P%" + "@AP").encode()
    texts = [path.read_bytes() for path in place.where.rglob("*") if path.is_file()]
    assert not [text for text in (*texts, done.out.encode()) if literal in text or literal.hex().encode() in text]


def test_a_scanner_that_misses_it_fails_no_task(place: Place) -> None:
    done = place.prove()
    assert done.code == 0, done.out
    (recorded,) = place.recorded()
    assert recorded["result"] == "fail"
    assert recorded["control_ok"] is True


def test_check_mode_says_what_would_be_done_and_does_nothing(place: Place) -> None:
    folder = runs.begun(place.where / "run", inventory=["web1"])
    folder.record("web1", "plan", jobs.PLANS["clamav-deb"].to_dict())
    done = place.prove("--check")
    assert done.code == 0, done.out
    assert place.result()["prediction"].startswith("would write two probe files")
    assert str(place.watched) in place.result()["prediction"]
    assert "proof" not in place.result()
    assert place.recorded() == []


def test_what_nobody_can_prove_is_not_tried(place: Place) -> None:
    done = place.prove(
        own={"detection_test": "console_only"}, inventory="web1 ansible_connection=ssh ansible_host=0.0.0.0"
    )
    assert done.code == 0, done.out
    (recorded,) = place.recorded()
    assert (recorded["result"], recorded["control_ok"]) == ("not_applicable", None)
    assert "console" in recorded["detail"]


def test_a_host_that_cannot_be_reached_is_a_result(place: Place) -> None:
    done = place.prove(inventory="web1 ansible_connection=ssh ansible_host=127.0.0.1 ansible_port=1")
    assert done.code == 0, done.out
    (recorded,) = place.recorded()
    assert recorded["result"] == "error"
    assert "refused" in recorded["detail"]


@pytest.mark.parametrize(
    ("options", "keyword", "words"),
    [
        ({"second": 3}, "", "`second` is no option"),
        ({"seconds": 0}, "", "`seconds` must be 1 to 600"),
        ({"seconds": "soon"}, "", "`seconds` must be 1 to 600"),
        ({"role": "both"}, "", "`role` must be one of replacement, fallback"),
        ({}, "delegate_to: localhost", "cannot run with `delegate_to`"),
        ({}, "run_once: true", "cannot run with `run_once`"),
        ({}, "loop: [1, 2]", "cannot run with `loop`"),
        ({}, "retries: 2", "cannot run with `until`"),
        ({}, "async: 10", "async"),
    ],
)
def test_what_is_refused_touches_nothing(place: Place, options: dict[str, t.Any], keyword: str, words: str) -> None:
    done = place.prove(options=options, keyword=keyword)
    assert done.code == 2, done.out
    assert words in done.out
    assert place.recorded() == []


def test_a_plan_that_was_not_performed_needs_no_test(place: Place) -> None:
    folder = runs.begun(place.where / "run", inventory=["web1"])
    folder.record("web1", "plan", jobs.PLANS["clamav-deb"].to_dict())
    done = place.prove()
    assert done.code == 0, done.out
    assert "was not performed" in place.result()["skipped_because"]
    assert place.recorded() == []


def test_the_fallback_is_tested_where_it_came(place: Place) -> None:
    plan = jobs.PLANS["clamav-deb"]
    folder = runs.begun(place.where / "run", inventory=["web1"])
    folder.record("web1", "plan", plan.to_dict())
    step = Outcome(step="fallback.clamav.engine-runs", phase="commit", status="done", changes=False)
    item = Performed(phase="commit", digest=plan.digest(), seal="0" * 64, code=0, outcomes=(step,))
    folder.record("web1", DONE, item.to_dict())
    done = place.prove(evict_fallback={"linux": "none"}, evict_consent=["remove", "unprotected"])
    assert done.code == 0, done.out
    (recorded,) = place.recorded()
    assert (recorded["role"], recorded["provider"], recorded["result"]) == ("fallback", "none", "not_applicable")
