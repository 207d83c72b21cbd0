"""The daemon as a process of its own, run by twistd."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

from tests.integration.certificates import Authority
from tests.integration.peers import HOST
from tests.integration.support import SocketTestCase, Talk, pause, request, scrape_path, sends

MEGABYTE = 1 << 20


@implementer(IPushProducer)
class Flood:
    """Writes this many megabytes as fast as the connection takes them."""

    def __init__(self, talk: Talk, megabytes: int) -> None:
        self.talk = talk
        self.left = megabytes
        self.is_paused = False
        self.piece = os.urandom(MEGABYTE)
        talk.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (megabytes * MEGABYTE))
        talk.transport.registerProducer(self, True)
        self.resumeProducing()

    def resumeProducing(self) -> None:
        self.is_paused = False
        while self.left and not self.is_paused:
            self.left -= 1
            self.talk.send(self.piece)
        if not self.left:
            self.talk.transport.unregisterProducer()

    def pauseProducing(self) -> None:
        self.is_paused = True

    def stopProducing(self) -> None:
        self.left = 0


class Reader(Talk):
    """Counts what arrives, and forgets it."""

    size = 0

    def dataReceived(self, data: bytes) -> None:
        self.size += len(data)

    async def until_some(self) -> None:
        """Something has arrived."""
        while not self.size:
            await pause()


class MemoryTests(SocketTestCase):
    """What a large answer costs."""

    def test_memory_does_not_depend_on_the_size_or_the_speed_of_the_reader(self) -> Deferred[None]:
        """200 MB to a reader that stops in the middle: the target is stopped too."""

        async def case() -> None:
            floods: list[Flood] = []
            upstream = await self.upstream(sends(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"))
            self.targets(upstream.address)
            process = await self.ready_twistd()
            await self.scrape(upstream)
            upstream.script = lambda talk: floods.append(Flood(talk, 200))
            before = process.memory
            asked = upstream.asked()
            reader = await self.connect(protocol=Reader())
            reader.send(request(scrape_path(upstream.address)))
            reader.transport.pauseProducing()
            await asked
            # Nobody reads: the target gets stuck once all buffers of sockets on the way are full.
            left = -1
            while left != floods[0].left:
                left = floods[0].left
                for _ in range(20):
                    await pause()
            self.assertTrue(floods[0].is_paused)
            self.assertGreater(left, 150)
            reader.transport.resumeProducing()
            while reader.size < 200 * MEGABYTE:
                await pause()
            self.assertLess(process.memory - before, 8 * MEGABYTE)

        return self.run_case(case())

    def test_nor_with_tls_on_both_sides(self) -> Deferred[None]:
        """Where the layers of TLS might keep what the reader does not take."""

        async def case() -> None:
            authority = Authority()
            pem, trusted = self.folder / "both.pem", self.folder / "trusted"
            pem.write_bytes(authority.issue(HOST))
            trusted.mkdir()
            (trusted / "authority.pem").write_bytes(authority.pem)
            flood = self.flood(200 * MEGABYTE, str(pem))
            quick = await self.upstream(sends(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"))
            groups = [
                {"targets": [f"{HOST}:{flood}"], "labels": {"__scheme__": "https"}},
                {"targets": [quick.address]},
            ]
            (self.folder / "targets.json").write_text(json.dumps(groups))
            listen = f"'ssl:{self.port}:interface={HOST}:privateKey={pem}:certKey={pem}'"
            sources = "sources: [{name: vms, outbound: tls, files: {paths: [targets.json]}}]\n"
            profile = f"outbound: {{tls: {{tls_config: {{ca_file: {trusted}/authority.pem}}}}}}\n"
            process = self.twistd(f"listen: [{listen}]\n{sources}{profile}")
            await process.until(b"source vms: ")
            endpoint = f"tls:{HOST}:{self.port}:trustRoots={trusted}"
            await self.scrape(quick, endpoint=endpoint)
            before = process.memory
            reader = Reader()
            await self.connect(endpoint, reader)
            reader.send(request(scrape_path(f"{HOST}:{flood}")))
            await reader.until_some()
            reader.transport.pauseProducing()
            for _ in range(100):
                await pause()
            reader.transport.resumeProducing()
            while reader.size < 200 * MEGABYTE:
                await pause()
            self.assertLess(process.memory - before, 8 * MEGABYTE)

        return self.run_case(case())

    def flood(self, size: int, *pem: str) -> int:
        """Start a process that sends so many bytes as fast as they are taken; its port."""
        command = [sys.executable, str(Path(__file__).with_name("flood.py")), str(size), *pem]
        child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.addCleanup(child.communicate)
        self.addCleanup(child.kill)
        assert child.stdout is not None
        return int(child.stdout.readline())


class StopTests(SocketTestCase):
    """SIGTERM."""

    def test_scrape_under_way_is_answered(self) -> Deferred[None]:
        """Nobody new is let in meanwhile, and the process ends as twistd does."""

        async def case() -> None:
            upstream = await self.upstream(sends(b"HTTP/1.1 200 OK\r\n"))
            self.targets(upstream.address)
            process = await self.ready_twistd()
            asked = upstream.asked()
            caller = await self.connect()
            caller.send(request(scrape_path(upstream.address)))
            talk = await asked
            process.transport.signalProcess("TERM")
            await process.until(b"Received SIGTERM")
            while True:
                try:
                    (await self.connect()).transport.abortConnection()
                except ConnectError:  # refused, or reset where it was just let in
                    break
            talk.send(b"Content-Length: 2\r\n\r\nup")
            received = await caller.ended
            self.assertTrue(received.endswith(b"\r\n\r\nup"), received)
            self.assertEqual(await process.ended, -signal.SIGTERM)  # which twistd sends itself

        return self.run_case(case())


class StartTests(SocketTestCase):
    """What can go wrong, and what is set up."""

    def test_taken_port_is_one_line_and_a_failure(self) -> Deferred[None]:
        """Said by the process that the operator started."""

        async def case() -> None:
            taken = await self.upstream(sends())
            listen = f"tcp:{taken.port}:interface=127.0.0.1"
            process = self.twistd(self.config(listen=f"'{listen}'"))
            self.assertEqual(await process.ended, 1)
            (line,) = [x for x in process.output.decode().splitlines() if "cannot" in x]
            message = f"promproxy: cannot listen on {listen}: [Errno 98] Address already in use"
            self.assertTrue(line.endswith(message), line)
            self.assertNotIn(b"Traceback", process.output)

        return self.run_case(case())

    def test_bad_configuration_is_a_failure_that_names_the_place(self) -> Deferred[None]:
        async def case() -> None:
            process = self.twistd("listne: ['tcp:1']")
            self.assertEqual(await process.ended, 1)
            message = (
                f"promproxy: {self.folder}/p.yml:1: listne: unknown key; did you mean 'listen'?"
            )
            self.assertEqual(process.output.decode(), f"{message}\n")

        return self.run_case(case())

    def test_limit_of_open_files_is_raised(self) -> Deferred[None]:
        """The soft one, to the hard one."""

        async def case() -> None:
            self.targets()
            process = await self.ready_twistd(prefix="ulimit -S -n 256;")
            soft, hard = process.file_limits
            self.assertEqual(soft, hard)
            self.assertNotEqual(soft, "256")

        return self.run_case(case())
