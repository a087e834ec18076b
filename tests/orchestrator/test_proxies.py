"""Which proxy a URL is asked through, by what the environment says."""

import pytest

from orchestrator.loopback import keep_from_proxies
from orchestrator.proxies import proxy_of

PROXY = "http://proxy.example:3128"


@pytest.mark.parametrize(
    ("url", "environment", "proxy"),
    [
        ("http://lab.example", {}, None),
        ("http://lab.example", {"http_proxy": PROXY}, f"{PROXY} of http_proxy"),
        ("https://lab.example", {"http_proxy": PROXY}, None),
        ("https://lab.example", {"HTTPS_PROXY": PROXY}, f"{PROXY} of HTTPS_PROXY"),
        ("https://lab.example", {"all_proxy": PROXY}, f"{PROXY} of all_proxy"),
        ("http://lab.example", {"http_proxy": "proxy:3128"}, "http://proxy:3128 of http_proxy"),
        ("http://lab.example", {"http_proxy": "", "HTTP_PROXY": PROXY}, None),
        ("http://lab.example", {"http_proxy": "http://ann:se@cret@proxy:1"}, "http://proxy:1 of http_proxy"),
        ("http://127.0.0.1:8000", {"http_proxy": PROXY}, None),
        ("http://127.8.8.8:8000", {"all_proxy": PROXY}, None),
        ("http://localhost:8000", {"http_proxy": PROXY}, None),
        ("http://lab.localhost:8000", {"http_proxy": PROXY}, None),
        ("http://[::1]:8000", {"http_proxy": PROXY}, None),
        ("http://0.0.0.0:8000", {"http_proxy": PROXY}, None),
        ("not a url", {"http_proxy": PROXY}, None),
    ],
)
def test_the_proxy_of_a_url(url: str, environment: dict[str, str], proxy: str | None) -> None:
    found = proxy_of(url, environment)
    assert (None if found is None else str(found)) == proxy


@pytest.mark.parametrize(
    ("url", "no_proxy", "is_direct"),
    [
        ("http://lab.example", "*", True),
        ("http://lab.example", "example", True),
        ("http://lab.example", " other, .example ", True),
        ("http://lab.example", "*.example", True),
        ("http://LAB.example", "lab.EXAMPLE", True),
        ("http://lab.example:8000", "lab.example:8000", True),
        ("http://lab.example:8000", "lab.example:9000", False),
        ("http://mylab.example", "lab.example", False),
        ("http://lab.example", "", False),
        ("http://lab.example", "fd00::/8,[::1]", False),
        ("http://10.1.2.3", "10.0.0.0/8", True),
        ("http://10.1.2.3", "10.1.2.3", True),
        ("http://10.1.2.3", "10.1.2.30", False),
        ("http://[fd00::7]:8000", "fd00::/8", True),
        ("http://[fe00::7]:8000", "fd00::/8", False),
        ("http://[fe00::7]:8000", "[fe00::7]", True),
    ],
)
def test_what_no_proxy_says(url: str, no_proxy: str, is_direct: bool) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        assert (proxy_of(url, {"http_proxy": PROXY, name: no_proxy}) is None) == is_direct


def test_this_machine_is_added_to_what_the_environment_has() -> None:
    environment = {"NO_PROXY": "fd00::/8, localhost"}
    keep_from_proxies(environment)
    assert environment["no_proxy"] == environment["NO_PROXY"] == "fd00::/8,localhost,127.0.0.1,::1"
    keep_from_proxies(environment)
    assert environment["no_proxy"] == "fd00::/8,localhost,127.0.0.1,::1"
    environment = {"no_proxy": "*"}
    keep_from_proxies(environment)
    assert environment == {"no_proxy": "*"}
