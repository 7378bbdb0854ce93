"""Makes TORRENT of PATH with libtorrent; KIND is v1, v2 or hybrid, and flags and values may follow."""

import argparse
import os

import libtorrent as lt

parser = argparse.ArgumentParser()
parser.add_argument("path")
parser.add_argument("torrent")
parser.add_argument("kind", choices=["v1", "v2", "hybrid"])
parser.add_argument("--padded", action="store_true", help="pad files to whole pieces")
parser.add_argument("--symlinks", action="store_true", help="keep symlinks as such")
parser.add_argument("--private", action="store_true")
parser.add_argument("--comment")
parser.add_argument("--creator")
parser.add_argument("--tracker", action="append", default=[], help="tier and URL: 0=http://...")
parser.add_argument("--web-seed", action="append", default=[])
options = parser.parse_args()

create = lt.create_torrent
flags = {"v1": create.v1_only, "v2": create.v2_only, "hybrid": 0}[options.kind]
if options.padded:
    flags |= create.canonical_files
if options.symlinks:
    flags |= create.symlinks
files = lt.file_storage()
lt.add_files(files, options.path, lambda _: True, flags)
torrent = create(files, 16 * 1024, flags)
torrent.set_priv(options.private)
if options.comment:
    torrent.set_comment(options.comment)
if options.creator:
    torrent.set_creator(options.creator)
for tracker in options.tracker:
    tier, url = tracker.split("=", 1)
    torrent.add_tracker(url, int(tier))
for url in options.web_seed:
    torrent.add_url_seed(url)
lt.set_piece_hashes(torrent, os.path.dirname(options.path))
with open(options.torrent, "wb") as out:
    out.write(lt.bencode(torrent.generate()))
