"""Downloads SOURCE (a .torrent or a magnet link) into FOLDER, from PEER or from those the magnet names."""

import sys

import libtorrent as lt

SILENCE_MS = 60_000

source, folder = sys.argv[1:3]
category = lt.alert.category_t
session = lt.session({
    "listen_interfaces": "127.0.0.1:0",
    "enable_dht": False,
    "enable_lsd": False,
    "enable_upnp": False,
    "enable_natpmp": False,
    "alert_mask": category.status_notification | category.error_notification | category.connect_notification,
})
if source.startswith("magnet:"):
    parameters = lt.parse_magnet_uri(source)
else:
    parameters = lt.load_torrent_file(source)
parameters.save_path = folder
torrent = session.add_torrent(parameters)
for peer in sys.argv[3:]:
    address, port = peer.rsplit(":", 1)
    torrent.connect_peer((address, int(port)))

finished = False
while not finished:
    if not session.wait_for_alert(SILENCE_MS):
        sys.exit(f"nothing has happened for {SILENCE_MS} ms: {torrent.status().progress:.1%} done")
    for alert in session.pop_alerts():
        print(alert, flush=True)
        if isinstance(alert, lt.torrent_error_alert):
            sys.exit(str(alert))
        finished = finished or isinstance(alert, lt.torrent_finished_alert)
