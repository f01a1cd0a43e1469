"""Decides which addresses a webhook may connect to, by one table of those that are not public.

``ipaddress`` knows most of them, but its answers change from release to release (3.11.10, 3.12.4
and 3.13 changed ``is_private`` and ``is_global``), it knows no cloud, and it calls 168.63.129.16
global. So the registries are written down here. The longest prefix that holds an address decides.

Two kinds of address cannot be told apart from public ones: those behind a NAT64 prefix that a
network has chosen for itself (RFC 6052), and a public server that forwards requests.
"""

from __future__ import annotations

import enum
import ipaddress
from collections.abc import Iterable, Sequence
from typing import NamedTuple

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Reach(enum.Enum):
    """When a webhook may connect to an address."""

    PUBLIC = "public"  # always
    INSIDE = "inside"  # with private=True, or when allow names it
    NOWHERE = "nowhere"  # only when allow names it: no server is expected there
    METADATA = "metadata"  # only when allow names this very address
    BY_IPV4 = "by its IPv4"  # as the IPv4 address in its last 32 bits


# The registries of special-purpose addresses, with the RFC of each block, and of address space.
IPV4 = "https://www.iana.org/assignments/iana-ipv4-special-registry"
IPV6 = "https://www.iana.org/assignments/iana-ipv6-special-registry"
IPV6_SPACE = "https://www.iana.org/assignments/ipv6-address-space"
IPV4_MULTICAST = "https://www.iana.org/assignments/multicast-addresses"

AWS = "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html"
ECS = "https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-iam-roles.html"
EKS = "https://docs.aws.amazon.com/eks/latest/userguide/pod-id-how-it-works.html"
GOOGLE = "https://cloud.google.com/compute/docs/metadata/querying-metadata"
AZURE = "https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16"
ALIBABA = "https://cloudinit.readthedocs.io/en/stable/reference/datasources/aliyun.html"
ALIBABA_6 = "https://github.com/canonical/cloud-init DataSourceAliYun.py"
ORACLE_DOCS = "https://docs.oracle.com/en-us/iaas/Content/Compute/Tasks/gettingmetadata.htm"
ORACLE_OLD = (
    "https://docs.oracle.com/en/cloud/cloud-at-customer/occ-get-started/"
    "retrieve-predefined-instance-metadata.html"
)
TENCENT = "https://www.tencentcloud.com/document/product/213/4934"
SCALEWAY = "https://cloudinit.readthedocs.io/en/stable/reference/datasources/scaleway.html"
AKAMAI = "https://techdocs.akamai.com/cloud-computing/docs/metadata-service-api"
BYTEPLUS = "https://docs.byteplus.com/en/docs/ecs/Viewing-instance-metadata"
UCLOUD = "https://docs.ucloud.cn/uhost/guide/metadata/metadata-server"
OPENSTACK = (
    "https://specs.openstack.org/openstack/neutron-specs/specs/ussuri/"
    "metadata-add-ipv6-support.html"
)


class Block(NamedTuple):
    """One block of addresses: what it is, and the source."""

    block: str
    reach: Reach
    what: str
    source: str


# fmt: off
ADDRESS_BLOCKS = (
    Block("0.0.0.0/0", Reach.PUBLIC, "what no other block names", IPV4),
    Block("0.0.0.0/8", Reach.NOWHERE, "this network; on Linux 0.0.0.0 is local (RFC 791)", IPV4),
    Block("10.0.0.0/8", Reach.INSIDE, "private use (RFC 1918)", IPV4),
    Block("100.64.0.0/10", Reach.INSIDE, "shared address space, CGNAT (RFC 6598)", IPV4),
    Block("127.0.0.0/8", Reach.INSIDE, "loopback (RFC 1122)", IPV4),
    Block("169.254.0.0/16", Reach.NOWHERE, "link-local (RFC 3927)", IPV4),
    Block("172.16.0.0/12", Reach.INSIDE, "private use (RFC 1918)", IPV4),
    Block("192.0.0.0/24", Reach.NOWHERE, "protocol assignments (RFC 6890)", IPV4),
    Block("192.0.2.0/24", Reach.NOWHERE, "documentation (RFC 5737)", IPV4),
    Block("192.31.196.0/24", Reach.NOWHERE, "AS112 (RFC 7535)", IPV4),
    Block("192.52.193.0/24", Reach.NOWHERE, "AMT (RFC 7450)", IPV4),
    Block("192.88.99.0/24", Reach.NOWHERE, "relays of 6to4 (RFC 7526)", IPV4),
    Block("192.168.0.0/16", Reach.INSIDE, "private use (RFC 1918)", IPV4),
    Block("192.175.48.0/24", Reach.NOWHERE, "AS112 (RFC 7534)", IPV4),
    Block("198.18.0.0/15", Reach.NOWHERE, "benchmarks (RFC 2544)", IPV4),
    Block("198.51.100.0/24", Reach.NOWHERE, "documentation (RFC 5737)", IPV4),
    Block("203.0.113.0/24", Reach.NOWHERE, "documentation (RFC 5737)", IPV4),
    Block("224.0.0.0/4", Reach.NOWHERE, "multicast (RFC 5771)", IPV4_MULTICAST),
    Block("240.0.0.0/4", Reach.NOWHERE, "reserved, and broadcast (RFC 1112, RFC 8190)", IPV4),

    Block("::/0", Reach.NOWHERE, "reserved by the IETF (RFC 4291)", IPV6_SPACE),
    Block("2000::/3", Reach.PUBLIC, "global unicast (RFC 4291)", IPV6_SPACE),
    Block("::/96", Reach.NOWHERE, "IPv4-compatible, and unspecified (RFC 4291)", IPV6_SPACE),
    Block("::1/128", Reach.INSIDE, "loopback (RFC 4291)", IPV6),
    Block("::ffff:0:0/96", Reach.BY_IPV4, "IPv4-mapped: reached by IPv4 (RFC 4291)", IPV6),
    Block("::ffff:0:0:0/96", Reach.NOWHERE, "IPv4-translated (RFC 2765)", IPV6_SPACE),
    # Where there is IPv6 only, DNS64 gives every IPv4 server such an address (RFC 6147).
    Block("64:ff9b::/96", Reach.BY_IPV4, "NAT64 (RFC 6052)", IPV6),
    Block("64:ff9b:1::/48", Reach.NOWHERE, "NAT64 of a network's own (RFC 8215)", IPV6),
    Block("100::/64", Reach.NOWHERE, "discarded (RFC 6666)", IPV6),
    Block("100:0:0:1::/64", Reach.NOWHERE, "dummy prefix (RFC 9780)", IPV6),
    Block("2001::/23", Reach.NOWHERE, "protocol assignments; Teredo (RFC 2928, RFC 4380)", IPV6),
    Block("2001:db8::/32", Reach.NOWHERE, "documentation (RFC 3849)", IPV6),
    Block("2002::/16", Reach.NOWHERE, "6to4, given up (RFC 7526)", IPV6),
    Block("2620:4f:8000::/48", Reach.NOWHERE, "AS112 (RFC 7534)", IPV6),
    Block("3fff::/20", Reach.NOWHERE, "documentation (RFC 9637)", IPV6),
    Block("5f00::/16", Reach.NOWHERE, "segment routing (RFC 9602)", IPV6),
    Block("fc00::/7", Reach.INSIDE, "unique local (RFC 4193)", IPV6),
    Block("fe80::/10", Reach.NOWHERE, "link-local (RFC 4291)", IPV6),
    Block("fec0::/10", Reach.NOWHERE, "site-local, given up (RFC 3879)", IPV6_SPACE),
    Block("ff00::/8", Reach.NOWHERE, "multicast (RFC 4291)", IPV6_SPACE),

    # 169.254.169.254 is also that of Azure, DigitalOcean, Google, Hetzner, IBM, OpenStack, Oracle.
    Block("169.254.169.254/32", Reach.METADATA, "AWS and most others", AWS),
    Block("169.254.170.2/32", Reach.METADATA, "AWS: roles of tasks", ECS),
    Block("169.254.170.23/32", Reach.METADATA, "AWS: roles of pods", EKS),
    Block("fd00:ec2::/32", Reach.METADATA, "AWS: metadata ::254, roles of pods ::23", AWS),
    Block("fd20:ce::254/128", Reach.METADATA, "Google", GOOGLE),
    Block("168.63.129.16/32", Reach.METADATA, "Azure: its wire server, a public address", AZURE),
    Block("100.100.100.200/32", Reach.METADATA, "Alibaba", ALIBABA),
    Block("100.96.0.96/32", Reach.METADATA, "BytePlus, Volcano Engine", BYTEPLUS),
    Block("100.80.80.80/32", Reach.METADATA, "UCloud", UCLOUD),
    Block("fd00:100::100:200/128", Reach.METADATA, "Alibaba", ALIBABA_6),
    Block("fd00:c1::a9fe:a9fe/128", Reach.METADATA, "Oracle", ORACLE_DOCS),
    Block("192.0.0.192/32", Reach.METADATA, "Oracle, in its older cloud", ORACLE_OLD),
    Block("169.254.0.23/32", Reach.METADATA, "Tencent", TENCENT),
    Block("169.254.42.42/32", Reach.METADATA, "Scaleway", SCALEWAY),
    Block("fd00:42::42/128", Reach.METADATA, "Scaleway", SCALEWAY),
    Block("fd00:a9fe:a9fe::1/128", Reach.METADATA, "Akamai (Linode)", AKAMAI),
    Block("fe80::a9fe:a9fe/128", Reach.METADATA, "OpenStack, Akamai", OPENSTACK),
)
# fmt: on

_BLOCKS = sorted(
    ((ipaddress.ip_network(each.block), each) for each in ADDRESS_BLOCKS),
    key=lambda each: -each[0].prefixlen,
)
# In any network: an ISATAP address ends in 0:5efe and an IPv4 address, which a router unwraps; with
# the bit 0200 the IPv4 address is public (RFC 5214, 6.1).
_ISATAP, _ISATAP_PUBLIC = 0x00005EFE, 0x02000000


def block_of(address: Address) -> Block:
    """The block that decides about this address."""
    # Version first: ``in`` answers for the same version only, and without the scope id.
    return next(
        block
        for network, block in _BLOCKS
        if network.version == address.version and address in network
    )


def allowed(address: Address, *, private: bool, allow: Sequence[Network] = ()) -> bool:
    """Whether a webhook may connect to this address.

    Args:
        address: where the connection would go.
        private: True: also to private and loopback addresses.
        allow: networks that are allowed in any case; cloud metadata only by its very address, so
            that a wide network does not allow it by accident.
    """
    reach = block_of(address).reach
    if reach is Reach.BY_IPV4:
        inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        return allowed(inner, private=private, allow=allow)
    if any(_names(network, address, reach) for network in allow):
        return True
    if isinstance(address, ipaddress.IPv6Address) and _is_isatap(address):
        return False
    return reach is Reach.PUBLIC or (private and reach is Reach.INSIDE)


def networks(written: str | Iterable[str]) -> tuple[Network, ...]:
    """The networks that a setting names; one address is a network of one.

    Raises:
        ValueError: one is not a network, or has bits outside its mask.
    """
    each_one = [written] if isinstance(written, str) else written
    return tuple(ipaddress.ip_network(each) for each in each_one)


def _names(network: Network, address: Address, reach: Reach) -> bool:
    if network.version != address.version or address not in network:
        return False
    return reach is not Reach.METADATA or network.num_addresses == 1


def _is_isatap(address: ipaddress.IPv6Address) -> bool:
    return (int(address) >> 32) & 0xFFFFFFFF & ~_ISATAP_PUBLIC == _ISATAP
