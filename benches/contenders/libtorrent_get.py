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

# Tried on one core, two to seven downloads each: pread, posix and mmap; 0, 1, 2, 4 and 10 disk threads; 0, 1 and 2
# hashing threads; 100 to 2000 requests. Downloads with the same settings differed by a factor of two, more than the
# medians of most settings did, so that none of them is shown to be the best; these are among the good ones.
DISK_IO = "pread_disk_io_constructor"
SETTINGS = {
    "aio_threads": 2,
    "hashing_threads": 0,
    "listen_interfaces": "127.0.0.1:0",
    "allow_multiple_connections_per_ip": True,
    "out_enc_policy": libtorrent.enc_policy.disabled,
    "in_enc_policy": libtorrent.enc_policy.disabled,
    "enable_dht": False,
    "enable_lsd": False,
    "enable_upnp": False,
    "enable_natpmp": False,
    "enable_incoming_utp": False,
    "enable_outgoing_utp": False,
    "alert_mask": libtorrent.alert.category_t.status_notification
    | libtorrent.alert.category_t.storage_notification
    | libtorrent.alert.category_t.error_notification,
}
SILENCE_MS = 30_000


def changed_settings(settings):
    """What differs from libtorrent's defaults."""
    defaults = libtorrent.default_settings()
    return {key: value for key, value in sorted(settings.items()) if defaults.get(key) != value}


def wait(session, kind):
    """Waits for an alert of a kind; a torrent that fails ends the program."""
    while session.wait_for_alert(SILENCE_MS):
        alerts = session.pop_alerts()
        for alert in alerts:
            if isinstance(alert, (libtorrent.torrent_error_alert, libtorrent.file_error_alert)):
                sys.exit(str(alert))
        if any(isinstance(alert, kind) for alert in alerts):
            return
    sys.exit(f"nothing has happened for {SILENCE_MS} ms")


def main():
    torrent_path, directory, peer = sys.argv[1:]
    session_params = libtorrent.session_params()
    session_params.settings = SETTINGS
    session_params.disk_io_constructor = DISK_IO
    session = libtorrent.session(session_params)
    params = libtorrent.add_torrent_params()
    params.ti = libtorrent.torrent_info(torrent_path)
    params.save_path = directory
    params.flags &= ~(libtorrent.torrent_flags.auto_managed | libtorrent.torrent_flags.paused)
    handle = session.add_torrent(params)
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
