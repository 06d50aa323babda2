"""The hash of a graph of things that may hold each other: the same for graphs that look the same from their root."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from paribus.config.identity.plain import joined


@dataclass
class Node:
    """A thing. `own`: what it is without its parts; `parts`: their nodes; `ordered`: whether the parts' order counts;
    `place`: where the thing lies, for one that can be changed: two places that are one thing are told from two alike.
    """

    own: bytes
    parts: list[int] = field(default_factory=list)
    ordered: bool = True
    place: int | None = None


def graph_hash(nodes: list[Node]) -> str:
    """SHA-256 of what can be seen from the first node.

    Things that hold no thing that holds them are hashed after their parts. A circle of k things is hashed in 2 k
    rounds, each from the round before: two circles of k that look different then have different hashes.

    >>> alone = [Node(b"a", [1]), Node(b"b")]
    >>> graph_hash(alone) == graph_hash([Node(b"a", [2]), Node(b"x"), Node(b"b")])
    True
    >>> graph_hash([Node(b"a", [0])]) == graph_hash(alone)
    False
    """
    labels = [b""] * len(nodes)
    for circle in _circles(nodes):
        rounds = 2 * len(circle) if len(circle) > 1 or circle[0] in nodes[circle[0]].parts else 1
        for one in circle:
            labels[one] = nodes[one].own
        for _ in range(rounds):
            new = [_label(nodes[one], labels) for one in circle]
            for one, label in zip(circle, new, strict=True):
                labels[one] = label
    digest = hashlib.sha256(labels[0])
    digest.update(repr(_shared(nodes, labels)).encode())
    return digest.hexdigest()


def _label(node: Node, labels: list[bytes]) -> bytes:
    parts = [labels[part] for part in node.parts]
    return hashlib.sha256(joined([node.own, *(parts if node.ordered else sorted(parts))])).digest()


def _circles(nodes: list[Node]) -> list[list[int]]:
    """Strongly connected components, each after those that it reaches (Tarjan 1972, without recursion)."""
    found: list[list[int]] = []
    number = [-1] * len(nodes)
    low = [0] * len(nodes)
    open_nodes: list[int] = []
    is_open = [False] * len(nodes)
    count = 0
    path: list[tuple[int, int]] = [(0, 0)]
    while path:
        node, at = path.pop()
        if at == 0:
            number[node] = low[node] = count
            count += 1
            open_nodes.append(node)
            is_open[node] = True
        else:
            low[node] = min(low[node], low[nodes[node].parts[at - 1]])
        parts = nodes[node].parts
        while at < len(parts):
            part = parts[at]
            at += 1
            if number[part] < 0:
                path += [(node, at), (part, 0)]
                break
            if is_open[part]:
                low[node] = min(low[node], number[part])
        else:
            if low[node] == number[node]:
                first = _last(open_nodes, node)
                circle = open_nodes[first:]
                del open_nodes[first:]
                for one in circle:
                    is_open[one] = False
                found.append(circle)
    return found


def _last(numbers: list[int], number: int) -> int:
    at = len(numbers) - 1
    while numbers[at] != number:
        at -= 1
    return at


def _shared(nodes: list[Node], labels: list[bytes]) -> list[int]:
    """Which places are one thing: the number of each thing that can be changed, as a walk from the root meets them."""
    numbers: dict[int, int] = {}
    met: list[int] = []
    seen = {0}
    waiting = [0]
    while waiting:
        node = nodes[waiting.pop()]
        parts = node.parts if node.ordered else sorted(node.parts, key=lambda part: labels[part])
        for part in parts:
            place = nodes[part].place
            if place is not None:
                met.append(numbers.setdefault(place, len(numbers)))
        new = [part for part in dict.fromkeys(parts) if part not in seen]
        seen.update(new)
        waiting += reversed(new)
    return met
