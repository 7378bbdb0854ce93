"""Shares TORRENT in FOLDER until it is told to end by SIGTERM: as a seed if everything is there, else as a leecher.

Says `listening PORT`, `finished` once it has everything and has given it to the kernel, and at the end `sent N received N`, in bytes of payload.
"""

import argparse
import signal

import libtorrent as lt

parser = argparse.ArgumentParser()
parser.add_argument("torrent")
parser.add_argument("folder")
parser.add_argument("--listen", default="127.0.0.1:0")
parser.add_argument("--upload-limit", type=int, default=0, help="bytes a second")
parser.add_argument("--peer", action="append", default=[])
options = parser.parse_args()

category = lt.alert.category_t
session = lt.session({
    "listen_interfaces": options.listen,
    "enable_dht": False,
    "enable_lsd": False,
    "enable_upnp": False,
    "enable_natpmp": False,
    "enable_incoming_utp": False,
    "enable_outgoing_utp": False,
    "allow_multiple_connections_per_ip": True,
    "min_announce_interval": 1,
    "upload_rate_limit": options.upload_limit,
    "alert_mask": category.status_notification | category.error_notification | category.storage_notification,
})
# Every address is of the one class of peers that the limit is for; else those of local networks are not.
everyone = lt.ip_filter()
everyone.add_rule("0.0.0.0", "255.255.255.255", 1 << lt.session.global_peer_class_id)
session.set_peer_class_filter(everyone)

parameters = lt.load_torrent_file(options.torrent)
parameters.save_path = options.folder
torrent = session.add_torrent(parameters)
for peer in options.peer:
    address, port = peer.rsplit(":", 1)
    torrent.connect_peer((address, int(port)))

is_ending = False


def end(number, frame):
    global is_ending
    is_ending = True


signal.signal(signal.SIGTERM, end)
is_listening = is_finished = False
while not is_ending:
    # A signal handler runs between two waits.
    session.wait_for_alert(100)
    for alert in session.pop_alerts():
        print(alert, flush=True)
        if isinstance(alert, lt.listen_succeeded_alert) and not is_listening:
            is_listening = True
            print(f"listening {alert.port}", flush=True)
        if isinstance(alert, lt.torrent_finished_alert):
            # What is verified may lie in memory still.
            torrent.flush_cache()
        if isinstance(alert, lt.cache_flushed_alert) and not is_finished:
            is_finished = True
            print("finished", flush=True)
status = torrent.status()
print(f"sent {status.total_payload_upload} received {status.total_payload_download}", flush=True)
