"""Traces, as OpenTelemetry's own packages for Python have them: a client and a server that use its SDK, and a receiver of OTLP."""

import http.client
import http.server
import threading

import pytest
from opentelemetry import propagate, trace
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from opentelemetry.sdk.trace import TracerProvider, sampling
from opentelemetry.semconv._incubating.attributes import http_attributes as newer_http_attributes
from opentelemetry.semconv.attributes import (
    client_attributes,
    error_attributes,
    http_attributes,
    network_attributes,
    server_attributes,
    service_attributes,
    url_attributes,
    user_agent_attributes,
)

from support.evenkeel import listener, pool
from support.wait import wait_until

CONVENTIONS = [
    client_attributes, error_attributes, http_attributes, newer_http_attributes, network_attributes, server_attributes,
    service_attributes, url_attributes, user_agent_attributes,
]  # fmt: skip
"""Modules that name the attributes of OpenTelemetry's conventions."""


def serve(answer):
    """An HTTP server that hands each request to `answer`, which yields the status and the body."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            status, kind, content = answer(self, body)
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_GET

        def log_message(self, *_):
            """Says nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    return server


class Receiver:
    """Takes OTLP over HTTP (OTLP specification 1.x, "OTLP/HTTP Request") and keeps what it decodes."""

    def __init__(self):
        self.resources, self.spans, self.faults = [], [], []
        self.server = serve(self._take)

    def _take(self, request, body):
        kind = request.headers["content-type"]
        if (request.command, request.path, kind) != ("POST", "/v1/traces", "application/x-protobuf"):
            self.faults.append((request.command, request.path, kind))
        exported = ExportTraceServiceRequest()
        exported.ParseFromString(body)
        size = exported.ByteSize()
        exported.DiscardUnknownFields()
        if exported.ByteSize() != size:
            self.faults.append("fields that the definition does not know")
        for of in exported.resource_spans:
            self.resources.append(values(of.resource.attributes))
            self.spans += [span for scope in of.scope_spans for span in scope.spans]
        return 200, "application/x-protobuf", ExportTraceServiceResponse().SerializeToString()

    def of_trace(self, trace_id):
        """The spans of a trace, in the order in which they began."""
        found = [span for span in self.spans if span.trace_id == trace_id.to_bytes(16)]
        return sorted(found, key=lambda span: span.start_time_unix_nano)


def values(attributes):
    """Attributes by name."""
    return {it.key: getattr(it.value, it.value.WhichOneof("value")) for it in attributes}


@pytest.fixture
def receiver():
    running = Receiver()
    yield running
    running.server.shutdown()
    assert running.faults == []


@pytest.fixture
def contexts():
    """What the servers saw: path, and the context that OpenTelemetry reads from the head of the request."""
    return []


@pytest.fixture
def servers(contexts):
    """A server that is busy, and one that answers."""

    def answering(status):
        def answer(request, _):
            context = trace.get_current_span(propagate.extract(dict(request.headers))).get_span_context()
            contexts.append((request.path, status, context))
            return status, "text/plain", b"hello"

        return serve(answer)

    running = [answering(503), answering(200)]
    yield [server.server_port for server in running]
    for server in running:
        server.shutdown()


def ask(port, path, tracer):
    """A client whose own span is the parent of the request; its context."""
    with tracer.start_as_current_span("client", kind=trace.SpanKind.CLIENT) as span:
        headers = {"host": "shop.example.com", "user-agent": "probe/1"}
        propagate.inject(headers)
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("GET", path, headers=headers)
        assert connection.getresponse().read() == b"hello"
        connection.close()
        return span.get_span_context()


def test_spans_arrive_at_a_receiver_of_others(evenkeel, receiver, servers, contexts):
    process = evenkeel(
        f'[tracing]\notlp = "http://127.0.0.1:{receiver.server.server_port}"\nsample = "0%"\nservice_name = "edge"\n'
        + listener(pool=None, trusted_proxies='["127.0.0.1"]')
        + '[[route]]\nname = "shop"\npath = "/cart/*"\npool = "app"\nretry = { attempts = 2, on = ["503"] }\n'
        + pool(servers, algorithm='"round-robin"'),
        workers=1,
    )
    traced, silent = TracerProvider().get_tracer("test"), TracerProvider(sampler=sampling.ALWAYS_OFF).get_tracer("test")
    left_out = ask(process.port(), "/cart/0", silent)
    # Round robin: at least one of two in a row goes to the busy server first.
    parents = [ask(process.port(), f"/cart/{number}?item=1", traced) for number in (1, 2)]
    wait_until(lambda: all(len(receiver.of_trace(parent.trace_id)) >= 2 for parent in parents), "both traces arrive")
    retried = wait_until(
        lambda: next((it for it in parents if len(receiver.of_trace(it.trace_id)) == 3), None), "a trace with two tries"
    )
    assert receiver.of_trace(left_out.trace_id) == [], "the parent decided against it"
    assert all(resource["service.name"] == "edge" for resource in receiver.resources)

    request, *tries = receiver.of_trace(retried.trace_id)
    assert request.parent_span_id == retried.span_id.to_bytes(8)
    assert (request.kind, request.name) == (Span.SPAN_KIND_SERVER, "GET /cart/*")
    assert request.status.code != Status.STATUS_CODE_ERROR
    of_request = values(request.attributes)
    wanted = {
        http_attributes.HTTP_REQUEST_METHOD: "GET",
        http_attributes.HTTP_RESPONSE_STATUS_CODE: 200,
        http_attributes.HTTP_ROUTE: "/cart/*",
        url_attributes.URL_SCHEME: "http",
        url_attributes.URL_QUERY: "item=1",
        server_attributes.SERVER_ADDRESS: "shop.example.com",
        client_attributes.CLIENT_ADDRESS: "127.0.0.1",
        network_attributes.NETWORK_PROTOCOL_VERSION: "1.1",
        user_agent_attributes.USER_AGENT_ORIGINAL: "probe/1",
        "evenkeel.route": "shop",
        "evenkeel.pool": "app",
        "evenkeel.tries": 2,
    }
    assert {key: of_request.get(key) for key in wanted} == wanted
    path = of_request[url_attributes.URL_PATH]

    assert [span.kind for span in tries] == [Span.SPAN_KIND_CLIENT] * 2
    assert all(span.parent_span_id == request.span_id for span in tries)
    of_tries = [values(span.attributes) for span in tries]
    statuses = [it[http_attributes.HTTP_RESPONSE_STATUS_CODE] for it in of_tries]
    assert statuses == [503, 200]
    assert [it[server_attributes.SERVER_PORT] for it in of_tries] == servers
    assert (of_tries[0][error_attributes.ERROR_TYPE], tries[0].status.code) == ("503", Status.STATUS_CODE_ERROR)
    assert error_attributes.ERROR_TYPE not in of_tries[1]
    times = [at for span in tries for at in (span.start_time_unix_nano, span.end_time_unix_nano)]
    times = [request.start_time_unix_nano, *times, request.end_time_unix_nano]
    assert times == sorted(times)
    # What OpenTelemetry reads at the servers: each is below its own try.
    seen = [(status, it.trace_id, it.span_id.to_bytes(8)) for at, status, it in contexts if at.split("?")[0] == path]
    assert seen == [(status, retried.trace_id, span.span_id) for status, span in zip(statuses, tries)]


def test_attributes_are_those_of_the_conventions(evenkeel, receiver, servers):
    constants = [item for module in CONVENTIONS for item in vars(module).items()]
    known = {value for name, value in constants if name.isupper() and isinstance(value, str)}
    assert len(known) > 20
    process = evenkeel(
        f'[tracing]\notlp = "http://127.0.0.1:{receiver.server.server_port}"\nsample = "100%"\n'
        + listener()
        + pool(servers[1:])
    )
    ask(process.port(), "/a?b=c", TracerProvider().get_tracer("test"))
    wait_until(lambda: len(receiver.spans) == 2, "a request and its try")
    names = {it.key for span in receiver.spans for it in span.attributes}
    ours = {name for name in names if name.startswith("evenkeel.")}
    assert {"evenkeel.pool", "evenkeel.server", "evenkeel.request_id"} <= ours
    assert names - ours - known == set()
