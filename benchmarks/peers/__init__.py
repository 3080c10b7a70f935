"""The peers. Each file here that defines `PEER` is one; a new peer is a new file."""

from importlib import import_module
from pkgutil import iter_modules

from benchmarks.peers.peer import Peer

OURS = "jaxrnn"


def _find() -> dict[str, Peer]:
    modules = [import_module(f"{__name__}.{module.name}") for module in iter_modules(__path__)]
    found = [module.PEER for module in modules if hasattr(module, "PEER")]
    found.sort(key=lambda peer: (peer.name != OURS, peer.name))
    return {peer.name: peer for peer in found}


PEERS = _find()
"""Name → peer, ours first. Importing this imports none of their libraries."""
