"""TLS with clients, by `openssl s_client`."""

import re
import socket

import pytest
from OpenSSL import SSL

from support.command import run
from support.evenkeel import listener, pool
from support.wait import DEADLINE_S

OWN = '[[route]]\npath = "/own"\nrespond = { body = "own" }\n'
REQUEST = b"GET /own HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"


def start(evenkeel, tls, more=OWN, **options):
    return evenkeel(listener(tls=tls, pool=None, **options) + more)


def s_client(port, *arguments, stdin=b"", ok=True):
    return run("openssl", "s_client", "-connect", f"127.0.0.1:{port}", *arguments, stdin=stdin, ok=ok)


def names_of(port, *arguments):
    """The names of the certificate that comes."""
    said = s_client(port, *arguments)
    certificate = said[said.index("-----BEGIN"):said.index("-----END") + 25].encode()
    shown = run("openssl", "x509", "-noout", "-ext", "subjectAltName", stdin=certificate)
    return set(re.findall(r"DNS:([^,\s]+)", shown))


@pytest.mark.parametrize("profile,version,spoken", [
    ("intermediate", "-tls1_3", "TLSv1.3"),
    ("intermediate", "-tls1_2", "TLSv1.2"),
    ("intermediate", "-tls1_1", None),
    ("intermediate", "-tls1", None),
    ("modern", "-tls1_3", "TLSv1.3"),
    ("modern", "-tls1_2", None),
])
def test_versions(evenkeel, authority, profile, version, spoken):
    port = start(evenkeel, f'{authority.localhost.tls}, profile = "{profile}"').port()
    # Security level 0, for else openssl itself would not even offer TLS 1.1.
    said = s_client(port, version, "-cipher", "ALL:@SECLEVEL=0", ok=spoken is not None)
    if spoken:
        assert re.search(rf"New, {spoken}, Cipher is [A-Z]", said), said
    else:
        assert re.search("alert (protocol version|handshake failure)", said), said
        assert "Cipher is (NONE)" in said, said


@pytest.mark.parametrize(
    "cipher", ["AES128-SHA", "ECDHE-RSA-AES128-SHA256", "DHE-RSA-AES128-GCM-SHA256", "NULL-SHA256"]
)
def test_suites_without_forward_secrecy_or_aead_are_refused(evenkeel, authority, cipher):
    port = start(evenkeel, authority.rsa.tls).port()
    said = s_client(port, "-tls1_2", "-cipher", f"{cipher}:@SECLEVEL=0", ok=False)
    assert "Cipher is (NONE)" in said and "alert" in said, said


@pytest.fixture(scope="module")
def many(authority):
    """Certificates: exact, wildcard and default."""
    issued = [
        authority.issue("default", "default.test"),
        authority.issue("shop", "shop.test", "www.shop.test"),
        authority.issue("wild", "*.shop.test"),
    ]
    return "certificates = [" + ", ".join(certificate.table() for certificate in issued) + "]"


@pytest.mark.parametrize("asked,names", [
    ("shop.test", {"shop.test", "www.shop.test"}),
    ("www.shop.test", {"shop.test", "www.shop.test"}),
    ("WWW.SHOP.TEST", {"shop.test", "www.shop.test"}),
    ("api.shop.test", {"*.shop.test"}),
    ("a.b.shop.test", {"default.test"}),
    ("other.test", {"default.test"}),
    (None, {"default.test"}),
])
def test_the_certificate_is_that_of_the_name(evenkeel, many, asked, names):
    port = start(evenkeel, many).port()
    assert names_of(port, *(["-servername", asked] if asked else ["-noservername"])) == names


def test_a_host_that_the_certificate_does_not_cover_is_misdirected(evenkeel, many):
    port = start(evenkeel, many).port()
    for host, status in [("shop.test", 200), ("www.shop.test", 200), ("api.shop.test", 421), ("other.test", 421)]:
        request = f"GET /own HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n".encode()
        said = s_client(port, "-servername", "shop.test", "-quiet", "-ign_eof", stdin=request)
        assert f"HTTP/1.1 {status}" in said, said


def test_ecdsa_and_rsa_side_by_side(evenkeel, authority):
    tls = f"certificates = [{authority.rsa.table()}, {authority.localhost.table()}]"
    port = start(evenkeel, tls).port()
    both = "ECDSA+SHA256:RSA-PSS+SHA256"
    for algorithms, kind in [("ECDSA+SHA256", "ECDSA"), ("RSA-PSS+SHA256", "RSA-PSS"), (both, "ECDSA")]:
        said = s_client(port, "-servername", "localhost", "-sigalgs", algorithms)
        assert f"Peer signature type: {kind}" in said, said


@pytest.mark.parametrize("offered,chosen", [
    ("h2,http/1.1", "h2"), ("http/1.1,h2", "h2"), ("http/1.1", "http/1.1"), ("h2", "h2"), (None, None),
    ("spdy/3", False),
])
def test_alpn(evenkeel, authority, offered, chosen):
    port = start(evenkeel, authority.localhost.tls).port()
    said = s_client(port, *(["-alpn", offered] if offered else []), ok=chosen is not False)
    if chosen:
        assert f"ALPN protocol: {chosen}" in said, said
    elif chosen is None:
        assert "No ALPN negotiated" in said and "Cipher is T" in said, said
    else:
        assert "alert no application protocol" in said, said


def test_alpn_of_a_listener_for_http1_alone(evenkeel, authority):
    port = start(evenkeel, authority.localhost.tls, http='["1.1"]').port()
    assert "ALPN protocol: http/1.1" in s_client(port, "-alpn", "h2,http/1.1")


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_sessions_are_resumed_whichever_worker_comes(evenkeel, authority, tmp_path, version):
    proxy = evenkeel(listener(tls=authority.localhost.tls, pool=None) + OWN, workers=2)
    session = tmp_path / "session"
    first = s_client(proxy.port(), version, "-sess_out", session, "-ign_eof", stdin=REQUEST)
    assert "New, TLS" in first
    for _ in range(12):
        said = s_client(proxy.port(), version, "-sess_in", session, "-ign_eof", stdin=REQUEST)
        assert "Reused, TLS" in said, said
        assert "HTTP/1.1 200" in said


def test_an_ocsp_response_is_stapled(evenkeel, authority):
    table = authority.localhost.table(ocsp=authority.staple(authority.localhost))
    port = start(evenkeel, f"certificates = [{table}]").port()
    for version in ("-tls1_2", "-tls1_3"):
        said = s_client(port, version, "-status", "-servername", "localhost")
        assert "OCSP Response Status: successful" in said and "Cert Status: good" in said, said
    port = start(evenkeel, authority.localhost.tls).port()
    assert "OCSP response: no response sent" in s_client(port, "-status")


def with_clients(evenkeel, authority, origin, auth):
    seen = []

    def handler(exchange):
        seen.append([value for name, value in exchange.fields if name == "x-client-cert-subject"])
        exchange.head(200, [("content-length", "2")])
        exchange.write(b"ok", end=True)

    tls = f'{authority.localhost.tls}, client_ca = "{authority.ca_file}", client_auth = "{auth}"'
    return evenkeel(listener(tls=tls) + pool([origin("h1", handler)])).port(), seen


FORGED = (
    b"GET / HTTP/1.1\r\nhost: localhost\r\nx-client-cert-subject: CN=forged\r\nX-Client-Cert-Subject: x\r\n"
    b"connection: close\r\n\r\n"
)


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
@pytest.mark.parametrize("auth", ["required", "optional"])
def test_client_certificates(evenkeel, authority, origin, auth, version):
    port, seen = with_clients(evenkeel, authority, origin, auth)
    own = authority.issue("alice", "alice.test", common_name="alice")
    said = s_client(
        port, version, "-cert", own.cert, "-key", own.key, "-quiet", "-ign_eof", stdin=FORGED
    )
    assert "HTTP/1.1 200" in said
    assert len(seen) == 1 and len(seen[0]) == 1 and "CN=alice" in seen[0][0], seen

    said = s_client(port, version, "-ign_eof", stdin=FORGED, ok=False)
    if auth == "optional":
        assert "HTTP/1.1 200" in said and seen[1] == []
    else:
        assert re.search("alert (certificate required|handshake failure)", said), said
        assert "HTTP/1.1" not in said and len(seen) == 1


@pytest.mark.parametrize("auth", ["required", "optional"])
def test_a_client_certificate_of_somebody_else_is_refused(evenkeel, authority, origin, tmp_path, auth):
    port, seen = with_clients(evenkeel, authority, origin, auth)
    other = type(authority)(tmp_path)
    pair = ["-cert", other.localhost.cert, "-key", other.localhost.key]
    said = s_client(port, *pair, "-ign_eof", stdin=FORGED, ok=False)
    assert "alert" in said and "HTTP/1.1" not in said and not seen


def test_no_renegotiation(evenkeel, authority):
    """`R` on a line of its own has s_client ask for it; the connection must not carry on with a new handshake."""
    port = start(evenkeel, authority.localhost.tls).port()
    said = s_client(port, "-tls1_2", stdin=b"R\n" + REQUEST, ok=False)
    assert "RENEGOTIATING" in said
    assert re.search("no renegotiation|unexpected message|handshake failure", said), said
    assert "HTTP/1.1 200" not in said


def test_groups(evenkeel, authority):
    port = start(evenkeel, authority.localhost.tls).port()
    for group, temp in [("X25519", "X25519"), ("P-256", "ECDH, prime256v1"), ("P-384", "ECDH, secp384r1")]:
        assert f"Server Temp Key: {temp}" in s_client(port, "-groups", group)
    assert "alert handshake failure" in s_client(port, "-groups", "P-521", ok=False)


def test_the_post_quantum_group_is_preferred(evenkeel, authority):
    """By the OpenSSL that comes with Python's `cryptography`, for Debian's does not know the group."""
    port = start(evenkeel, authority.localhost.tls).port()
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S) as sock:
        sock.setblocking(True)
        connection = SSL.Connection(context, sock)
        connection.set_connect_state()
        connection.do_handshake()
        assert connection.get_group_name() == "X25519MLKEM768"
        connection.sendall(REQUEST)
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")


def test_an_http_request_in_clear_gets_no_answer_of_a_server(evenkeel, authority):
    port = start(evenkeel, authority.localhost.tls).port()
    with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S) as sock:
        sock.sendall(b"GET /own HTTP/1.1\r\nhost: localhost\r\n\r\n")
        said = b""
        while piece := sock.recv(4096):
            said += piece
    # Nothing, or an alert.
    assert not said or said[0] == 21


def test_a_close_is_announced(evenkeel, authority):
    """close_notify: whoever reads to the end can tell it from a cut."""
    port = start(evenkeel, authority.localhost.tls).port()
    context = authority.client_context()
    with context.wrap_socket(socket.create_connection(("127.0.0.1", port)), server_hostname="localhost") as sock:
        sock.settimeout(DEADLINE_S)
        # A cut would be an SSLEOFError.
        sock.suppress_ragged_eofs = False
        sock.sendall(REQUEST)
        said = b""
        while piece := sock.recv(4096):
            said += piece
    assert said.endswith(b"own")


def test_clients_that_stall_in_the_handshake_hold_up_nobody(evenkeel, authority):
    port = start(evenkeel, authority.localhost.tls, timeout='{ head = "1s" }').port()
    stalled = [socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S) for _ in range(50)]
    for sock in stalled:
        sock.sendall(b"\x16\x03\x01")
    assert "HTTP/1.1 200" in s_client(port, "-quiet", "-ign_eof", stdin=REQUEST)
    for sock in stalled:
        while sock.recv(100):
            pass
        sock.close()
