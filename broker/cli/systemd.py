"""What the process tells systemd (sd_notify(3)): that it is ready, and that it stops."""

import os
import socket

READY, STOPPING = "READY=1", "STOPPING=1"


def notify(state: str) -> None:
    """Tell the service manager, if one waits for it (`Type=notify`); it is not asked for an answer.

    systemd names its datagram socket in NOTIFY_SOCKET; a name that begins with `@` is an abstract
    one. One that is gone must not stop the process.
    """
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = f"\0{address[1:]}"
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.connect(address)
            channel.send(state.encode())
    except OSError:
        return
