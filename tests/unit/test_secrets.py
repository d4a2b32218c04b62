# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets by name: which a plan may need, their forms, and references resolved by real Ansible."""

from __future__ import annotations

import copy
import dataclasses
import json
import os
import pickle
import re
import subprocess
import sys
import typing as t
from inspect import signature
from pathlib import Path

import pytest
from ansible.parsing import vault as vaults
from ansible.parsing.dataloader import DataLoader
from ansible.parsing.vault import VaultLib, VaultSecret
from ansible.plugins.loader import lookup_loader
from ansible.template import Templar
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.evict.kaspersky.plugins.plugin_utils import secret_names
from ansible_collections.evict.kaspersky.plugins.plugin_utils.catalog import Catalog
from ansible_collections.evict.kaspersky.plugins.plugin_utils.policy_types import SecretRef
from ansible_collections.evict.kaspersky.plugins.plugin_utils.provider import (
    Provider,
    ProviderPlatform,
    ProviderSecret,
    StepTemplate,
)
from ansible_collections.evict.kaspersky.plugins.plugin_utils.redact import Redactor
from ansible_collections.evict.kaspersky.plugins.plugin_utils.secret_names import Need, SecretFormError
from ansible_collections.evict.kaspersky.plugins.plugin_utils.secret_vault import Resolved, SecretError, Vault
from tests import canary, tree

PASSWORD = b"opens the vault"


def provider(name: str, *secrets: ProviderSecret, uses: tuple[str, ...] = ()) -> Provider:
    step = StepTemplate(
        id="token", kind="run", args={}, reason="", when={}, secrets={f"arguments.{n}": n for n in uses}
    )
    return Provider(
        id=name,
        name=name,
        kind="edr",
        description="",
        counts_as_protection=True,
        detection="none",
        detection_reason="",
        platforms={"linux": ProviderPlatform(), "windows": ProviderPlatform(cover=(step,))},
        settings={},
        secrets=secrets,
        sources={},
    )


# ---- names and forms


def test_what_a_plan_needs_comes_from_catalog_and_providers(catalog: Catalog) -> None:
    entries = [entry for name in ("kes", "klnagent") for entry in catalog.entries if entry.id == name and entry.secrets]
    edr = provider("edr", ProviderSecret(name="CID", used_for="enrol"), uses=("CID",))
    mail = provider("mail", ProviderSecret(name="KEY", used_for="licence", required=False))
    needs = secret_names.needed(entries, edr, mail)
    assert [(need.id, need.format, need.required) for need in needs] == [
        ("kes.KLLOGIN", "plain", "when locked"),
        ("kes.KLPASSWD", "plain", "when locked"),
        ("klnagent.KLUNINSTPASSWD", "utf16le_hex", "when locked"),
        ("edr.CID", "plain", "yes"),
        ("mail.KEY", "plain", "optional"),
    ]
    assert secret_names.needed([], edr, edr, "windows") == needs[3:4]
    assert secret_names.needed([], edr, mail, "linux") == ()  # no step there uses them
    assert secret_names.needed([], None, None) == ()


def test_every_format_of_the_catalog_is_known(catalog: Catalog) -> None:
    formats = {secret.format for entry in catalog.entries for secret in entry.secrets}
    assert formats == {*secret_names.FORMATS, secret_names.UNKNOWN}


def test_the_form_is_the_users_word_or_the_catalogs() -> None:
    need = Need("kea", "PASSWORD", "unknown", "removal", "when locked")
    with pytest.raises(SecretFormError, match=r"nobody knows in which form kea takes it: .*`format:`.*kea.PASSWORD"):
        secret_names.form(need, SecretRef("variable", "x"))
    assert secret_names.form(need, SecretRef("variable", "x", format="plain")) == "plain"
    assert secret_names.form(dataclasses.replace(need, format="utf16le_hex"), None) == "utf16le_hex"
    with pytest.raises(SecretFormError, match="one of: plain, utf16le_hex"):
        secret_names.form(need, SecretRef("variable", "x", format="rot13"))
    with pytest.raises(SecretFormError, match="one of: plain, utf16le_hex"):
        secret_names.encode("x", "unknown")


def test_the_agents_form_is_that_of_the_documented_example() -> None:
    assert secret_names.encode("Ab1", "utf16le_hex") == "410062003100"
    assert secret_names.encode("Ab1", "plain") == "Ab1"


@given(st.text(st.characters(), min_size=1, max_size=30))
def test_any_text_has_a_form_or_a_reason_without_it(value: str) -> None:
    for name in secret_names.FORMATS:
        if "\0" in value or (name != "plain" and re.search("[\r\n]", value)) or re.search("[\ud800-\udfff]", value):
            with pytest.raises(SecretFormError) as caught:
                secret_names.encode(value, name)
            assert caught.value.__suppress_context__ or caught.value.__context__ is None
            assert len(value) < 4 or value not in str(caught.value)
        else:
            sent = secret_names.encode(value, name)
            assert value == (bytes.fromhex(sent).decode("utf-16-le") if name == "utf16le_hex" else sent)


def test_names_nobody_takes_are_told(catalog: Catalog) -> None:
    ref = SecretRef("variable", "x")
    edr = provider("edr", ProviderSecret(name="CID", used_for="enrol"))
    said = secret_names.strangers(
        {"kes": {"KLPASWD": ref, "KLLOGIN": ref}, "edrr": {"CID": ref}, "kesl": {"P": ref}, "edr": {"CID": ref}},
        catalog.entries,
        [edr],
    )
    assert [re.split("[;:]", line)[0] for line in said] == [
        "`evict_secrets` names 'edrr', which takes no secret",
        "`evict_secrets` names 'KLPASWD', which kes does not take",
        "`evict_secrets` names 'kesl', which takes no secret",
    ]
    assert said[1].endswith("did you mean `KLPASSWD`?")
    assert [Redactor().clean(line) for line in said] == list(said)  # no remedy looks like a secret


# ---- the value


def test_a_value_is_not_shown_written_or_copied() -> None:
    value = Resolved(canary.SECRET)
    shown = f"{value} {value!r} {value!s} {[value]} { ({'a': value}) } " + "%s".__mod__(value)
    assert list(canary.search({"shown": shown})) == []
    for write in (json.dumps, pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError) as caught:
            write(value)
        assert list(canary.search({"shown": str(caught.value)})) == []
    assert value.reveal() == canary.SECRET


# ---- references


@pytest.fixture
def loader(monkeypatch: pytest.MonkeyPatch) -> DataLoader:
    """A loader that knows the vault password, as the command line makes it."""
    made, secrets = DataLoader(), [("default", VaultSecret(PASSWORD))]
    made.set_vault_secrets(secrets)
    if context := getattr(vaults, "VaultSecretsContext", None):  # where newer cores keep it for single values
        monkeypatch.setattr(context, "_current", context(secrets))
    return made


def encrypted(value: str) -> str:
    """The value as `ansible-vault encrypt` writes it."""
    text: bytes = VaultLib([("default", VaultSecret(PASSWORD))]).encrypt(value)
    return text.decode()


def variables(folder: Path, loader: DataLoader, text: str) -> dict[str, t.Any]:
    """Variables as Ansible reads them from group_vars, tags and all."""
    file = folder / "vars.yml"
    file.write_text(text)
    # Newer cores template only what they are told to trust, as they do for group_vars.
    trust = (
        {"trusted_as_template": True} if "trusted_as_template" in signature(loader.load_from_file).parameters else {}
    )
    return dict(loader.load_from_file(str(file), **trust))


def vault(loader: DataLoader, values: dict[str, t.Any]) -> Vault:
    return Vault(templar=Templar(loader=loader, variables=values), loader=loader, variables=values)


def private(path: Path, data: bytes, mode: int = 0o600) -> SecretRef:
    path.write_bytes(data)
    path.chmod(mode)
    return SecretRef("file", str(path))


def reason(box: Vault, ref: SecretRef) -> str:
    """Why it cannot be resolved; the canary is in no part of the error, its causes included."""
    with pytest.raises(SecretError) as caught:
        box.resolve(ref)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    assert list(canary.search({"said": str(caught.value)})) == []
    return str(caught.value)


def test_a_variable_is_templated_and_decrypted(tmp_path: Path, loader: DataLoader) -> None:
    inline = "".join(f"  {line}\n" for line in encrypted(canary.SECRET).splitlines())
    text = f"sealed: !vault |\n{inline}via: '{{{{ sealed }}}}'\nblock: |\n  {canary.SECRET}\n"
    values = variables(tmp_path, loader, text)
    box = vault(loader, values)
    for name in ("sealed", "via", "block"):
        got = box.resolve(SecretRef("variable", name)).reveal()
        assert (got, type(got)) == (canary.SECRET, str)
    assert box.known() == (canary.SECRET,)


def test_a_file_encrypted_as_a_whole_and_one_in_the_clear(tmp_path: Path, loader: DataLoader) -> None:
    values = variables(tmp_path, loader, encrypted(f"sealed: {json.dumps(canary.SECRET)}\n"))
    assert vault(loader, values).resolve(SecretRef("variable", "sealed")).reveal() == canary.SECRET
    box = vault(loader, {})
    for data in (b"%s", b"%s\n", b"%s\r\n"):
        ref = private(tmp_path / "secret", data % canary.SECRET.encode())
        assert box.resolve(ref).reveal() == canary.SECRET
    assert box.resolve(private(tmp_path / "secret", b"x\n\n")).reveal() == "x\n"
    assert box.resolve(private(tmp_path / "secret", b"x", 0o400)).reveal() == "x"


def test_a_lookup_is_any_plugin_with_terms_and_options(tmp_path: Path, loader: DataLoader) -> None:
    (tmp_path / "sealed").write_text(encrypted(canary.SECRET + "\n"))
    (tmp_path / "keys.ini").write_text("[agent]\npassword=Kanarie-ini\n")
    box = vault(loader, {"other": "{{ inner }}", "inner": canary.SECRET})
    sealed = SecretRef("lookup", "unvault", (str(tmp_path / "sealed"),))
    assert box.resolve(sealed).reveal() == canary.SECRET
    ini = {"section": "agent", "file": str(tmp_path / "keys.ini")}
    assert box.resolve(SecretRef("lookup", "ini", ("password",), ini)).reveal() == "Kanarie-ini"
    assert box.known() == (canary.SECRET, "Kanarie-ini")


def wrong_variables(folder: Path, loader: DataLoader) -> dict[str, t.Any]:
    other = VaultLib([("default", VaultSecret(b"another"))]).encrypt(canary.SECRET).decode()
    inline = "".join(f"  {line}\n" for line in other.splitlines())
    text = (
        f"number: 1234\nflag: true\nlisted: [{json.dumps(canary.SECRET)}]\nnone:\nblank: '  '\nlong: {'x' * 65_537}\n"
        f"sealed: !vault |\n{inline}undefined: '{{{{ nowhere }}}}'\n"
        "broken: '{{ \"Kanarie-9f\" | nofilter }}'\ndivided: '{{ \"Kanarie-9f\" / 0 }}'\n"
    )
    return variables(folder, loader, text)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("number", "the variable number is a number, not a text; put the value in quotes"),
        ("flag", "is yes or no, not a text"),
        ("listed", "is a list, a mapping or the like, not a text"),
        ("none", "is empty, not a text"),
        ("blank", "it is empty"),
        ("long", "longer than 65536"),
        ("undefined", "the variable undefined cannot be resolved (Undefined"),
        ("sealed", "or no vault password opens it"),
        ("broken", "the variable broken cannot be resolved"),
        ("divided", "the variable divided cannot be resolved"),
        ("nowhere", "its variable is not defined for this host"),
        ("Kanarie_hunter2", "its variable is not defined for this host"),
        ("{{ sealed }}", "`variable` takes the name of a variable, without braces"),
        (canary.SECRET, "`variable` takes the name of a variable, without braces"),
    ],
)
def test_a_variable_that_fails_is_told_without_its_value(
    tmp_path: Path, loader: DataLoader, name: str, words: str
) -> None:
    said = reason(vault(loader, wrong_variables(tmp_path, loader)), SecretRef("variable", name))
    assert words in said
    assert "hunter2" not in said


def test_a_file_that_fails_is_told_without_its_value(tmp_path: Path, loader: DataLoader) -> None:
    box, secret = vault(loader, {}), canary.SECRET.encode()
    good = tmp_path / "good"
    private(good, secret)
    (tmp_path / "link").symlink_to(good)
    (tmp_path / "hanging").symlink_to("nowhere")
    (tmp_path / "folder").mkdir(mode=0o700)
    os.mkfifo(tmp_path / "fifo", 0o600)
    for ref, words in (
        (private(tmp_path / "group", secret, 0o640), "has mode 0640, others may reach it: `chmod 600` it"),
        (private(tmp_path / "others", secret, 0o604), "has mode 0604"),
        (private(tmp_path / "empty", b"\n"), "is empty"),
        (private(tmp_path / "blank", b" \t\r\n"), "is empty"),
        (private(tmp_path / "large", b"x" * 65_537), "is larger than 64 kB"),
        (private(tmp_path / "binary", b"\xff\xfe" + secret), "is no UTF-8 text"),
        (private(tmp_path / "sealed", encrypted(canary.SECRET).encode()), "ansible.builtin.unvault"),
        (SecretRef("file", str(tmp_path / "link")), "is a link"),
        (SecretRef("file", str(tmp_path / "hanging")), "is a link"),
        (SecretRef("file", str(tmp_path / "folder")), "is not a plain file"),
        (SecretRef("file", str(tmp_path / "fifo")), "is not a plain file"),
        (SecretRef("file", "good"), "an absolute path"),
        (SecretRef("file", canary.SECRET), "an absolute path"),
        (SecretRef("file", f"/{canary.SECRET}"), "its file is not there or cannot be reached"),
        (SecretRef("file", f"/{canary.SECRET * 500}"), "its file is not there or cannot be reached"),
        (SecretRef("file", "/a\0b"), "its file is not there or cannot be reached"),
        (SecretRef(t.cast("t.Any", "nothing"), "x"), "must be given as `variable`, `file` or `lookup`"),
    ):
        assert words in reason(box, ref), ref.name[-20:]
    assert box.known() == ()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_somebody_else_is_refused(tmp_path: Path, loader: DataLoader) -> None:
    ref = private(tmp_path / "theirs", canary.SECRET.encode())
    os.chown(tmp_path / "theirs", 12345, -1)
    assert "belongs to user id 12345: it must be yours or root's" in reason(vault(loader, {}), ref)


LOOKUP = """
from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase
class LookupModule(LookupBase):
    def run(self, terms, variables=None, **kwargs):
        if terms[0] == "raise":
            raise AnsibleLookupError("it was " + terms[1])
        if terms[0] == "python":
            raise ValueError(terms[1])
        if terms[0] == "text":
            return terms[1]
        return terms[1:]
"""


def test_a_lookup_that_fails_is_told_without_what_it_said(tmp_path: Path, loader: DataLoader) -> None:
    (tmp_path / "canary_of_tests.py").write_text(LOOKUP)
    (tmp_path / "damaged_of_tests.py").write_text(f"raise RuntimeError({canary.SECRET!r})\n")
    lookup_loader.add_directory(str(tmp_path))
    box = vault(loader, {})

    def ref(*terms: str) -> SecretRef:
        return SecretRef("lookup", "canary_of_tests", terms)

    for wrong, words in (
        (ref("raise", canary.SECRET), "the lookup canary_of_tests failed ("),
        (ref("python", canary.SECRET), "the lookup canary_of_tests failed (ValueError)"),
        (ref("text", canary.SECRET), "found no list of values"),
        (ref("give"), "found 0 values, exactly one"),
        (ref("give", canary.SECRET, canary.SECRET), "found 2 values, exactly one"),
        (ref("give", " "), "it is empty"),
        (SecretRef("lookup", "no_such_plugin"), "its lookup plugin cannot be loaded ("),
        (SecretRef("lookup", "no.such.plugin"), "lookup plugin"),
        (SecretRef("lookup", "damaged_of_tests"), "its lookup plugin cannot be loaded (RuntimeError)"),
        (SecretRef("lookup", canary.SECRET), "lookup plugin"),
    ):
        assert words in reason(box, wrong)
    assert box.resolve(ref("give", canary.SECRET)).reveal() == canary.SECRET


def test_the_check_says_which_are_there_and_drops_the_values(tmp_path: Path, loader: DataLoader) -> None:
    secrets = {
        "kes": {"KLPASSWD": SecretRef("variable", "sealed"), "KLLOGIN": SecretRef("variable", "nowhere")},
        "klnagent": {"KLUNINSTPASSWD": private(tmp_path / "agent", b"a\nb")},
        "kea": {"PASSWORD": private(tmp_path / "kea", b"a\nb")},
        "ksws": {"PASSWORD": dataclasses.replace(private(tmp_path / "ksws", b"c\nd"), format="utf16le_hex")},
    }
    needs = (
        Need("klnagent", "KLUNINSTPASSWD", "utf16le_hex", "", "when locked"),
        Need("kea", "PASSWORD", "unknown", "", "when locked"),
    )
    box = vault(loader, {"sealed": canary.SECRET, "unused": "x"})
    said = box.check(secrets, needs)
    assert {name: why.partition(";")[0].partition(",")[0] for name, why in said.items()} == {
        "kea.PASSWORD": "",
        "kes.KLLOGIN": "its variable is not defined for this host",
        "kes.KLPASSWD": "",
        "klnagent.KLUNINSTPASSWD": "it holds a line break",
        "ksws.PASSWORD": "it holds a line break",
    }
    assert list(canary.search({"said": repr(said)})) == []
    assert Redactor(box.known()).holds(f"msiexec {secret_names.encode(canary.SECRET, 'utf16le_hex')}")
    fresh = vault(loader, {"sealed": canary.SECRET})
    assert fresh.known(secrets) == (canary.SECRET,)  # variables without a check; files and lookups are left alone


def test_names_and_forms_need_no_ansible() -> None:
    code = (
        "import sys\n"
        "from ansible_collections.evict.kaspersky.plugins.plugin_utils import secret_names\n"
        "print([name for name in sys.modules if name == 'ansible' or name.startswith('ansible.')])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tree.ROOT)
    assert done.stdout.strip() == "[]"
