"""Runs a program as systemd does that hands it sockets: NAME=tcp:IP:PORT, NAME=udp:IP:PORT or NAME=unix:PATH.

The sockets are descriptors 3 and on; LISTEN_FDS, LISTEN_PID and LISTEN_FDNAMES tell of them. What follows `--` is run
in this process's place.
"""

import os
import socket
import sys

at = sys.argv.index("--")
names, sockets = [], []
for word in sys.argv[1:at]:
    name, rest = word.split("=", 1)
    kind, address = rest.split(":", 1)
    if kind == "unix":
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        made.bind(address)
    else:
        ip, port = address.rsplit(":", 1)
        family = socket.AF_INET6 if ip.startswith("[") else socket.AF_INET
        made = socket.socket(family, socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM)
        made.bind((ip.strip("[]"), int(port)))
    if kind != "udp":
        made.listen()
    names.append(name)
    sockets.append(made)
# Out of the way first, so that none lands on another.
high = [os.dup2(made.fileno(), 100 + number, inheritable=False) for number, made in enumerate(sockets)]
for number, descriptor in enumerate(high):
    os.dup2(descriptor, 3 + number, inheritable=True)
os.environ["LISTEN_FDS"] = str(len(high))
os.environ["LISTEN_PID"] = str(os.getpid())
os.environ["LISTEN_FDNAMES"] = ":".join(names)
os.execvp(sys.argv[at + 1], sys.argv[at + 1:])
