"""Certificates of two authorities, and a client that shows them.

usage: tls.py make DIR              writes NAME.pem (certificate and key), ca.pem, and three lists of what is revoked:
                                    none.crl, plain.crl and old.crl; prints {"digest": ...} of `plain`
       tls.py call PORT DIR NAME HOST   makes one tool call with NAME's certificate (`-` for none) and prints the status,
                                    or `refused` if the connection is not taken
       tls.py hold PORT DIR NAME    connects with NAME's certificate, prints `open` when the handshake is done, and `ended`
                                    when the other side ends the connection
"""

import datetime
import hashlib
import http.client
import json
import socket
import ssl
import sys
from pathlib import Path

NOW = datetime.datetime.now(datetime.timezone.utc)
DAY = datetime.timedelta(days=1)


def make(folder):
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID
    from ipaddress import ip_address

    def certificate(name, signer, names, until):
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        issuer = signer[0].subject if signer else subject
        builder = x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number())
        builder = builder.not_valid_before(until - 30 * DAY).not_valid_after(until)
        builder = builder.add_extension(x509.BasicConstraints(signer is None, None), critical=True)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        made = builder.sign(signer[1] if signer else key, hashes.SHA256())
        encoding, plain = serialization.Encoding.PEM, serialization.NoEncryption()
        text = made.public_bytes(encoding) + key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, plain)
        Path(folder, f"{name}.pem").write_bytes(text)
        return made, key

    def spiffe(path):
        return [x509.UniformResourceIdentifier(f"spiffe://example.org/{path}")]

    later = NOW + DAY
    ours, theirs = certificate("authority", None, [], later), certificate("stranger", None, [], later)
    Path(folder, "ca.pem").write_bytes(ours[0].public_bytes(serialization.Encoding.PEM))
    here = [x509.DNSName("localhost"), x509.DNSName("gateway.example"), x509.IPAddress(ip_address("127.0.0.1"))]
    certificate("server", ours, here, later)
    certificate("svid", ours, spiffe("agent"), later)
    certificate("unlisted", ours, spiffe("other"), later)
    certificate("two", ours, spiffe("agent") + spiffe("other"), later)
    certificate("expired", ours, spiffe("agent"), NOW - DAY)
    certificate("foreign", theirs, spiffe("agent"), later)
    plain, _ = certificate("plain", ours, [], later)
    for name, revoked, until in [("none", [], later), ("plain", [plain], later), ("old", [], NOW - DAY)]:
        builder = x509.CertificateRevocationListBuilder(ours[0].subject, NOW - 2 * DAY, until)
        for one in revoked:
            gone = x509.RevokedCertificateBuilder(one.serial_number, NOW - DAY).build()
            builder = builder.add_revoked_certificate(gone)
        builder = builder.add_extension(x509.CRLNumber(1), critical=False)
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(ours[0].public_key())
        builder = builder.add_extension(identifier, critical=False)
        made = builder.sign(ours[1], hashes.SHA256())
        Path(folder, f"{name}.crl").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    digest = hashlib.sha256(plain.public_bytes(serialization.Encoding.DER)).hexdigest()
    print(json.dumps({"digest": digest}))


def call(port, folder, name, host):
    context = ssl.create_default_context(cafile=f"{folder}/ca.pem")
    if name != "-":
        context.load_cert_chain(f"{folder}/{name}.pem")
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    tool = "test_simple_text"
    params = {"name": tool, "arguments": {}, "_meta": meta}
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params})
    headers = {
        "host": f"{host}:{port}", "content-type": "application/json",
        "accept": "application/json, text/event-stream", "mcp-protocol-version": "2026-07-28",
        "mcp-method": "tools/call", "mcp-name": tool,
    }
    try:
        connection = http.client.HTTPSConnection("127.0.0.1", int(port), context=context, timeout=60)
        connection.request("POST", "/mcp/far", body, headers)
        answer = connection.getresponse()
        print(answer.status, answer.read().decode())
    except (ssl.SSLError, ConnectionError, http.client.RemoteDisconnected) as error:
        print("refused", error)


def hold(port, folder, name):
    context = ssl.create_default_context(cafile=f"{folder}/ca.pem")
    context.load_cert_chain(f"{folder}/{name}.pem")
    with context.wrap_socket(socket.create_connection(("127.0.0.1", int(port)), 60), server_hostname="localhost") as held:
        # A handshake of TLS 1.3 is over for the client before the server has seen its certificate: an answer tells.
        held.sendall(b"GET /nothing HTTP/1.1\r\nhost: localhost\r\n\r\n")
        held.recv(1)
        print("open", flush=True)
        try:
            while held.recv(4096):
                pass
        except (ssl.SSLError, ConnectionError):
            pass
    print("ended", flush=True)


if sys.argv[1] == "make":
    make(sys.argv[2])
elif sys.argv[1] == "hold":
    hold(*sys.argv[2:])
else:
    call(*sys.argv[2:])
