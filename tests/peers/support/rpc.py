"""gRPC servers and clients on grpcio, whose messages are plain bytes."""

import threading
from concurrent import futures

import grpc

SERVICE = "peers.Echo"


class RpcServer:
    """A server of grpcio behind Evenkeel."""

    def __init__(self, name="one", options=(), credentials=None):
        self.name = name
        self.calls = 0
        self.metadata = []
        self.cancelled = threading.Event()
        self.started = threading.Event()
        self.remaining = []
        kinds = {
            "Unary": grpc.unary_unary_rpc_method_handler(self.unary),
            "Status": grpc.unary_unary_rpc_method_handler(self.status),
            "Stream": grpc.unary_stream_rpc_method_handler(self.stream),
            "Collect": grpc.stream_unary_rpc_method_handler(self.collect),
            "Chat": grpc.stream_stream_rpc_method_handler(self.chat),
            "Hang": grpc.unary_unary_rpc_method_handler(self.hang),
            "HangStream": grpc.unary_stream_rpc_method_handler(self.hang_stream),
        }
        self.server = grpc.server(
            futures.ThreadPoolExecutor(max_workers=20),
            options=[("grpc.max_receive_message_length", 16 << 20), *options],
        )
        self.server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(SERVICE, kinds)])
        if credentials:
            self.port = self.server.add_secure_port("127.0.0.1:0", credentials)
        else:
            self.port = self.server.add_insecure_port("127.0.0.1:0")
        self.server.start()

    def unary(self, request, context):
        self.calls += 1
        self.metadata.append([(key, value) for key, value in context.invocation_metadata()])
        self.remaining.append(context.time_remaining())
        context.send_initial_metadata([("served-by", self.name), ("raw-bin", bytes(range(256)))])
        context.set_trailing_metadata([("after", "word"), ("after-bin", b"\x00\xfe\xff")])
        return request

    def status(self, request, context):
        """Ends with the code that the request names."""
        number, _, details = request.decode().partition(" ")
        code = next(code for code in grpc.StatusCode if code.value[0] == int(number))
        context.set_trailing_metadata([("why", details.encode("ascii", "ignore").decode()), ("why-bin", b"\x00\xff")])
        if code is grpc.StatusCode.OK:
            return b"fine"
        context.abort(code, details)

    def stream(self, request, context):
        for i in range(int(request)):
            yield b"%d" % i

    def collect(self, requests, context):
        return b"%d" % sum(int(request) for request in requests)

    def chat(self, requests, context):
        for request in requests:
            yield b"re: " + request

    def _wait_for_cancel(self, context):
        context.add_callback(self.cancelled.set)
        self.started.set()
        self.cancelled.wait(20)

    def hang(self, request, context):
        self.remaining.append(context.time_remaining())
        self._wait_for_cancel(context)
        return b"late"

    def hang_stream(self, request, context):
        yield b"first"
        self._wait_for_cancel(context)

    def close(self):
        self.server.stop(None).wait(5)


class RpcClient:
    """A client of grpcio in front of Evenkeel: one connection."""

    def __init__(self, port, ca=None, options=()):
        options = [
            ("grpc.max_receive_message_length", 16 << 20),
            # Channels with equal options would share a connection.
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.enable_http_proxy", 0),
            *options,
        ]
        if ca:
            credentials = grpc.ssl_channel_credentials(root_certificates=ca.read_bytes())
            self.channel = grpc.secure_channel(f"localhost:{port}", credentials, options)
        else:
            self.channel = grpc.insecure_channel(f"127.0.0.1:{port}", options)
        path = f"/{SERVICE}/"
        self.unary = self.channel.unary_unary(path + "Unary")
        self.status = self.channel.unary_unary(path + "Status")
        self.hang = self.channel.unary_unary(path + "Hang")
        self.missing = self.channel.unary_unary(path + "Missing")
        self.stream = self.channel.unary_stream(path + "Stream")
        self.hang_stream = self.channel.unary_stream(path + "HangStream")
        self.collect = self.channel.stream_unary(path + "Collect")
        self.chat = self.channel.stream_stream(path + "Chat")

    def close(self):
        self.channel.close()
