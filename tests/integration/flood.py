"""A process that answers each connection with a long body, as fast as it is taken.

``python flood.py BYTES [PEM]``: prints its port, serves until its standard input is closed.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import sys
import threading


def serve(listener: socket.socket, size: int, context: ssl.SSLContext | None) -> None:
    """Serve one connection after the other."""
    block = bytes(range(256)) * 256
    while True:
        peer, _ = listener.accept()
        with contextlib.suppress(OSError):
            if context is not None:
                peer = context.wrap_socket(peer, server_side=True)
            peer.recv(65536)
            peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
            for _ in range(size // len(block)):
                peer.sendall(block)
            peer.recv(1)
        peer.close()


def main() -> None:
    size = int(sys.argv[1]) // 65536 * 65536
    context = None
    if len(sys.argv) > 2:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(sys.argv[2])
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=serve, args=(listener, size, context), daemon=True).start()
    print(listener.getsockname()[1], flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
