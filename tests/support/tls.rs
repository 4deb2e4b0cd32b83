//! TLS for tests: an authority that signs certificates, and a client that believes it.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256,
};
use rustls::client::ResolvesClientCert;
use rustls::crypto::aws_lc_rs::{default_provider, sign::any_supported_type};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{
    ALL_VERSIONS, ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion,
};

use super::{Client, DEADLINE, Fault, Folder, Wire};

/// Signs certificates.
pub struct Authority {
    der: CertificateDer<'static>,
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// One that no client trusts yet.
    pub fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, "test authority");
        let certificate = params.self_signed(&key).unwrap();
        Self { der: certificate.der().clone(), pem: certificate.pem(), issuer: Issuer::new(params, key) }
    }

    /// Writes its own certificate, for `ca` and `client_ca`; returns the path.
    pub fn write(&self, folder: &Folder, file: &str) -> String {
        replace(folder, file, &self.pem)
    }

    /// A certificate for `names`, which may be none, and its key.
    pub fn issue(&self, names: &[&str]) -> Issued {
        self.issue_with(names, |_| {})
    }

    /// One that runs out `left` from now.
    pub fn issue_for(&self, names: &[&str], left: Duration) -> Issued {
        self.issue_with(names, |params| params.not_after = (SystemTime::now() + left).into())
    }

    /// One of which `change` alters what it says.
    pub fn issue_with(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Issued {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let names: Vec<String> = names.iter().map(|name| name.to_string()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        change(&mut params);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Issued { der: certificate.der().clone(), pem: certificate.pem(), key: key.serialize_pem() }
    }
}

/// A certificate of its own authority, as `openssl req -x509` makes them, and its key.
pub fn self_signed(names: &[&str]) -> Issued {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let names: Vec<String> = names.iter().map(|name| name.to_string()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let certificate = params.self_signed(&key).unwrap();
    Issued { der: certificate.der().clone(), pem: certificate.pem(), key: key.serialize_pem() }
}

/// A certificate and its key.
pub struct Issued {
    /// The certificate.
    pub der: CertificateDer<'static>,
    /// The same in PEM.
    pub pem: String,
    /// Its key, in PEM.
    pub key: String,
}

impl Issued {
    /// Writes `NAME.pem` and `NAME.key`; returns them as an entry of `tls.certificates`.
    pub fn write(&self, folder: &Folder, name: &str) -> String {
        let key = replace(folder, &format!("{name}.key"), &self.key);
        let cert = replace(folder, &format!("{name}.pem"), &self.pem);
        format!("{{ cert = \"{cert}\", key = \"{key}\" }}")
    }

    fn certified(&self) -> CertifiedKey {
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes()).unwrap();
        CertifiedKey::new(vec![self.der.clone()], any_supported_type(&key).unwrap())
    }
}

/// Writes a file as a renewal of a certificate does: the old one is there until the new one is whole.
pub fn replace(folder: &Folder, file: &str, text: &str) -> String {
    let new = folder.write(&format!("{file}.new"), text);
    let path = folder.path(file);
    fs::rename(new, &path).unwrap();
    path
}

/// A client that verifies whom it speaks with. Its connections resume each other's sessions, if the server lets them.
#[derive(Clone)]
pub struct TlsClient(ClientConfig);

impl TlsClient {
    /// Believes `authority`, takes TLS 1.2 and 1.3, and does not say what it wants to speak.
    pub fn new(authority: &Authority) -> Self {
        Self::speaking(ALL_VERSIONS, authority)
    }

    /// The same with these versions of TLS alone.
    pub fn speaking(versions: &[&'static SupportedProtocolVersion], authority: &Authority) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(authority.der.clone()).unwrap();
        let builder = ClientConfig::builder_with_provider(default_provider().into());
        let builder = builder.with_protocol_versions(versions).unwrap();
        Self(builder.with_root_certificates(roots).with_no_client_auth())
    }

    /// Offers these protocols (ALPN), the best one first.
    pub fn offering(mut self, protocols: &[&str]) -> Self {
        self.0.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        self
    }

    /// Shows this certificate to a server that asks for one.
    pub fn showing(mut self, issued: &Issued) -> Self {
        let own: Arc<dyn ResolvesClientCert> = Arc::new(SingleCertAndKey::from(issued.certified()));
        self.0.client_auth_cert_resolver = own;
        self
    }

    /// Speaks TLS with `name` over this connection, which is for tests that end it in ways of their own.
    pub fn stream(&self, stream: TcpStream, name: &str) -> StreamOwned<ClientConnection, TcpStream> {
        let name = ServerName::try_from(name.to_owned()).unwrap();
        StreamOwned::new(ClientConnection::new(Arc::new(self.0.clone()), name).unwrap(), stream)
    }

    /// A connection to `name`, which is what it asks for (SNI) and what the certificate must be for. Over TLS 1.3 a
    /// server that does not believe the client says so after the handshake: the first read then fails.
    pub fn connect(&self, address: SocketAddr, name: &str) -> Result<Client, Fault> {
        self.connect_behind("", address, name)
    }

    /// The same behind these bytes, which are sent in clear.
    pub fn connect_behind(&self, bytes: &str, address: SocketAddr, name: &str) -> Result<Client, Fault> {
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let session = ClientConnection::new(Arc::new(self.0.clone()), name).unwrap();
        let mut wire = Wire::new(TcpStream::connect_timeout(&address, DEADLINE).unwrap());
        wire.send(bytes);
        wire.shake_hands(session.into())?;
        Ok(Client::over(wire))
    }
}

/// The certificate that the server has shown.
pub fn shown(client: &Client) -> &CertificateDer<'static> {
    &client.session().peer_certificates().unwrap()[0]
}
