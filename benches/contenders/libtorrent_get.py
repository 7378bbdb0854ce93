#!/usr/bin/env python3
"""Downloads one torrent with libtorrent from one peer, set for throughput, and ends.

usage: libtorrent_get.py TORRENT DIRECTORY PEER

Prints one JSON line: wall and CPU seconds of the whole process from the moment that it may connect until all pieces
are verified and written, so that neither the start of Python nor that of the session counts.
Python only waits: all work is done by libtorrent's own threads.
"""

import json
import sys
import time

import libtorrent

import libtorrent_session
from libtorrent_session import ALERTS, ALONE, changed_settings, torrent, wait

# Tried on one core, two to seven downloads each: pread, posix and mmap; 0, 1, 2, 4 and 10 disk threads; 0, 1 and 2
# hashing threads; 100 to 2000 requests. Downloads with the same settings differed by a factor of two, more than the
# medians of most settings did, so that none of them is shown to be the best; these are among the good ones.
DISK_IO = "pread_disk_io_constructor"
SETTINGS = {**ALONE, "aio_threads": 2, "hashing_threads": 0, "alert_mask": ALERTS}


def main():
    torrent_path, directory, peer = sys.argv[1:]
    session = libtorrent_session.session(SETTINGS, DISK_IO)
    handle = session.add_torrent(torrent(torrent_path, directory))
    wait(session, libtorrent.torrent_checked_alert)
    host, port = peer.rsplit(":", 1)

    wall, cpu = time.monotonic(), time.process_time()
    handle.connect_peer((host, int(port)))
    wait(session, libtorrent.torrent_finished_alert)
    handle.flush_cache()
    wait(session, libtorrent.cache_flushed_alert)
    result = {"wall_s": time.monotonic() - wall, "cpu_s": time.process_time() - cpu}

    settings = {"disk_io": DISK_IO.removesuffix("_disk_io_constructor"), **changed_settings(SETTINGS)}
    print(json.dumps({**result, "version": libtorrent.__version__, "settings": settings}), flush=True)


if __name__ == "__main__":
    main()
