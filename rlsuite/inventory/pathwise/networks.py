"""Neural policies for inventory networks, of three structures, and the table of all policies by name.

| name | what it is | for |
|---|---|---|
| vanilla | one MLP on everything; where a supplier's stock limits orders, shares of that stock | all |
| symmetric | one small net for all stores, told a shared context; a net for warehouses | stores with warehouses |
| graph | messages along the links, by the same functions at every link; orders scaled to the stock | known networks |
| base_stock, capped_base_stock, echelon_stock | classical rules; see `rlsuite.inventory.pathwise.parametric` | |

Source: Alvo, Russo, Kanoria, Lee, arXiv 2306.11246 (HDPO), and the settings of its release for structure and sizes.
What differs: inputs and outputs are in mean demands, so that one step size fits all instances; the nets of stores and
warehouses start from orders of about the mean demand.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from rlsuite.core.config import nearest
from rlsuite.core.networks import ACTIVATIONS, mlp
from rlsuite.inventory.pathwise.layout import Layout, OrderPolicy
from rlsuite.inventory.pathwise.parametric import BaseStock, CappedBaseStock, EchelonStock

__all__ = ["POLICIES", "GraphNetwork", "SymmetricNetwork", "VanillaNetwork", "make_policy"]

MOST_SUPPLY = 4.0
"""Largest order from outside, in mean demands, of the networks whose outputs are shares."""
ONE = math.log(math.e - 1)  # softplus(ONE) = 1
TINY = 1e-6
"""Least wish in mean demands, and least stock in units that is divided: quotients of less have no usable gradients."""
MEAN_ORDER = -math.log(MOST_SUPPLY - 1)  # MOST_SUPPLY * sigmoid(MEAN_ORDER) = 1


class VanillaNetwork(OrderPolicy):
    """One multi-layer perceptron on the whole observation.

    One store: the order is softplus(output) mean demands. Chain: a stage orders sigmoid(output) of what the next one
    up has on hand, the last one that share of 4 mean demands. Warehouses: their stock is divided by a softmax over
    the stores (and one constant logit for what stays, but for transshipment), their own order is a share of 4 mean
    demands. Anything else: sigmoid(output) of the action box.
    """

    kinds = ("store", "chain", "network", "transshipment", "plain")
    learning_rate = "cosine:1e-2:1e-5"

    def __init__(self, layout: Layout, hidden: tuple[int, ...] = (), activation: str = "elu") -> None:
        super().__init__(layout, hidden, activation)
        self.net = mlp(layout.num_inputs, self.hidden, len(layout.order_units), activation, ortho_init=False)
        if layout.links:
            self._constant("links", layout.links)

    @classmethod
    def default_hidden(cls, layout: Layout) -> tuple[int, ...]:
        """32-32-32 for a store, 64-64 for a chain (the release: 32-32), 128-128 for warehouses (512 three times)."""
        return {"store": (32, 32, 32), "chain": (64, 64), "plain": (64, 64)}.get(layout.kind, (128, 128))

    def forward(self, rows: Tensor, whole: bool = False) -> Tensor:
        """Actions [B, A] for rows [B, O]."""
        if self.layout.kind == "plain":
            return torch.tanh(self.net(rows)) * self.scale + self.shift
        return super().forward(rows, whole)

    def orders(self, rows: Tensor) -> Tensor:
        """Orders [B, A] units."""
        out, kind = self.net(rows), self.layout.kind
        if kind == "store":
            return softplus(out + ONE) * self.order_units
        count = max(self.layout.warehouses, 1)
        own = torch.sigmoid(out[:, -count:] + MEAN_ORDER) * (MOST_SUPPLY * self.order_units[-count:])
        if kind == "chain":
            on_hand = self.places(rows)[:, 1:, 0].clamp_min(0)
            return torch.cat((torch.sigmoid(out[:, :-1]) * on_hand, own), dim=1)
        logits = out[:, :-count].unflatten(1, (self.layout.places, count))
        if self.layout.links:
            logits = logits.masked_fill(self.links == 0, -math.inf)
        if kind == "network":
            logits = torch.cat((logits, torch.ones_like(logits[:, :1])), dim=1)
        shares = torch.softmax(logits, dim=1)[:, : self.layout.places]
        on_hand = self.warehouses(rows)[..., 0]
        shipped = shares * torch.where(on_hand > TINY, on_hand, 0.0).unsqueeze(1)
        return torch.cat((shipped.flatten(1), own), dim=1)


class SymmetricNetwork(OrderPolicy):
    """One small network shared by all stores, given a context vector that summarises the whole system.

    Context: two layers on all inventories (64 wide here, 256 in the release), ending in a sigmoid. Store: 32-32 on its
    own inventory, its constants (costs, demand, lead times) and the context; it wants softplus(output) mean demands.
    Warehouse: 16-16 on its own inventory, constants and the context; it orders sigmoid(output) of 4 mean demands. Wants
    beyond the stock are cut in proportion by the kernel.
    """

    kinds = ("network", "transshipment")
    learning_rate = "cosine:1e-2:1e-5"
    context_width = 64
    constants: Tensor
    upper_constants: Tensor

    def __init__(self, layout: Layout, hidden: tuple[int, ...] = (), activation: str = "elu") -> None:
        super().__init__(layout, hidden, activation)
        stores, own = layout.places, layout.slots
        width = self.context_width
        self.context = nn.Sequential(
            mlp(layout.num_inputs, (width,), width, activation, ortho_init=False), nn.Sigmoid()
        )
        leads = torch.tensor(layout.lead_times, dtype=torch.float32)
        constants = torch.cat((_columns(layout.features)[:stores], leads / leads.max()), dim=1)
        self.register_buffer("constants", constants, persistent=False)
        # The first layers are split by input: the context's part is computed once for all stores.
        self.from_context = nn.Linear(width, self.hidden[0])
        self.from_store = nn.Linear(own[0] + constants.shape[1], self.hidden[0], bias=False)
        self.store = nn.Sequential(
            ACTIVATIONS[activation](),
            mlp(self.hidden[0], self.hidden[1:], layout.warehouses, activation, ortho_init=False),
        )
        upper = torch.tensor(layout.upper_lead_times, dtype=torch.float32)
        about = (leads.mean(0) / leads.max(), upper / upper.max(), leads.new_tensor(layout.edge_costs))
        table = torch.cat((_columns(layout.features[stores:]), torch.stack(about, dim=1)), dim=1)
        self.register_buffer("upper_constants", table, persistent=False)
        self.warehouse = mlp(own[1] + table.shape[1] + width, (16, 16), 1, activation, ortho_init=False)

    def orders(self, rows: Tensor) -> Tensor:
        """Orders [B, A] units."""
        layout = self.layout
        stores, slots = layout.places, layout.slots
        context = self.context(rows)
        own = rows[:, : stores * slots[0]].unflatten(1, (stores, slots[0]))
        own = torch.cat((own, self.constants.expand(rows.shape[0], -1, -1)), dim=-1)
        wants = self.store(self.from_store(own) + self.from_context(context).unsqueeze(1)).flatten(1)
        upper = rows[:, stores * slots[0] :].unflatten(1, (layout.warehouses, slots[1]))
        told = context.unsqueeze(1).expand(-1, layout.warehouses, -1)
        known = self.upper_constants.expand(rows.shape[0], -1, -1)
        supply = self.warehouse(torch.cat((upper, known, told), dim=-1)).squeeze(-1)
        wants, supply = softplus(wants + ONE) + TINY, MOST_SUPPLY * torch.sigmoid(supply + MEAN_ORDER)
        return torch.cat((wants, supply), dim=1) * self.order_units


class GraphNetwork(OrderPolicy):
    """Message passing: nodes are locations, edges are links, and every function is shared.

    Nodes start from their inventory and constants, edges from their ends and lead time, by MLPs 32 -> 32. A round of
    messages updates nodes from the sums (over root degree) of their edges, then edges from their ends, each added to
    what was there: one round for warehouses with stores, as many as stages + 1 in a chain. Edges: the orders (those
    from outside without a source), a loop at each location that supplies others, for what stays there (but for
    transshipment), and one from each store to its customers. The output of an edge is the flow it desires, softplus
    (output) mean demands; where the flows out of a place exceed its stock they are cut in proportion.
    """

    kinds = ("store", "chain", "network", "transshipment")
    learning_rate = "cosine:1e-2:1e-5"
    constants: Tensor
    source: Tensor
    target: Tensor
    into: Tensor
    out_of: Tensor
    leads: Tensor
    flow_units: Tensor

    def __init__(self, layout: Layout, hidden: tuple[int, ...] = (), activation: str = "elu") -> None:
        super().__init__(layout, hidden, activation)
        width = self.hidden[-1]
        sources, targets, leads = _edges(layout)
        num_nodes, self.num_orders = len(layout.features), len(layout.order_units)
        slots = max(layout.slots)
        self.rounds = num_nodes + 1 if layout.kind == "chain" else 1
        self.register_buffer("constants", _columns(layout.features), persistent=False)
        # Ends outside the network point to an extra node, which is all zeros.
        ends = [[num_nodes if end is None else end for end in side] for side in (sources, targets)]
        self.register_buffer("source", torch.tensor(ends[0]), persistent=False)
        self.register_buffer("target", torch.tensor(ends[1]), persistent=False)
        nodes = torch.arange(num_nodes).unsqueeze(1)
        into, out_of = (self.target == nodes).float(), (self.source == nodes).float()
        self._constant("into", (into / into.sum(1, keepdim=True).clamp_min(1).sqrt()).tolist())
        self._constant("out_of", (out_of / out_of.sum(1, keepdim=True).clamp_min(1).sqrt()).tolist())
        self._constant("leads", [[lead / max(max(leads), 1)] for lead in leads])
        units = [*layout.order_units, *_loop_units(layout, len(leads) - self.num_orders)]
        for i, linked in enumerate(sum(layout.links, ())):
            units[i] *= linked  # nothing flows where there is no link
        self._constant("flow_units", units)

        def part(size: int, out: int = width) -> nn.Module:
            return mlp(size, self.hidden, out, activation, ortho_init=False)

        self.first_node = part(slots + 4)
        self.first_edge = part(2 * width + 1)
        self.node = part(3 * width)
        self.edge = part(3 * width)
        self.flow = part(width, 1)

    def orders(self, rows: Tensor) -> Tensor:
        """Orders [B, A] units."""
        inventory = self._inventory(rows)
        own = self.constants.expand(rows.shape[0], -1, -1)
        nodes = self.first_node(torch.cat((inventory, own), dim=-1))
        source, target = self._ends(nodes)
        edges = self.first_edge(torch.cat((source, target, self.leads.expand(rows.shape[0], -1, -1)), dim=-1))
        for _ in range(self.rounds):
            nodes = nodes + self.node(torch.cat((nodes, self.into @ edges, self.out_of @ edges), dim=-1))
            source, target = self._ends(nodes)
            edges = edges + self.edge(torch.cat((edges, source, target), dim=-1))
        flows = (softplus(self.flow(edges).squeeze(-1) + ONE) + TINY) * self.flow_units
        return self._feasible(rows, flows)[:, : self.num_orders]

    def _inventory(self, rows: Tensor) -> Tensor:
        """Slots of all nodes in mean demands, padded to the same number: [B, V, S]."""
        layout = self.layout
        slots, upper = layout.slots
        width = max(slots, upper)
        count = layout.places * slots
        places = rows[:, :count].unflatten(1, (layout.places, slots))
        places = nn.functional.pad(places, (0, width - slots))
        if not upper:
            return places
        above = rows[:, count:].unflatten(1, (layout.warehouses, upper))
        return torch.cat((places, nn.functional.pad(above, (0, width - upper))), dim=1)

    def _ends(self, nodes: Tensor) -> tuple[Tensor, Tensor]:
        """Node features at the source and at the target of each edge, [B, E, H] each."""
        padded = nn.functional.pad(nodes, (0, 0, 0, 1))
        return padded.index_select(1, self.source), padded.index_select(1, self.target)

    def _feasible(self, rows: Tensor, flows: Tensor) -> Tensor:
        """Flows [B, E] cut in proportion to what their sources have on hand."""
        kind = self.layout.kind
        if kind in (
            "store",
            "transshipment",
        ):  # nothing limits them; or all is shipped, which the kernel sees to
            return flows
        on_hand = (self.places(rows) if kind == "chain" else self.warehouses(rows))[..., 0].clamp_min(0)
        if kind == "chain":
            loops = flows[:, self.num_orders : self.num_orders + on_hand.shape[1] - 1]
            below = flows[:, : self.num_orders - 1]
            cut = (on_hand[:, 1:] / (below + loops)).clamp_max(1)
            return torch.cat((below * cut, flows[:, self.num_orders - 1 :]), dim=1)
        places, count = self.layout.places, self.layout.warehouses
        shipped = flows[:, : places * count].unflatten(1, (places, count))
        loops = flows[:, self.num_orders : self.num_orders + count]
        cut = (on_hand / (shipped.sum(1) + loops)).clamp_max(1)
        return torch.cat(((shipped * cut.unsqueeze(1)).flatten(1), flows[:, places * count :]), dim=1)


def _columns(features: tuple[tuple[float, ...], ...]) -> Tensor:
    """The features [V, 4], each divided by its largest value."""
    table = torch.tensor(features, dtype=torch.float32)
    largest = table.abs().amax(0)
    return table / torch.where(largest > 0, largest, 1.0)


def _edges(layout: Layout) -> tuple[list[int | None], list[int | None], list[int]]:
    """Sources, targets and lead times of the edges, the orders first, in the order of the actions."""
    places, count = layout.places, layout.warehouses
    if not count:
        last: list[int | None] = [None]
        sources, targets = [*range(1, places), *last], [*range(places), *last][:-1]
        leads = [row[0] for row in layout.lead_times]
        loops = list(range(1, places))
    else:
        sources = [places + w for _ in range(places) for w in range(count)] + [None] * count
        targets = [k for k in range(places) for _ in range(count)] + [places + w for w in range(count)]
        leads = [*(lead for row in layout.lead_times for lead in row), *layout.upper_lead_times]
        loops = [] if layout.kind == "transshipment" else [places + w for w in range(count)]
    stores = [0] if layout.kind == "chain" else list(range(places))
    outside: list[int | None] = [None] * len(stores)
    return (
        [*sources, *loops, *stores],
        [*targets, *loops, *outside],
        [*leads, *[0] * (len(loops) + len(stores))],
    )


def _loop_units(layout: Layout, count: int) -> list[float]:
    """Mean demands behind the loops and the customers' edges, the last `count` edges."""
    return [sum(layout.order_units) / len(layout.order_units)] * count


POLICIES: dict[str, type[OrderPolicy]] = {
    "vanilla": VanillaNetwork,
    "symmetric": SymmetricNetwork,
    "graph": GraphNetwork,
    "base_stock": BaseStock,
    "capped_base_stock": CappedBaseStock,
    "echelon_stock": EchelonStock,
}
"""The policies by name."""


def make_policy(name: str, layout: Layout, hidden: tuple[int, ...] = (), activation: str = "elu") -> OrderPolicy:
    """The policy of a name for a layout.

    Args:
        name: of `POLICIES`; "auto" is symmetric for stores with warehouses, else vanilla.
        layout: of the problem.
        hidden: hidden layers; empty takes the policy's own.
        activation: tanh, relu, elu or gelu.

    Raises:
        ValueError: unknown, or not made for this layout; the message names what is.
    """
    if name == "auto":
        name = "symmetric" if layout.kind in ("network", "transshipment") else "vanilla"
    if name not in POLICIES:
        raise ValueError(f"network {name!r} is unknown: {nearest(name, ['auto', *POLICIES])}")
    kind = POLICIES[name]
    traced = layout.kind == "store" and not layout.lead_times
    if layout.kind not in kind.kinds or (traced and name != "vanilla"):
        fitting = [n for n, k in POLICIES.items() if layout.kind in k.kinds and (not traced or n == "vanilla")]
        raise ValueError(f"network={name!r} is not made for this problem (a {layout.kind}); use {' or '.join(fitting)}")
    return kind(layout, hidden or kind.default_hidden(layout), activation)
