"""Certificates for tests, and TLS contexts that use them."""

import datetime
import ssl

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509 import ocsp


class Authority:
    """A certificate authority; what it issues lies in files."""

    def __init__(self, directory):
        self.directory = directory
        self.ca = trustme.CA()
        self.ca_file = directory / "ca.pem"
        self.ca.cert_pem.write_to_path(self.ca_file)
        self.localhost = self.issue("localhost", "localhost", "127.0.0.1")
        self.rsa = self.issue("rsa", "localhost", "127.0.0.1", key_type=trustme.KeyType.RSA)

    def issue(self, file_name, *names, **more):
        """A certificate for `names`, as a configuration refers to it."""
        issued = self.ca.issue_cert(*names, **more)
        cert, key = self.directory / f"{file_name}.pem", self.directory / f"{file_name}.key"
        cert.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        issued.private_key_pem.write_to_path(key)
        return Certificate(cert, key)

    def staple(self, certificate):
        """An OCSP response that calls `certificate` good, in a file."""
        cert = x509.load_pem_x509_certificate(certificate.cert.read_bytes())
        issuer = x509.load_pem_x509_certificate(self.ca.cert_pem.bytes())
        key = serialization.load_pem_private_key(self.ca.private_key_pem.bytes(), None)
        now = datetime.datetime.now(datetime.timezone.utc)
        builder = ocsp.OCSPResponseBuilder().add_response(
            cert, issuer, hashes.SHA256(), ocsp.OCSPCertStatus.GOOD,
            now - datetime.timedelta(hours=1), now + datetime.timedelta(days=1), None, None,
        )
        response = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, issuer).sign(key, hashes.SHA256())
        file = certificate.cert.with_suffix(".ocsp")
        file.write_bytes(response.public_bytes(serialization.Encoding.DER))
        return file

    def server_context(self, *protocols):
        """For a server behind Evenkeel."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.localhost.cert, self.localhost.key)
        if protocols:
            context.set_alpn_protocols(list(protocols))
        return context

    def client_context(self, *protocols):
        """For a client of Evenkeel."""
        context = ssl.create_default_context(cafile=str(self.ca_file))
        if protocols:
            context.set_alpn_protocols(list(protocols))
        return context

    @property
    def pool_keys(self):
        """What a pool of servers with `server_context` needs."""
        return f'{{ server_name = "localhost", ca = "{self.ca_file}" }}'


class Certificate:
    """A certificate and its key, as paths."""

    def __init__(self, cert, key):
        self.cert, self.key = cert, key

    def table(self, ocsp=None):
        """As it stands in `tls.certificates`."""
        staple = f', ocsp = "{ocsp}"' if ocsp else ""
        return f'{{ cert = "{self.cert}", key = "{self.key}"{staple} }}'

    @property
    def tls(self):
        """The inside of a listener's `tls` with this certificate alone."""
        return f"certificates = [{self.table()}]"
