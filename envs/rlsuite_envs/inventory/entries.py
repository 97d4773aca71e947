"""The family's ids; imports neither torch nor MuJoCo."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from rlsuite_envs.entries import KernelEntry

__all__ = ["ENTRIES"]


def _hdpo() -> Iterator[KernelEntry]:
    """HDPO's settings: each kernel's default, then its published instances."""

    def entry(name: str, module: str, description: str, preset: str | None = None) -> KernelEntry:
        id = f"rlsuite/{name}-v0" if preset is None else f"rlsuite/{name}-{preset}-v0"
        return KernelEntry(id, f"inventory.stores.{module}:{name}", None, description, preset=preset)

    line = "Order for one store whose customers wait (HDPO)"
    yield entry("SingleStore", "stores", f"{line}.")
    for lead, p in product((1, 4, 7, 10, 15, 20), (4, 9, 19, 39)):
        yield entry("SingleStore", "stores", f"{line}: lead time {lead}, penalty {p}.", f"L{lead}-p{p}")
    line = "Order for one store whose customers leave (Zipkin, HDPO)"
    yield entry("LostSales", "stores", f"{line}.")
    for lead, p in product((1, 2, 3, 4), (4, 9, 19, 39)):
        yield entry("LostSales", "stores", f"{line}: lead time {lead}, penalty {p}.", f"L{lead}-p{p}")
    yield entry("TracedStore", "traced_store", "Order for one store whose demand is read from recorded series (HDPO).")
    line = "Order at every stage of a chain (Clark-Scarf, HDPO)"
    yield entry("SerialSystem", "serial", f"{line}.")
    for lead, p in product((1, 2, 3, 4), (4, 9, 19, 39)):
        yield entry("SerialSystem", "serial", f"{line}: store lead time {lead}, penalty {p}.", f"L{lead}-p{p}")
    line = "Order for a warehouse and its stores, lost sales (HDPO)"
    yield entry("ManyStores", "warehouse", f"{line}.")
    for stores in (3, 5, 10, 20, 30, 50):
        yield entry("ManyStores", "warehouse", f"{line}: {stores} stores.", str(stores))
    line = "Order from cheap and from quick warehouses, lost sales (HDPO)"
    yield entry("ManyWarehouses", "warehouses", f"{line}.")
    yield entry("ManyWarehouses", "warehouses", f"{line}: 2 warehouses, 10 stores.", "2x10")
    line = "Order and divide among stores, nothing kept between (HDPO)"
    yield entry("Transshipment", "transshipment", f"{line}.")
    for stores, lead, p, corr in product((3, 5, 10), (2, 6), (4, 9), ("0", "0.5")):
        instance = f"{stores} stores, lead time {lead}, penalty {p}, correlation {corr}"
        preset = f"{stores}-L{lead}-p{p}-corr{corr}"
        yield entry("Transshipment", "transshipment", f"{line}: {instance}.", preset)


def _supply_networks() -> Iterator[KernelEntry]:
    """gym-invmgmt's 22 core scenarios, its 4 multi-agent rows and its other networks; OR-Gym's chain."""

    def entry(line: str, scenario: str | None = None) -> KernelEntry:
        id = "rlsuite/SupplyNetwork-v0" if scenario is None else f"rlsuite/SupplyNetwork-{scenario}-v0"
        return KernelEntry(id, "inventory.networks.supply_network:SupplyNetwork", None, line, preset=scenario)

    yield entry("Order on every link of a supply network (gym-invmgmt; scenario=...).")
    yield KernelEntry(
        "rlsuite/SupplyNetwork-service-cost-v0",
        "inventory.networks.supply_network:SupplyNetwork",
        None,
        "Supply network: shortage against the cost of serving (2 objectives; scenario=...).",
        objectives=2,
        kwargs={"objectives": ("shortage", "material+operating+ordering+holding")},
    )
    demands = {
        "stationary": "steady demand",
        "seasonal": "trend and season",
        "shock": "trend, season and shock",
    }
    for topology, (demand, words) in product(("divergent", "serial"), demands.items()):
        for goodwill in ("",) if demand == "stationary" else ("", "-goodwill"):
            line = f"Supply network, {topology}: {words}{', goodwill' if goodwill else ''}"
            yield entry(f"{line}, backlog.", f"{topology}-{demand}{goodwill}-backlog")
            yield entry(f"{line}, lost sales.", f"{topology}-{demand}{goodwill}-lost")
        if demand != "stationary":
            yield entry(f"{line[: -len(', goodwill')]}, multi-agent row.", f"{topology}-{demand}-marl")
    for topology in ("divergent", "serial"):
        yield entry(f"Supply network, {topology}: Walmart sales (M5), backlog.", f"{topology}-m5-backlog")
    for topology in ("assembly", "diamond", "tree", "w"):
        yield entry(f"Supply network, {topology}: steady demand, backlog.", topology)
    kernel, line = "inventory.networks.orgym:SerialInventory", "Order at every stage of a production chain (OR-Gym)"
    yield KernelEntry("rlsuite/SerialInventory-v0", kernel, None, f"{line}.")
    for preset, words in (("backlog", "orders wait"), ("lost", "orders are lost")):
        id = f"rlsuite/SerialInventory-{preset}-v0"
        yield KernelEntry(id, kernel, None, f"{line}: unfilled {words}.", preset=preset)


def _lot_sizing() -> Iterator[KernelEntry]:
    """PDPPO's plants."""
    line = "Tell machines what to make, before demand is known (PDPPO)"
    yield KernelEntry("rlsuite/LotSizing-v0", "inventory.plants.lot_sizing:LotSizing", None, f"{line}.")
    for preset in ("15x5", "20x10", "25x10", "25x15"):
        items, machines = preset.split("x")
        yield KernelEntry(
            f"rlsuite/LotSizing-{preset}-v0",
            "inventory.plants.lot_sizing:LotSizing",
            None,
            f"{line}: {items} items, {machines} machines.",
            preset=preset,
        )
    yield KernelEntry(
        "rlsuite/LotSizing-service-cost-v0",
        "inventory.plants.lot_sizing:LotSizing",
        None,
        "Tell machines what to make: lost sales against set-ups and stock (2 objectives; preset=...).",
        objectives=2,
        kwargs={"objectives": ("lost_sales", "setup+holding")},
    )


ENTRIES: tuple[KernelEntry, ...] = (*_lot_sizing(), *_hdpo(), *_supply_networks())
