"""A scripted server on 127.0.0.1: answers what a test tells it, and remembers what it heard."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Heard:
    method: str
    path: str
    headers: Message
    body: bytes


@dataclass
class Answer:
    """One scripted answer. `length` lies about the body's; `hang_up` closes without a word."""

    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)
    length: int | None = None
    hang_up: bool = False


@dataclass
class StandIn:
    url: str = ""
    answers: list[Answer] = field(default_factory=list)  # the last one repeats
    heard: list[Heard] = field(default_factory=list)
    connections: int = 0
    respond: Callable[[Heard], Answer] | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def next_answer(self, heard: Heard) -> Answer:
        with self.lock:
            self.heard.append(heard)
            if self.respond is not None:
                return self.respond(heard)
            return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def handler(stand_in: StandIn) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1

        def setup(self) -> None:
            with stand_in.lock:
                stand_in.connections += 1
            super().setup()

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            answer = stand_in.next_answer(Heard(self.command, self.path, self.headers, body))
            if answer.hang_up:
                self.close_connection = True
                return
            if "Date" in answer.headers:
                self.send_response_only(answer.status)
            else:
                self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            if "Content-Length" not in answer.headers:
                length = len(answer.body) if answer.length is None else answer.length
                self.send_header("Content-Length", str(length))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(answer.body)
            if answer.length is not None:
                self.close_connection = True

        do_GET = do_HEAD = do_PUT = do_POST = do_PATCH = do_DELETE = answer

        def log_message(self, *args: object) -> None:
            pass

    return Handler


class Server(ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True

    def handle_error(self, *args: object) -> None:
        pass
