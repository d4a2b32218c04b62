# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines of an inventory for each way to a Windows host, as docs/connections-windows.md tells users to write them."""

from __future__ import annotations

from typing import Protocol

from .winrm_standin import Account

# connection -> its own prefix and the names of what both connections have
_NAMES = {"winrm": ("ansible_winrm_", "scheme", "transport"), "psrp": ("ansible_psrp_", "protocol", "auth")}


class Server(Protocol):
    """What stands in for a host; a StandIn in this process or one in its own."""

    @property
    def endpoint(self) -> str:
        """The URL clients use."""
        ...

    address: str
    port: int


def line(name: str, server: Server, account: Account, login: str, connection: str = "winrm", **more: object) -> str:
    """A host of an INI inventory.

    Args:
        name: of the host.
        server: what stands in for it.
        account: the login.
        login: `basic`, `ntlm`, `kerberos`; for psrp also `negotiate`; "" for the connection's own default.
        connection: `winrm` or `psrp`.
        more: further variables, or others in their place; None takes one away.
    """
    prefix, scheme, way = _NAMES[connection]
    variables: dict[str, object] = {
        "ansible_connection": connection,
        "ansible_host": server.address,
        "ansible_port": server.port,
        "ansible_user": account.user,
        "ansible_password": account.password,
        prefix + scheme: server.endpoint.partition(":")[0],
        prefix + way: login or None,
        **more,
    }
    if connection == "psrp" and login == "basic" and not server.endpoint.startswith("https"):
        variables.setdefault("ansible_psrp_message_encryption", "never")
    return " ".join([name, *(f"{key}='{value}'" for key, value in variables.items() if value is not None)])
