"""Prints what libtorrent reads in a .torrent or a magnet link, in the shape of `btd inspect --json`."""

import json
import sys

import libtorrent as lt

what = sys.argv[1]


def tiers(urls, numbers):
    found = {}
    for url, number in zip(urls, numbers):
        found.setdefault(number, []).append(url)
    return [found[number] for number in sorted(found)]


if what.startswith("magnet:"):
    link = lt.parse_magnet_uri(what)
    answer = {
        "info_hash": str(link.info_hashes.v1),
        "name": link.name,
        "trackers": tiers(link.trackers, link.tracker_tiers),
        "web_seeds": list(link.url_seeds),
    }
else:
    info = lt.torrent_info(what)
    files = info.files()
    entries = [
        {
            "path": files.file_path(index),
            "length": files.file_size(index),
            "padding": bool(files.file_flags(index) & files.flag_pad_file),
        }
        for index in range(files.num_files())
    ]
    trackers = list(info.trackers())
    answer = {
        "info_hash": str(info.info_hashes().v1),
        "name": info.name(),
        "length": info.total_size(),
        "piece_length": info.piece_length(),
        "piece_count": info.num_pieces(),
        "files": entries,
        "trackers": tiers([tracker.url for tracker in trackers], [tracker.tier for tracker in trackers]),
        "web_seeds": [seed["url"] for seed in info.web_seeds()],
        "private": info.priv(),
        "comment": info.comment() or None,
        "created_by": info.creator() or None,
        "creation_date": info.creation_date() or None,
    }
print(json.dumps(answer))
