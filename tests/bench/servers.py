"""The upstream, and what passes calls on to it beside the broker: nginx, bare aiohttp, express."""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.bench.load import Subject
from tests.bench.machine import descendants
from tests.bench.processes import free_port, program, running
from tests.bench.workloads import Target

HERE = Path(__file__).parent
NODE = HERE / "node"

RECORD = {
    "id": "101",
    "properties": {f"property_{n}": f"value of property {n}" for n in range(17)},
    "createdAt": "2026-01-01T00:00:00.000Z",
    "updatedAt": "2026-01-01T00:00:00.000Z",
    "archived": False,
}
"""About 1 kB, as a HubSpot record is."""

PAGE = {"results": [RECORD] * 120}
"""About 100 kB."""

NGINX = """
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log crit;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    client_body_buffer_size 256k;
    proxy_buffers 8 32k;
    keepalive_requests 100000000;
    keepalive_timeout 600s;
    tcp_nodelay on;
    open_file_cache max=10;
    {inside}
}}
"""

UPSTREAM = """
    upstream sink {{ server unix:{folder}/sink.sock; keepalive 64; keepalive_requests 100000000; }}
    server {{ listen unix:{folder}/sink.sock; location / {{ return 201 '{record}'; }} }}
    server {{
        listen 127.0.0.1:{port};
        {tls}
        default_type application/json;
        add_header X-HubSpot-RateLimit-Max 2000000000;
        add_header X-HubSpot-RateLimit-Interval-Milliseconds 10000;
        add_header x-hubspot-correlation-id 019cd9fe-d093-7d4f-99bc-45975fdcf7c6;
        location /account-info/ {{ return 200 '{{"portalId": 101}}'; }}
        location / {{ return 200 '{record}'; }}
        location = /crm/v3/objects/contacts {{ root {folder}; try_files /page.json =404; }}
        # Passing it on, less its body, makes nginx read the body whole before it answers.
        location = /crm/v3/objects/contacts/batch/create {{
            proxy_pass http://sink;
            proxy_http_version 1.1;
            proxy_pass_request_body off;
            proxy_set_header Content-Length "";
            proxy_set_header Connection "";
        }}
    }}
"""

REVERSE_PROXY = """
    upstream hubspot {{ server {address}; keepalive 256; keepalive_requests 100000000; }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass {scheme}://hubspot;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            {tls}
        }}
    }}
"""

TLS_UPSTREAM = """
        listen 127.0.0.1:{port} ssl;
        ssl_certificate {certificate}; ssl_certificate_key {certificate};
"""

TLS_PROXY = """
            proxy_ssl_verify on; proxy_ssl_trusted_certificate {certificate};
            proxy_ssl_name localhost; proxy_ssl_server_name on;
"""


@dataclass(frozen=True)
class Upstream:
    """What stands for HubSpot: its address, the same without TLS, its processes, its certificate."""

    url: str
    plain_url: str
    pids: tuple[int, ...]
    certificate: Path | None

    @property
    def trust(self) -> dict[str, str]:
        """Environment in which Python and Node trust its certificate."""
        if self.certificate is None:
            return {}
        file = str(self.certificate)
        return {"SSL_CERT_FILE": file, "NODE_EXTRA_CA_CERTS": file}


@contextmanager
def _nginx(inside: str, cores: Sequence[int], port: int, **values: object) -> Iterator[list[int]]:
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        Path(folder, "page.json").write_text(json.dumps(PAGE))
        Path(folder).chmod(0o755)
        text = inside.format(port=port, folder=folder, **values)
        config = Path(folder, "nginx.conf")
        config.write_text(NGINX.format(folder=folder, inside=text))
        command = [program("nginx"), "-p", folder, "-c", str(config)]
        with running(command, cores, ports=[port]) as process:
            yield [process.pid, *descendants(process.pid)]


@contextmanager
def upstream(cores: Sequence[int], *, tls: bool) -> Iterator[Upstream]:
    """An nginx that answers as HubSpot does, at once."""
    port, tls_port = free_port(), free_port()
    plain_url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        certificate = _certificate(Path(folder)) if tls else None
        listening = TLS_UPSTREAM.format(port=tls_port, certificate=certificate) if tls else ""
        values = {"record": json.dumps(RECORD), "tls": listening}
        with _nginx(UPSTREAM, cores, port, **values) as pids:
            url = f"https://localhost:{tls_port}" if tls else plain_url
            yield Upstream(url, plain_url, tuple(pids), certificate)


def _certificate(folder: Path) -> Path:
    """A certificate for localhost that vouches for itself, with its key, in one file."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    secret = key.private_bytes(encoding, form, serialization.NoEncryption())
    file = folder / "upstream.pem"
    file.write_bytes(signed.public_bytes(encoding) + secret)
    return file


@contextmanager
def nginx(behind: Upstream, cores: Sequence[int]) -> Iterator[Subject]:
    """A plain reverse proxy."""
    port = free_port()
    scheme, _, address = behind.url.partition("://")
    tls = TLS_PROXY.format(certificate=behind.certificate) if behind.certificate else ""
    values = {"scheme": scheme, "address": address.replace("localhost", "127.0.0.1"), "tls": tls}
    with _nginx(REVERSE_PROXY, cores, port, **values) as pids:
        yield Subject("nginx", Target(f"http://127.0.0.1:{port}"), tuple(pids))


@contextmanager
def bare_aiohttp(behind: Upstream, cores: Sequence[int]) -> Iterator[Subject]:
    """`web.Application` and `ClientSession`, nothing else."""
    port = free_port()
    command = [sys.executable, str(HERE / "passthrough.py"), str(port), behind.url]
    with running(command, cores, ports=[port], **behind.trust) as process:
        yield Subject("bare aiohttp", Target(f"http://127.0.0.1:{port}"), (process.pid,))


def node_is_ready() -> bool:
    """Whether express can be measured; installs it first where Node and npm are."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        return False
    if not (NODE / "node_modules").is_dir():
        command = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
        return subprocess.run(command, check=False, cwd=NODE, capture_output=True).returncode == 0
    return True


@contextmanager
def express(behind: Upstream, cores: Sequence[int]) -> Iterator[Subject]:
    """An express application that calls with axios."""
    port = free_port()
    command = [program("node"), str(NODE / "passthrough.mjs"), str(port), behind.url]
    environment = {**behind.trust, "NODE_ENV": "production"}
    with running(command, cores, ports=[port], **environment) as process:
        yield Subject("express", Target(f"http://127.0.0.1:{port}"), (process.pid,))
