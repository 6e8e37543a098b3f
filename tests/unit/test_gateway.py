"""What passes in front of the servers of `make ui`, with a real server behind."""

from __future__ import annotations

import http.client
import socket
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from orchestration.operations import gateway
from orchestration.operations.gateway import HeadInvalid, body_length, forwarded, read_head, refusal
from tests.conftest import PROJECT
from tests.ports import free_ports

PORT = 3000
OWN = {"Host": f"127.0.0.1:{PORT}"}


def judged(method="POST", target="/graphql", **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return refusal(method, target, list({**OWN, **named}.items()), PORT)


@pytest.mark.parametrize(
    ("headers", "passes"),
    [
        ({}, True),
        ({"Origin": "http://127.0.0.1:3000"}, True),
        ({"Origin": "http://localhost:3000", "Host": "LOCALHOST:3000"}, True),
        ({"Origin": "http://127.0.0.1:3000", "Sec_Fetch_Site": "same-origin"}, True),
        ({"Origin": "https://evil.example"}, False),
        ({"Origin": "null"}, False),
        ({"Origin": "http://127.0.0.1:3001"}, False),
        ({"Origin": "https://127.0.0.1:3000"}, False),
        ({"Origin": "http://127.0.0.1:3000.evil.example"}, False),
        ({"Host": "evil.example:3000"}, False),
        ({"Host": "127.0.0.1"}, False),
        ({"Host": "127.0.0.1:3000, evil.example"}, False),
        ({"Host": ""}, False),
        ({"Sec_Fetch_Site": "cross-site"}, False),
        ({"Sec_Fetch_Site": "same-site"}, False),
        ({"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate"}, False),
    ],
)
def test_a_request_passes_only_from_this_servers_own_pages(headers, passes):
    assert (judged(**headers) is None) == passes


def test_a_host_twice_or_not_at_all_is_refused():
    assert "Host (none) is invalid" in refusal("GET", "/", [], PORT)
    assert "is invalid" in refusal("GET", "/", [*OWN.items(), ("host", "evil.example")], PORT)


@pytest.mark.parametrize("target", ["/graphql?query=mutation", "/%67raphql?query=x", "/graphql/"])
def test_a_query_by_get_is_refused(target):
    """An image's address is enough for one, and a browser names no origin with it."""
    assert "expected POST" in judged("GET", target, Accept="image/png")
    # The page with an empty editor, which runs nothing.
    assert judged("GET", target, Accept="text/html,*/*") is None
    assert judged("GET", target, Upgrade="websocket", Origin="http://127.0.0.1:3000") is None
    assert judged("GET", target, Upgrade="websocket", Origin="https://evil.example")


def test_a_link_from_another_site_opens_a_page():
    link = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate"}
    assert judged("GET", "/runs", **link, Sec_Fetch_Dest="document") is None
    assert judged("GET", "/runs", **link, Sec_Fetch_Dest="iframe")
    assert judged("POST", "/runs", **link, Sec_Fetch_Dest="document")


@pytest.mark.parametrize(
    "head",
    [
        b"GET /\r\n\r\n",
        b"GET http://evil.example/ HTTP/1.1\r\n\r\n",
        b"GET / HTTP/2\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost 127.0.0.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : 127.0.0.1:3000\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: b\r\n Host: 127.0.0.1:3000\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: b\nHost: 127.0.0.1:3000\r\n\r\n",
    ],
)
def test_a_head_that_two_servers_could_read_differently_is_refused(head):
    with pytest.raises(HeadInvalid):
        read_head(head)


@pytest.mark.parametrize(
    ("headers", "length"),
    [
        ([], 0),
        ([("Content-Length", "12")], 12),
        ([("Transfer-Encoding", "chunked")], None),
        ([("Upgrade", "websocket")], None),
    ],
)
def test_the_length_of_a_body_is_that_of_its_headers(headers, length):
    assert body_length(headers) == length


@pytest.mark.parametrize(
    "headers",
    [
        [("Content-Length", "1"), ("content-length", "2")],
        [("Content-Length", "1"), ("Transfer-Encoding", "chunked")],
        [("Content-Length", "-1")],
        [("Content-Length", "+1")],
    ],
)
def test_a_body_whose_end_is_not_certain_is_refused(headers):
    with pytest.raises(HeadInvalid):
        body_length(headers)


def test_the_server_behind_closes_each_connection_but_that_of_a_websocket():
    head = forwarded("GET", "/", [("Connection", "keep-alive"), ("A", "b")])
    assert head == b"GET / HTTP/1.1\r\nA: b\r\nConnection: close\r\n\r\n"
    head = forwarded("GET", "/", [("Connection", "Upgrade"), ("Upgrade", "websocket")])
    assert head.endswith(b"Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n")


def test_an_address_behind_cannot_be_guessed():
    addresses = {gateway.own_address() for _ in range(5)}
    assert len(addresses) == 5
    for host, port in addresses:
        with socket.socket() as server:
            server.bind((host, port))


class Answer(BaseHTTPRequestHandler):
    """Sends the body back."""

    protocol_version = "HTTP/1.1"
    seen: list[bytes] = []

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.seen.append(body)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def port():
    """A gateway in a process of its own, before a server and before nothing."""
    port = free_ports(2)
    behind = ThreadingHTTPServer(gateway.own_address(), Answer)
    threading.Thread(target=behind.serve_forever, daemon=True).start()
    doors = [(port, behind.server_address), (port + 1, gateway.own_address())]
    process = subprocess.Popen(gateway.command(doors), cwd=PROJECT)
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port + 1)) == 0:
                    break
            time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait(10)
        behind.shutdown()
        behind.server_close()


def post(port, body, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("POST", "/graphql", body, {"Host": f"127.0.0.1:{port}", **headers})
    answer = connection.getresponse()
    try:
        return answer.status, answer.read()
    finally:
        connection.close()


def test_a_request_of_this_page_reaches_the_server_with_its_whole_body(port):
    body = b"0123456789" * 1_000_000
    assert post(port, body, Origin=f"http://127.0.0.1:{port}") == (200, body)
    assert Answer.seen.pop() == body


@pytest.mark.parametrize("headers", [{"Origin": "https://evil.example"}, {"Host": "evil.example"}])
def test_a_request_of_another_site_does_not_reach_the_server(port, headers):
    status, body = post(port, b"mutation", **headers)
    assert status == 403 and b"evil.example is invalid: expected" in body
    assert not Answer.seen


def test_a_second_request_on_a_connection_does_not_pass_unseen(port):
    own = f"Host: 127.0.0.1:{port}\r\n"
    first = f"POST /graphql HTTP/1.1\r\n{own}Content-Length: 2\r\n\r\nok"
    second = "POST /graphql HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 3\r\n\r\nbad"
    with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
        client.sendall((first + second).encode())
        received = b""
        while piece := client.recv(1 << 16):
            received += piece
    assert received.count(b"HTTP/1.1 200") == 1 and received.endswith(b"ok")
    assert Answer.seen == [b"ok"] and not Answer.seen.clear()


def test_a_server_that_is_not_ready_is_reported(port):
    assert post(port + 1, b"")[0] == 502


def test_a_head_without_end_is_refused(port):
    with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
        client.sendall(b"GET / HTTP/1.1\r\nA: " + b"x" * (2 * gateway.LONGEST_HEAD))
        assert client.recv(1 << 16).startswith(b"HTTP/1.1 400")
