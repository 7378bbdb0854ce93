#!/usr/bin/env python3
"""Checks the payload of one torrent with libtorrent, and ends: with success when all of it matches.

usage: libtorrent_verify.py TORRENT DIRECTORY

Prints one JSON line: which pieces do not match, and wall and CPU seconds of the whole process from the moment that the
torrent is added until it is checked, so that neither the start of Python nor that of the session counts.
Python only waits: all hashing is done by libtorrent's own threads.
"""

import json
import os
import sys
import time

import libtorrent

import libtorrent_session
from libtorrent_session import ALERTS, ALONE, changed_settings, torrent, wait

# Tried on two cores, three checks each: pread, posix and mmap; 1, 2, 4 and 8 hashing threads; 1 and 10 disk threads;
# 4, 16 and 128 MiB of checking_mem_usage. mmap takes the least CPU time. With the default of 4 MiB under way, pieces of
# 1 MiB keep only one thread busy; with 16 MiB all cores are, and nothing is gained by more of anything.
DISK_IO = "mmap_disk_io_constructor"
SETTINGS = {
    **ALONE,
    "hashing_threads": len(os.sched_getaffinity(0)),
    "checking_mem_usage": 1024,
    "alert_mask": ALERTS,
}
# Not what Python ends with when it fails by itself.
DAMAGED = 3


def main():
    torrent_path, directory = sys.argv[1:]
    session = libtorrent_session.session(SETTINGS, DISK_IO)
    params = torrent(torrent_path, directory)

    wall, cpu = time.monotonic(), time.process_time()
    # Nothing is known of its files, so that all of them are checked, without being told to.
    handle = session.add_torrent(params)
    wait(session, libtorrent.torrent_checked_alert)
    result = {"wall_s": time.monotonic() - wall, "cpu_s": time.process_time() - cpu}

    status = handle.status()
    bad = [piece for piece, is_there in enumerate(status.pieces) if not is_there]
    verdict = {"complete": status.is_seeding, "pieces": {"bad": bad}}
    settings = {"disk_io": DISK_IO.removesuffix("_disk_io_constructor"), **changed_settings(SETTINGS)}
    print(json.dumps({**verdict, **result, "version": libtorrent.__version__, "settings": settings}), flush=True)
    sys.exit(0 if status.is_seeding else DAMAGED)


if __name__ == "__main__":
    main()
