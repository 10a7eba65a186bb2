"""An organizer's server: verifies by the package `standardwebhooks` (PyPI), not by anything of ours.

FOLDER holds what it goes by: `secret` (read anew for each call; the one it believes), `hold` (while it is there, nobody is
answered). Each call that verifies is a line of JSON in `calls`, each that does not a line in `refused`. Its first line on
stdout is its port.
"""

import http.server
import json
import pathlib
import sys
import threading
import time

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

folder = pathlib.Path(sys.argv[1])
writing = threading.Lock()


def note(name, what):
    with writing, open(folder / name, "a", encoding="utf-8") as file:
        file.write(json.dumps(what) + "\n")


class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length", "0")))
        headers = {name.lower(): value for name, value in self.headers.items()}
        try:
            payload = Webhook((folder / "secret").read_text().strip()).verify(body, headers)
        except WebhookVerificationError as e:
            note("refused", {"id": headers.get("webhook-id"), "why": str(e)})
            self.answer(401)
            return
        note("calls", {"id": headers["webhook-id"], "payload": payload})
        while (folder / "hold").exists():
            time.sleep(0.05)
        self.answer(204)

    def answer(self, status):
        try:
            self.send_response(status)
            self.send_header("content-length", "0")
            self.end_headers()
        except OSError:
            pass  # Who called is there no more.

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
server.daemon_threads = True
print(server.server_address[1], flush=True)
server.serve_forever()
