# SPDX-License-Identifier: GPL-3.0-or-later
"""awx/: templates, surveys and credential types are what AWX takes, and ask for what the policy takes.

No AWX is at hand here: the rules of its API (24.6.1) and the arguments of its modules are written down below.
"""

from __future__ import annotations

import itertools
import re
import typing as t

import pytest
import yaml
from jinja2 import StrictUndefined, sandbox

from ansible_collections.evict.kaspersky.plugins.plugin_utils import knowledge, policy
from ansible_collections.evict.kaspersky.plugins.plugin_utils.policy import EXTRA_ONLY, VARIABLES, Policy, PolicyError
from ansible_collections.evict.kaspersky.plugins.plugin_utils.policy_checks import SECRET_NAME
from ansible_collections.evict.kaspersky.plugins.plugin_utils.provider import Source
from ansible_collections.evict.kaspersky.plugins.plugin_utils.verdict import Verb, default_fail_on
from tests import tree
from tests.unit import test_discovery as discovery
from tests.unit.test_argument_specs import options

FOLDER = tree.ROOT / "awx"
Question = dict[str, t.Any]
Template = dict[str, t.Any]

# Arguments of awx.awx.job_template that the templates use, and of what type they are.
TEXTS = {"name", "description", "organization", "inventory", "project", "playbook", "execution_environment", "job_type"}
NUMBERS = {"forks", "verbosity", "timeout", "job_slice_count"}
ASKED = {
    f"ask_{name}_on_launch"
    for name in (
        *("inventory", "credential", "limit", "verbosity", "job_type", "variables", "tags", "skip_tags", "diff_mode"),
        "scm_branch",
    )
}
SWITCHES = {"become_enabled", "diff_mode", "allow_simultaneous", "use_fact_cache", "survey_enabled", *ASKED}
ARGUMENTS = {*TEXTS, *NUMBERS, *SWITCHES, "credentials", "extra_vars", "survey_spec"}
# AWX's types of questions -> types of the argument specs they can answer.
TYPES = {
    "text": {"str", "raw"},
    "textarea": {"raw", "dict", "list"},
    "multiplechoice": {"str", "bool"},
    "multiselect": {"list"},
    "integer": {"int"},
}
# Template -> its role, and what it is for.
ROLE = {"audit": "audit", "plan": "remediate", "remediate": "remediate"}
# What the person who launches types into a field, and what it means as YAML would have it; more than one line each.
TYPED: dict[str, list[tuple[str, t.Any]]] = {
    "evict_hosts": [("linux:&production", "linux:&production")],
    "evict_run": [("CHG0042", "CHG0042")],
    "evict_max_failures": [("3", 3), ("5%", "5%")],
    "evict_approved_plan": [("/srv/evict/CHG0042/plan.json", "/srv/evict/CHG0042/plan.json")],
    "evict_waves": [
        ("1\n10\n50\n", [1, 10, 50]),
        ("1, 10, 50", [1, 10, 50]),
        ("- 1\n- 10\n- 50", [1, 10, 50]),
        ("[1, 10]\n", [1, 10]),
    ],
    "evict_replacement": [
        ("clamav\n", "clamav"),
        ("linux: clamav\r\nwindows: defender_av\r\n", {"linux": "clamav", "windows": "defender_av"}),
    ],
    "evict_fallback": [("none\n", "none"), ("linux: none", {"linux": "none"})],
    "evict_replacement_settings": [
        ("on_access: true\non_access_paths: [/srv]\n", {"on_access": True, "on_access_paths": ["/srv"]}),
    ],
    "evict_fallback_settings": [("updates: mirror\n", {"updates": "mirror"})],
    "evict_replacement_source": [
        ("method: mirror\nlocation: https://mirror.example/debian\n",
         {"method": "mirror", "location": "https://mirror.example/debian"}),
    ],
    "evict_fallback_source": [("method: repository\n", {"method": "repository"})],
    "evict_exclusions": [
        ("- path: /srv/db\n- extension: mdf\n", [{"path": "/srv/db"}, {"extension": "mdf"}]),
        ("path: /srv/db\n", [{"path": "/srv/db"}]),
    ],
    "evict_roles": [("mail\nproxy\n", ["mail", "proxy"]), ("- mail\n- proxy\n", ["mail", "proxy"])],
    "evict_windows": [
        ("2030-01-05T22:00:00+01:00/2030-01-06T04:00:00+01:00\n2030-02-05T22:00:00Z/2030-02-06T04:00:00Z\n",
         [{"start": "2030-01-05T22:00:00+01:00", "end": "2030-01-06T04:00:00+01:00"},
          {"start": "2030-02-05T22:00:00Z", "end": "2030-02-06T04:00:00Z"}]),
        ("- start: 2030-01-05T22:00:00+01:00\n  end: 2030-01-06T04:00:00+01:00\n",
         [{"start": "2030-01-05T22:00:00+01:00", "end": "2030-01-06T04:00:00+01:00"}]),
    ],
    "evict_proxy": [("http://proxy.example:3128", "http://proxy.example:3128")],
    "evict_waivers": [("waivers.yml", "waivers.yml")],
}  # fmt: skip
# Answers to what has no default and must be answered.
NEEDED = {
    "evict_hosts": "all",
    "evict_replacement": "clamav\n",
    "evict_consent": ["remove"],
    "evict_approved_plan": "/srv/evict/CHG0042/plan.json",
}
# What an answer needs beside it.
TOGETHER: dict[str, dict[str, t.Any]] = {"evict_reboot": {"evict_windows": "2030-01-05T22:00:00Z/2030-01-06T04:00:00Z"}}
# Variables of a remediation that its survey does not ask for -> why.
NOT_ASKED = {
    "evict_out": "one folder for each run; evict_evidence_dir and evict_run name it",
    "evict_evidence_dir": "a setting of the template, so that all three share it",
    "evict_fail_on": "the gate of a remediation fails what is not done",
    "evict_probe_timeout": "the default serves",
    "evict_prove": "of a verification; a remediation always proves",
    "evict_exclusive_group": "belongs to hosts: a variable of the inventory",
    "evict_secrets": "comes by credential",
}


class _Loader(yaml.SafeLoader):
    """Reads Ansible's `!unsafe` as the text it marks."""


_Loader.add_constructor("!unsafe", lambda loader, node: loader.construct_scalar(t.cast("yaml.ScalarNode", node)))


def load(name: str) -> dict[str, t.Any]:
    """A file below awx/."""
    found = yaml.load((FOLDER / name).read_text(), Loader=_Loader)  # a safe loader
    assert isinstance(found, dict)
    return found


TEMPLATES: dict[str, Template] = {name: load(f"job_templates/{name}.yml") for name in ROLE}
SECRETS = load("credential_types/removal_secrets.yml")
QUESTIONS = [(name, q) for name, template in TEMPLATES.items() for q in template["survey_spec"]["spec"]]
IDS = [f"{name}-{q['variable']}" for name, q in QUESTIONS]


def lines(value: object) -> list[str]:
    """A default of more than one choice, which AWX keeps as lines."""
    return [line for line in str(value).split("\n") if line]


def answer(question: Question) -> t.Any:
    """What AWX sends when the field is left as it is."""
    if question["type"] == "multiselect":
        return lines(question["default"])
    return question["default"]


def given(name: str, **more: t.Any) -> dict[str, t.Any]:
    """The answers to a survey, all as they are but for those without a default."""
    template = TEMPLATES[name]
    answers = {q["variable"]: answer(q) for q in template["survey_spec"]["spec"]}
    for variable, value in answers.items():
        if value in ("", []) and question(name, variable)["required"]:
            answers[variable] = NEEDED[variable]
    if name != "audit":  # the usual fallback is the replacement here
        answers |= {"evict_fallback": "none\n", "evict_consent": ["remove", "unprotected"]}
    return {**template["extra_vars"], **answers, **more}


def question(name: str, variable: str) -> Question:
    """A question of a survey."""
    found: list[Question] = TEMPLATES[name]["survey_spec"]["spec"]
    return next(q for q in found if q["variable"] == variable)


def made(name: str, **more: t.Any) -> Policy:
    """The policy of a launch."""
    return policy.validate(
        given(name, **more),
        extra=frozenset(given(name, **more)),
        providers=knowledge.providers(),
        products={entry.id for entry in knowledge.catalog().entries},
        plan=name != "audit",
    )


def test_the_folder_holds_nothing_else() -> None:
    found = {path for path in tree.files() if path.startswith("awx/")}
    assert found == {
        "awx/README.md",
        "awx/credential_types/removal_secrets.yml",
        *(f"awx/job_templates/{name}.yml" for name in ROLE),
    }


@pytest.mark.parametrize("name", ROLE)
def test_arguments_are_those_of_the_module(name: str) -> None:
    template = TEMPLATES[name]
    assert set(template) == ARGUMENTS
    assert all(isinstance(template[key], str) and template[key] for key in TEXTS)
    assert all(type(template[key]) is int and template[key] >= 0 for key in NUMBERS)
    assert all(isinstance(template[key], bool) for key in SWITCHES)
    assert template["name"] == f"evict.kaspersky {name}"
    assert template["survey_spec"]["name"]
    assert set(template["survey_spec"]) == {"name", "description", "spec"}


@pytest.mark.parametrize("name", ROLE)
def test_playbooks_are_there_and_offered(name: str) -> None:
    path = TEMPLATES[name]["playbook"]
    assert discovery.looks_like_playbook(tree.ROOT, path)
    assert f"evict.kaspersky.{ROLE[name]}" in (tree.ROOT / path).read_text()


def test_the_right_to_look_is_never_the_right_to_change() -> None:
    assert {name: t["job_type"] for name, t in TEMPLATES.items()} == {
        "audit": "check", "plan": "check", "remediate": "run"
    }  # fmt: skip
    for template in TEMPLATES.values():
        for key in ("job_type", "variables", "tags", "skip_tags", "scm_branch"):
            assert template[f"ask_{key}_on_launch"] is False, key
        assert template["ask_limit_on_launch"] is True  # or a workflow's limit is ignored
        assert template["allow_simultaneous"] is False
        assert template["job_slice_count"] == 1
        assert template["use_fact_cache"] is False
        assert template["survey_enabled"] is True


def test_the_three_share_where_evidence_lies() -> None:
    folders = {template["extra_vars"]["evict_evidence_dir"] for template in TEMPLATES.values()}
    assert len(folders) == 1
    assert folders.pop().startswith("/")  # one in the project would go with the container
    for template in TEMPLATES.values():
        policy.validate(template["extra_vars"], extra=())


def test_target_consent_and_waves_come_from_the_survey_alone() -> None:
    for name, template in TEMPLATES.items():
        assert not EXTRA_ONLY & set(template["extra_vars"])
        assert question(name, "evict_hosts")["required"]
    for name in ("plan", "remediate"):
        assert question(name, "evict_hosts")["default"] == ""
        assert question(name, "evict_consent")["default"] == ""  # nobody agrees by pressing on
    assert {q["variable"] for q in TEMPLATES["remediate"]["survey_spec"]["spec"]} >= EXTRA_ONLY
    for variable in ("evict_consent", "evict_waves", "evict_approved_plan"):
        assert question("remediate", variable)["required"]


def test_a_plan_and_its_remediation_ask_the_same() -> None:
    """Another answer makes another digest, and the approved plan is not performed."""
    plan = {q["variable"]: q for q in TEMPLATES["plan"]["survey_spec"]["spec"]}
    remediate = {q["variable"]: q for q in TEMPLATES["remediate"]["survey_spec"]["spec"]}
    assert set(plan) - set(remediate) == {"evict_fail_on"}
    assert set(remediate) - set(plan) == {
        *("evict_approved_plan", "evict_waves", "evict_max_failures", "evict_breaker_on", "evict_soak"),
        "evict_downloads",
    }
    for variable in set(plan) & set(remediate):
        assert {**plan[variable], "required": 0} == {**remediate[variable], "required": 0}, variable


def test_every_variable_is_asked_for_or_has_a_reason_not_to() -> None:
    asked = {q["variable"] for q in TEMPLATES["remediate"]["survey_spec"]["spec"]}
    assert asked & set(NOT_ASKED) == set()
    assert asked | set(NOT_ASKED) == set(VARIABLES)


@pytest.mark.parametrize(("name", "question"), QUESTIONS, ids=IDS)
def test_questions_follow_the_rules_of_the_api(name: str, question: Question) -> None:
    needed = {"variable", "question_name", "question_description", "type", "required", "default"}
    kind = question["type"]
    assert kind in TYPES  # `password` is none: a secret comes by credential
    choosing, counted = kind in ("multiplechoice", "multiselect"), kind in ("text", "textarea", "integer")
    assert set(question) == needed | ({"choices"} if choosing else set()) | ({"min", "max"} if counted else set())
    assert isinstance(question["required"], bool)
    assert re.fullmatch(r"[a-z_]+", question["variable"])
    assert type(question["default"]) is (int if kind == "integer" else str)
    if counted:
        assert 0 <= question["min"] <= question["max"]
        size = int(question["default"]) if kind == "integer" else len(str(question["default"]))
        assert size <= question["max"]
        assert size >= question["min"] or question["default"] == ""
    if choosing:
        assert all(isinstance(choice, str) for choice in question["choices"])
        chosen = lines(question["default"]) if kind == "multiselect" else [question["default"]]
        assert set(chosen) <= set(question["choices"])
    variables = [q["variable"] for q in TEMPLATES[name]["survey_spec"]["spec"]]
    assert variables.count(question["variable"]) == 1


@pytest.mark.parametrize(("name", "question"), QUESTIONS, ids=IDS)
def test_questions_fit_the_argument_specs(name: str, question: Question) -> None:
    spec = options(ROLE[name])[question["variable"]]
    assert spec["type"] in TYPES[question["type"]]
    if question["type"] == "multiplechoice":
        assert question["choices"] == spec.get("choices", ["true", "false"])
    assert not SECRET_NAME.search(question["variable"])


@pytest.mark.parametrize(("name", "question"), QUESTIONS, ids=IDS)
def test_every_choice_and_both_ends_are_taken(name: str, question: Question) -> None:
    variable, kind = question["variable"], question["type"]
    tries: list[t.Any] = [answer(question)]
    if kind == "multiplechoice":
        tries += question["choices"]
    elif kind == "multiselect":
        tries += [[], question["choices"], *([choice] for choice in question["choices"])]
    elif kind == "integer":
        tries += [question["min"], question["max"], str(question["max"])]
        for beyond in (question["min"] - 1, question["max"] + 1):  # the survey allows what the policy allows
            with pytest.raises(PolicyError):
                policy.validate({variable: beyond})
    else:
        tries += [text for text, _meaning in TYPED[variable]]
    for value in tries:
        if not (value == "" and question["required"]):
            policy.validate({**TOGETHER.get(variable, {}), variable: value})


@pytest.mark.parametrize("name", ROLE)
def test_every_text_field_was_typed_into(name: str) -> None:
    fields = [q["variable"] for q in TEMPLATES[name]["survey_spec"]["spec"] if q["type"] in ("text", "textarea")]
    assert set(fields) <= set(TYPED)


@pytest.mark.parametrize(("variable", "text", "meaning"), [(v, *pair) for v, pairs in TYPED.items() for pair in pairs])
def test_texts_of_fields_mean_what_they_say(variable: str, text: str, meaning: t.Any) -> None:
    field = VARIABLES[variable].field
    typed, plain = (policy.validate({variable: value}) for value in (text, meaning))
    assert getattr(typed, field) == getattr(plain, field) != getattr(Policy(), field)


@pytest.mark.parametrize("name", ROLE)
def test_fields_left_as_they_are_are_the_defaults_of_the_policy(name: str) -> None:
    found = made(name)
    expected: dict[str, t.Any] = {"hosts": "all", "evidence_dir": "/srv/evict", "fail_on": default_fail_on(Verb.AUDIT)}
    if name != "audit":
        expected |= {"consent": frozenset({"remove", "unprotected"})}
        expected |= {"replacement": {"linux": "clamav"}, "fallback": {"linux": "none", "windows": "none"}}
    if name == "remediate":
        expected |= {"approved_plan": NEEDED["evict_approved_plan"]}
    for field, value in {**vars(Policy()), **expected}.items():
        assert getattr(found, field) == value, field


def test_a_wrong_answer_is_told() -> None:
    with pytest.raises(PolicyError, match="evict_roles"):
        made("remediate", evict_roles="mail\nprxy\n")
    with pytest.raises(PolicyError, match="evict_waves"):
        made("remediate", evict_waves="1\nten\n")
    assert made("plan", evict_replacement_source="method: repository").replacement_source == Source(method="repository")


# ---- credential types

FIELDS = [field["id"] for field in SECRETS["inputs"]["fields"]]


def render(filled: set[str]) -> dict[str, t.Any]:
    """The extra vars AWX makes of a credential; files as it makes them, one each, empty or not."""
    environment = sandbox.ImmutableSandboxedEnvironment()
    files = {label.partition(".")[2]: f"/runner/env/tmp{n}" for n, label in enumerate(SECRETS["injectors"]["file"])}
    values = dict.fromkeys(filled, "x")
    tower = {"filename": files}
    return {
        name: environment.from_string(text).render(**values, tower=tower)
        for name, text in SECRETS["injectors"]["extra_vars"].items()
    }


def test_the_credential_type_is_what_the_api_takes() -> None:
    assert set(SECRETS) == {"name", "description", "kind", "inputs", "injectors"}
    assert SECRETS["kind"] == "cloud"
    assert len(FIELDS) == len(set(FIELDS))
    for field in SECRETS["inputs"]["fields"]:
        assert set(field) - {"secret", "multiline"} == {"id", "label", "type"}
        assert field.get("secret", False) is (not field["id"].endswith("_login"))
    # Never by environment, which ansible-runner writes down in the clear, and no value in an extra variable.
    assert set(SECRETS["injectors"]) == {"file", "extra_vars"}
    assert SECRETS["injectors"]["file"] == {f"template.{name}": f"{{{{ {name} }}}}" for name in FIELDS}
    assert set(SECRETS["injectors"]["extra_vars"]) == {"evict_secrets"}
    environment = sandbox.ImmutableSandboxedEnvironment(undefined=StrictUndefined)  # as AWX checks it when it is saved
    names = {"tower": {"filename": dict.fromkeys(FIELDS, "EXAMPLE_FILENAME")}, **dict.fromkeys(FIELDS, "EXAMPLE")}
    environment.from_string(SECRETS["injectors"]["extra_vars"]["evict_secrets"]).render(names)


def test_every_secret_of_catalog_and_providers_has_a_field() -> None:
    wanted = {(entry.id, secret.name) for entry in knowledge.catalog().entries for secret in entry.secrets}
    wanted |= {(name, secret.name) for name, one in knowledge.providers().items() for secret in one.secrets}
    found = policy.validate(render(set(FIELDS))).secrets
    assert {(owner, name) for owner, names in found.items() for name in names} == wanted
    files = [ref.name for names in found.values() for ref in names.values()]
    assert len(set(files)) == len(FIELDS) == len(wanted)


@pytest.mark.parametrize("filled", [set(), *({name} for name in FIELDS), *map(set, itertools.combinations(FIELDS, 2))])
def test_what_is_left_empty_is_not_named(filled: set[str]) -> None:
    rendered = render(filled)
    found = policy.validate(rendered, providers=knowledge.providers()).secrets
    files = {ref.name for names in found.values() for ref in names.values()}
    alone = {"kes_login": "kes_password", "falcon_provisioning": "falcon_cid"}  # of no use without the other
    assert len(files) == len([name for name in filled if alone.get(name, name) in filled])
    assert "{{" not in rendered["evict_secrets"]  # nothing that Ansible would take for a template
    assert "{%" not in rendered["evict_secrets"]
