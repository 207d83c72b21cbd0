"""A target to scrape: exporter.py PORT [CERTIFICATE-AND-KEY [USER:PASSWORD]]."""

import base64
import ssl
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

METRICS = b"exporter 1\n"
port, certificate, login, *_ = [*sys.argv[1:], "", ""]
expected = f"Basic {base64.b64encode(login.encode()).decode()}" if login else None


class Exporter(BaseHTTPRequestHandler):
    """One metric, for whoever has the password, if there is one."""

    def do_GET(self) -> None:
        """Answer."""
        self.send_response(200 if self.headers["Authorization"] == expected else 401)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(METRICS)))
        self.end_headers()
        self.wfile.write(METRICS)


server = ThreadingHTTPServer(("127.0.0.1", int(port)), Exporter)
if certificate:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
