"""What the scripts that start libtorrent have in common."""

import sys

import libtorrent

# Nothing but the peers that it is told of, and nothing that another contender does not do.
ALONE = {
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
    "alert_mask": 0,
}
# The alerts that `wait` waits for, or ends with.
ALERTS = (
    libtorrent.alert.category_t.status_notification
    | libtorrent.alert.category_t.storage_notification
    | libtorrent.alert.category_t.error_notification
)
SILENCE_MS = 30_000


def changed_settings(settings):
    """What differs from libtorrent's defaults."""
    defaults = libtorrent.default_settings()
    return {key: value for key, value in sorted(settings.items()) if defaults.get(key) != value}


def session(settings, disk_io):
    """A session with one of libtorrent's ways to reach disks."""
    params = libtorrent.session_params()
    params.settings = settings
    params.disk_io_constructor = disk_io
    return libtorrent.session(params)


def torrent(path, directory):
    """A torrent that is started at once, with its payload below a directory."""
    params = libtorrent.add_torrent_params()
    params.ti = libtorrent.torrent_info(path)
    params.save_path = directory
    params.flags &= ~(libtorrent.torrent_flags.auto_managed | libtorrent.torrent_flags.paused)
    return params


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
