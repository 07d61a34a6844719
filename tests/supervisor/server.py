"""A small server for tests: binds a port or takes a listening socket, counts its starts, misbehaves on request.

usage: server.py --port N | --fd N   [--starts FILE] [--fail-until N] [--child]
"""

from __future__ import annotations

import argparse
import http.server
import os
import socket
import subprocess
import sys
from pathlib import Path


class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/die":
            os.kill(os.getpid(), 9)
        body = f"{os.getpid()} {os.environ.get('PEER', '')}".encode()
        self.send_response(500 if self.path == "/health" and Path("sick").exists() else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int)
    parser.add_argument("--fd", type=int)
    parser.add_argument("--starts", type=Path)
    parser.add_argument("--fail-until", type=int, default=0)
    parser.add_argument("--child", action="store_true")
    args = parser.parse_args()
    if args.starts:
        with args.starts.open("a") as file:
            file.write(f"{os.getpid()}\n")
        if len(args.starts.read_text().splitlines()) < args.fail_until:
            sys.exit("not yet: the test asked for a failure")
    if args.child:
        subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"], start_new_session=True)
    if args.fd is not None:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer, bind_and_activate=False)
        server.socket.close()
        server.socket = socket.socket(fileno=args.fd)
    else:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", args.port), Answer)
    server.serve_forever()


main()
