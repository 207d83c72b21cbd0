"""Upstreams on 127.0.0.1 for the tests."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable

from twisted.internet.protocol import Protocol, ServerFactory


class Scripted(Protocol):
    """Calls the factory's script with each request head that arrives."""

    def connectionMade(self) -> None:
        self._partial = b""
        self.factory.connections.append(self)

    def dataReceived(self, data: bytes) -> None:
        self._partial += data
        while b"\r\n\r\n" in self._partial:
            head, _, self._partial = self._partial.partition(b"\r\n\r\n")
            self.factory.requests.append(head + b"\r\n\r\n")
            self.factory.script(self, len(self.factory.requests))

    def connectionLost(self, reason: object) -> None:
        self.factory.lost += 1
        for waiting in self.factory.on_lost:
            waiting()


class ScriptedFactory(ServerFactory):
    """``script(connection, number of the request)`` decides what happens.

    ``lost`` counts connections that ended; ``on_lost`` are called each time.
    """

    protocol = Scripted

    def __init__(self, script: Callable[[Scripted, int], None]) -> None:
        self.script = script
        self.connections: list[Scripted] = []
        self.requests: list[bytes] = []
        self.lost = 0
        self.on_lost: list[Callable[[], None]] = []


def answers(data: bytes) -> Callable[[Scripted, int], None]:
    """A script that answers every request with these bytes."""
    return lambda connection, _number: connection.transport.write(data)


class TLSServer:
    """A TLS server in threads, made of the standard library.

    Answers every request with ``answer``; ``sni``, ``reused`` and ``requests`` record what came
    in handshakes and after them; ``ended`` counts the connections that are over. A ``deaf``
    server takes no notice of anything after its first answer.
    """

    def __init__(
        self,
        pem_path: str,
        answer: bytes,
        version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
        deaf: bool = False,
    ) -> None:
        self.ended = 0
        self._deaf = deaf
        self._stopping = threading.Event()
        self.sni: list[str | None] = []
        self.reused: list[bool] = []
        self.requests: list[bytes] = []
        self._answer = answer
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(pem_path)
        self._context.maximum_version = version
        self._context.sni_callback = lambda _sock, name, _context: self.sni.append(name)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._peers: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def stop(self) -> None:
        """Close everything and wait for the threads."""
        self._stopping.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join()
        self._listener.close()
        for peer in self._peers:
            with contextlib.suppress(OSError):
                peer.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                peer, _ = self._listener.accept()
                peer.settimeout(10)
                self._peers.append(peer)
                self._threads.append(threading.Thread(target=self._serve, args=(peer,)))
                self._threads[-1].start()

    def _serve(self, peer: socket.socket) -> None:
        self._exchange(peer)
        self.ended += 1

    def _exchange(self, peer: socket.socket) -> None:
        with (
            contextlib.suppress(OSError),
            self._context.wrap_socket(peer, server_side=True) as secured,
        ):
            self._peers.append(secured)
            self.reused.append(bool(secured.session_reused))
            while request := secured.recv(65536):
                self.requests.append(request)
                secured.sendall(self._answer)
                if self._deaf:
                    self._stopping.wait(10)
                if b"Connection: close" in self._answer:
                    return
