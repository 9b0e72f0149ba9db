"""No service is reached by plain http but on this machine, and no endpoint says two things."""

from __future__ import annotations

import pytest

from functions.authorize.handler import build
from functions.edge import utc_now
from shared.cloud.endpoints import BadEndpoint, checked, endpoint
from simulation.wire.system import ROOT

REFUSED = [
    "http://203.0.113.7",
    "http://sts.example.com",
    "http://10.0.0.1",
    "http://100.100.100.200",
    "http://169.254.169.254",
    "http://0.0.0.0",
    "http://0",
    "http://127.1",
    "http://2130706433",
    "http://0x7f000001",
    "http://0177.0.0.1",
    "http://127.0.0.1.example.com",
    "http://localhost.example.com",
    "http://localhost.",
    "http://[::]",
    "http://[::ffff:203.0.113.7]",
    "http://127.0.0.1@example.com",
    "http://127.0.0.1:80@example.com",
    "http://example.com\\@127.0.0.1",
    "http://example.com#@127.0.0.1",
    "http://example.com?@127.0.0.1",
    "http://127.0.0.1\n.example.com",
    "http://127.0.0.1%00.example.com",
    "http://１２７.0.0.1",
    "https://user@example.com",
    "https://:password@example.com",
    "https://user:password@example.com",
    "https://example.com/path",
    "https://example.com/?x",
    "https://example.com#x",
    "https://exa mple.com",
    "https://exam\u202eple.com",
    "https://example.com\r\nX: y",
    "https://",
    "https:///x",
    "https://[::1",
    "ftp://127.0.0.1",
    "file:///etc/passwd",
    "//127.0.0.1",
    "127.0.0.1",
    " https://example.com",
]


@pytest.mark.parametrize("url", REFUSED, ids=ascii)
def test_an_endpoint_of_another_form_is_refused_and_not_repeated(url):
    with pytest.raises(BadEndpoint) as bad:
        checked(url)
    assert "password" not in str(bad.value)


@pytest.mark.parametrize("url", ["http://[::ffff:127.0.0.1]", "http://[::1]:8", "http://127.0.0.2"])
def test_only_addresses_of_this_machine_are_reached_by_plain_http(url):
    try:
        assert checked(url) == url
    except BadEndpoint:
        assert "ffff" in url  # some releases of Python do not call it loopback


@pytest.mark.parametrize("service", ["STS", "VPC", "MNS", "EXPRESSCONNECTROUTER"])
def test_a_function_does_not_start_with_such_an_override(tmp_path, service):
    environ = {
        "FC_ACCOUNT_ID": "1000200030004000",
        "FC_REGION": "cn-hangzhou",
        "EXTERNAL_ID_KEY": "k" * 32,
        "QUEUE": "q",
        "DEAD_LETTER_QUEUE": "d",
        "RESULT_TOPIC": "t",
        "LEDGER_URL": f"sqlite:///{tmp_path}/l.db",
        "REGISTRY_FILE": str(ROOT / "registry.yaml"),
        f"ALIBABA_CLOUD_ENDPOINT_{service}": "http://sts.example.com",
    }
    with pytest.raises(BadEndpoint):
        build(environ, utc_now)


@pytest.mark.parametrize("service", ["STS", "MNS", "EXPRESSCONNECTROUTER"])
def test_the_table_has_https_alone(service):
    found = endpoint(service, {}, region="cn-hangzhou", account="1000200030004000")
    assert found.startswith("https://")
    assert found.endswith(".aliyuncs.com")
