# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Files that the controller brings to a host before its job begins; the job hashes them and takes them over."""

from __future__ import annotations

import contextlib
import typing as t
from collections.abc import Iterator, Mapping

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase

from .job import Job
from .policy import Policy

_FETCH: t.Final = "fetch"


class SendingError(Exception):
    """A file cannot be sent; nothing has begun."""


@contextlib.contextmanager
def sent(action: ActionBase, sealed: Job, settings: Policy) -> Iterator[Mapping[str, str]]:
    """Bring the files that a job fetches from the controller into a temporary folder on the host.

    Args:
        action: the running action, whose connection is used.
        sealed: the job.
        settings: name the files on the controller.

    Yields:
        Name in the staging folder -> path on the host. The temporary folder goes when the context ends.

    Raises:
        SendingError: one cannot be sent; the text names it.
    """
    wanted = {
        str(step.args["name"]): str(step.args["sha256"])
        for part in sealed.parts
        for step in part.steps
        if step.kind == _FETCH and step.args.get("method") == "file"
    }
    if not wanted:
        yield {}
        return
    sources = [s for s in (settings.replacement_source, settings.fallback_source) if s is not None]
    folder = ""
    try:
        try:
            folder = action._make_tmp_path()
            found: dict[str, str] = {}
            for name, digest in wanted.items():
                local = next((s.location for s in sources if s.method == "file" and s.sha256 == digest), "")
                if not local:
                    raise SendingError(
                        f"the plan sends the file {name}, and no source of this run has its hash {digest}"
                    )
                found[name] = action._connection._shell.join_path(folder, str(len(found)))
                action._transfer_file(local, found[name])
            action._fixup_perms2((folder, *found.values()), execute=False)
        except AnsibleError as exc:
            raise SendingError(f"a file could not be sent to the host: {exc}") from exc
        yield found
    finally:
        if folder:
            action._remove_tmp_path(folder)
