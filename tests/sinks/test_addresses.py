"""Which addresses a webhook may connect to."""

from __future__ import annotations

import ipaddress

import pytest

from slowhound.sinks.addresses import ADDRESS_BLOCKS, Reach, allowed, networks

PUBLIC = [
    "8.8.8.8",
    "1.1.1.1",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
    "128.0.0.0",
    "169.253.255.255",
    "169.255.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "168.63.129.15",
    "168.63.129.17",
    "192.0.1.0",
    "192.167.255.255",
    "192.169.0.0",
    "198.17.255.255",
    "198.20.0.0",
    "223.255.255.255",
    "2606:4700::1111",
    "2001:200::1",
    "2001:4860:4860::8888",
    "2600::",
    "2a00::1",
    "3ffe::1",
    "::ffff:8.8.8.8",
    "64:ff9b::8.8.8.8",
]
PRIVATE = [
    "127.0.0.1",
    "127.255.255.254",
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "100.64.0.1",
    "100.127.255.255",
    "::1",
    "fc00::1",
    "fd12::1",
    "fdff:ffff::1",
    "::ffff:10.0.0.1",
    "::ffff:127.0.0.1",
    "64:ff9b::10.0.0.1",
]
NEVER = [
    # link-local, site-local, multicast, unspecified, broadcast, reserved
    "169.254.0.1",
    "169.254.255.255",
    "fe80::1",
    "fe80::1%eth0",
    "febf::1",
    "fec0::1",
    "feff::1",
    "224.0.0.1",
    "239.255.255.255",
    "ff02::1",
    "0.0.0.0",
    "0.1.2.3",
    "::",
    "240.0.0.1",
    "255.255.255.255",
    "4000::1",
    "8000::1",
    "fe00::1",
    "5f00::1",
    "100::1",
    "100:0:0:1::1",
    # documentation, benchmarks, assignments
    "192.0.2.1",
    "198.51.100.1",
    "203.0.113.1",
    "2001:db8::1",
    "3fff::1",
    "198.18.0.1",
    "198.19.255.255",
    "2001:2::1",
    "192.0.0.1",
    "192.0.0.9",
    "192.0.0.170",
    "192.88.99.1",
    "192.31.196.1",
    "192.52.193.1",
    "192.175.48.1",
    "2620:4f:8000::1",
    "2001:1::1",
    "2001:10::1",
    "2001:20::1",
    # tunnels, and an IPv4 address inside
    "2002:7f00:1::",
    "2002:a9fe:a9fe::1",
    "2002:808:808::1",
    "2001:0:7f00:1::1",
    "2001::1",
    "64:ff9b:1::10.0.0.1",
    "64:ff9b:1:a9fe:a9:fe00::",
    "::127.0.0.1",
    "::8.8.8.8",
    "::ffff:0:127.0.0.1",
    "::ffff:0:8.8.8.8",
    "2606:4700::5efe:10.0.0.1",
    "2606:4700::200:5efe:8.8.8.8",
    "fd12::5efe:10.0.0.1",
    "fe80::5efe:10.0.0.1",
    "::ffff:0.0.0.0",
    "::ffff:169.254.169.254",
    "::ffff:168.63.129.16",
    "::ffff:255.255.255.255",
    "64:ff9b::169.254.169.254",
    "64:ff9b::100.100.100.200",
]
METADATA = [
    "169.254.169.254",
    "169.254.170.2",
    "169.254.170.23",
    "169.254.0.23",
    "169.254.42.42",
    "fd00:ec2::254",
    "fd00:ec2::23",
    "fd20:ce::254",
    "168.63.129.16",
    "100.100.100.200",
    "100.96.0.96",
    "100.80.80.80",
    "fd00:100::100:200",
    "192.0.0.192",
    "fd00:c1::a9fe:a9fe",
    "fe80::a9fe:a9fe",
    "fd00:42::42",
    "fd00:a9fe:a9fe::1",
]


@pytest.mark.parametrize(
    ("address", "without", "with_private"),
    [
        *((each, True, True) for each in PUBLIC),
        *((each, False, True) for each in PRIVATE),
        *((each, False, False) for each in [*NEVER, *METADATA]),
    ],
)
def test_addresses(address: str, without: bool, with_private: bool) -> None:
    """Public ones; with ``private`` also private ones; never others."""
    found = ipaddress.ip_address(address)
    assert allowed(found, private=False) is without
    assert allowed(found, private=True) is with_private


@pytest.mark.parametrize("address", [*NEVER, *METADATA])
def test_address_is_reached_when_the_settings_name_it(address: str) -> None:
    """An IPv4 address in an IPv6 one by either, and nothing else with it."""
    found = ipaddress.ip_address(address.partition("%")[0])
    inner = ipaddress.ip_address(int(found) & 0xFFFFFFFF)
    assert allowed(found, private=False, allow=networks([str(found), str(inner)]))
    assert not allowed(found, private=False, allow=networks(["203.0.113.77", "fe80::77"]))


def test_wide_network_opens_what_is_in_it_but_no_metadata() -> None:
    """An operator who allows a network seldom thinks of a cloud's metadata in it."""
    wide = networks(["0.0.0.0/0", "::/0"])
    for address in NEVER:
        inside_metadata = address.startswith(("::ffff:16", "64:ff9b::1"))
        found = ipaddress.ip_address(address)
        assert allowed(found, private=True, allow=wide) is not inside_metadata, address
    for address in METADATA:
        assert not allowed(ipaddress.ip_address(address), private=True, allow=wide), address


def test_no_row_is_there_twice_or_without_a_source() -> None:
    """The longest prefix decides; between two of the same length chance would."""
    blocks = [ipaddress.ip_network(row.block) for row in ADDRESS_BLOCKS]
    assert len(set(blocks)) == len(blocks)
    assert all(row.what and row.source.startswith("https://") for row in ADDRESS_BLOCKS)


def test_every_address_is_decided() -> None:
    """Both families have a row for all other addresses."""
    usual = {row.block: row.reach for row in ADDRESS_BLOCKS if row.block.endswith("/0")}
    assert usual == {"0.0.0.0/0": Reach.PUBLIC, "::/0": Reach.NOWHERE}
