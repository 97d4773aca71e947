"""Which reader of the state a classical rule needs for a kernel."""

from __future__ import annotations

from typing import Any

from rlsuite.inventory.classical.network_sites import NetworkSites
from rlsuite.inventory.classical.ordering_sites import OrderingSites
from rlsuite.inventory.classical.sites import Sites, kernel_of
from rlsuite_envs.inventory.networks.supply_network import SupplyNetwork
from rlsuite_envs.inventory.stores.serial import SerialSystem
from rlsuite_envs.inventory.stores.stores import SingleStore
from rlsuite_envs.inventory.stores.warehouse import NetworkKernel

__all__ = ["sites_of"]


def sites_of(env: Any) -> Sites:
    """The constants and readers of this problem for classical rules.

    Raises:
        TypeError: a problem for which the classical rules are not defined.
    """
    kernel = kernel_of(env)
    if isinstance(kernel, SupplyNetwork):
        return NetworkSites(kernel)
    if isinstance(kernel, SingleStore | SerialSystem | NetworkKernel):
        return OrderingSites(kernel)
    raise TypeError(
        f"{type(kernel).__name__} has no classical policies here; they order for SupplyNetwork, SingleStore, "
        "LostSales, SerialSystem, ManyStores, ManyWarehouses and Transshipment."
    )
