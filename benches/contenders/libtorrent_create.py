#!/usr/bin/env python3
"""Makes a torrent of one file with libtorrent, and ends.

usage: libtorrent_create.py FILE TORRENT PIECE_LENGTH

Prints one JSON line: wall and CPU seconds of the whole process from the moment that it looks at the file until the
torrent is written, so that the start of Python does not count.
Python only waits: all hashing is done by libtorrent's own threads.
"""

import json
import os
import sys
import time

import libtorrent


def create(path, piece_length):
    """The torrent of a file, as bytes: v1 alone, as the others make it."""
    files = libtorrent.list_files(path)
    torrent = libtorrent.create_torrent(files, piece_length, libtorrent.create_torrent.v1_only)
    # It takes no settings: how many threads hash is libtorrent's own choice.
    libtorrent.set_piece_hashes(torrent, os.path.dirname(path))
    return libtorrent.bencode(torrent.generate())


def main():
    path, torrent_path, piece_length = sys.argv[1:]

    wall, cpu = time.monotonic(), time.process_time()
    torrent = create(path, int(piece_length))
    with open(torrent_path, "wb") as file:
        file.write(torrent)
    result = {"wall_s": time.monotonic() - wall, "cpu_s": time.process_time() - cpu}

    print(json.dumps({**result, "version": libtorrent.__version__, "settings": {}}), flush=True)


if __name__ == "__main__":
    main()
