"""A drawing of the pipeline: artifacts and their inputs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from deepinside.report.folder import Folder
from deepinside.report.page import Artifact, Drawing, Node

BOX = (156.0, 78.0)  # width and height, in units of the view box
GAP = (44.0, 20.0)
WIDE_ROW = 258.0  # width of a box of the narrow image
ROW_GAP = 14.0
ARC_ROOM = 74.0  # left of the boxes, where the arcs of the narrow image run
SWEEPS = 4  # rounds of putting every box at the height of its neighbours
MANY = 3  # inputs of one artifact that are not on the page and still get a box each
PAGE = "this page"


@dataclass(frozen=True)
class _Graph:
    nodes: Mapping[str, Node]
    parents: Mapping[str, Sequence[str]]

    def children(self, one: str) -> list[str]:
        return [child for child, parents in self.parents.items() if one in parents]


def drawings(
    folders: Sequence[Folder], artifacts: Sequence[Artifact], chosen: Mapping[str, Mapping[str, str]]
) -> tuple[Drawing, Drawing]:
    """The pipeline from left to right for wide screens, and from top to bottom for narrow ones.

    An edge that follows from longer paths is left out; the table of the lineage has them all.
    """
    graph = _reduced(_graph(folders, artifacts, chosen))
    columns = _columns(graph)
    return _wide(graph, columns), _narrow(graph, columns)


def _graph(folders: Sequence[Folder], artifacts: Sequence[Artifact], chosen: Mapping[str, Mapping[str, str]]) -> _Graph:
    anchors = {folder.fingerprint: one.anchor for folder, one in zip(folders, artifacts, strict=True)}
    nodes, parents = {}, {}
    for folder, artifact in zip(folders, artifacts, strict=True):
        state = "broken" if folder.problems else "here"
        detail = " · ".join(dict.fromkeys(chosen[folder.key].values()))
        nodes[artifact.anchor] = Node(folder.stage, detail, folder.fingerprint, f"#{artifact.anchor}", state, 0, 0)
        made_from = [anchors.get(fingerprint, fingerprint) for fingerprint in folder.inputs.values()]
        parents[artifact.anchor] = [one for one in dict.fromkeys(made_from) if one != artifact.anchor]
    for folder, artifact in zip(folders, artifacts, strict=True):
        absent = {print_: role for role, print_ in folder.inputs.items() if print_ not in anchors}
        if len(absent) > MANY:  # of a register or a sweep: one box for all, the table of the lineage has each
            crowd = f"{artifact.anchor} inputs"
            nodes[crowd] = Node(f"{len(absent)} artifacts", "not on this page", "", "", "elsewhere", 0, 0)
            parents[crowd] = []
            kept = [one for one in parents[artifact.anchor] if one not in absent]
            parents[artifact.anchor] = [*kept, crowd]
            continue
        for fingerprint, role in absent.items():
            nodes[fingerprint] = Node(role, "not on this page", fingerprint, "", "elsewhere", 0, 0)
            parents[fingerprint] = []
    used = {parent for ones in parents.values() for parent in ones}
    ends = [anchor for anchor in nodes if anchor not in used]
    return _Graph(nodes | {PAGE: Node("report", PAGE, "", "#top", "page", 0, 0)}, parents | {PAGE: ends})


def _ancestors(graph: _Graph, one: str) -> set[str]:
    found: set[str] = set()
    waiting = set(graph.parents[one])
    while waiting:
        found |= waiting
        waiting = {parent for other in waiting for parent in graph.parents[other]} - found
    return found


def _reduced(graph: _Graph) -> _Graph:
    above = {one: _ancestors(graph, one) for one in graph.nodes}
    if any(one in ancestors for one, ancestors in above.items()):  # damaged manifests that form a circle
        return _Graph(graph.nodes, {one: [] for one in graph.nodes})
    return _Graph(
        graph.nodes,
        {
            one: [parent for parent in parents if not any(parent in above[other] for other in parents)]
            for one, parents in graph.parents.items()
        },
    )


def _columns(graph: _Graph) -> list[list[str]]:
    # Every box as late as its users allow, so that edges join neighbouring columns.
    remaining = dict.fromkeys(graph.nodes, 0)
    for _ in graph.nodes:
        remaining = {one: max((remaining[c] + 1 for c in graph.children(one)), default=0) for one in graph.nodes}
    last = max(remaining.values())
    columns = [[one for one in graph.nodes if remaining[one] == last - depth] for depth in range(last + 1)]
    for _ in range(SWEEPS):
        for column in columns:
            heights = {one: row - len(ones) / 2 for ones in columns for row, one in enumerate(ones)}
            middles = {one: _middle(graph, one, heights) for one in column}
            column.sort(key=middles.__getitem__)
    return columns


def _middle(graph: _Graph, one: str, heights: Mapping[str, float]) -> float:
    near = [heights[other] for other in (*graph.parents[one], *graph.children(one)) if other in heights]
    return fmean(near) if near else 0.0


def _wide(graph: _Graph, columns: Sequence[Sequence[str]]) -> Drawing:
    step = BOX[1] + GAP[1]
    height = max(map(len, columns)) * step - GAP[1]
    tops = {one: row * step for column in columns for row, one in enumerate(column)}
    for column in sorted(columns, key=len, reverse=True):  # a shorter column is centred on what it is joined to
        room = height - len(column) * step + GAP[1]
        shift = fmean(_middle(graph, one, tops) - tops[one] for one in column) if room else 0.0
        tops |= {one: tops[one] + min(max(shift, 0.0), room) for one in column}
    placed = {
        one: replace(graph.nodes[one], x=index * (BOX[0] + GAP[0]), y=round(tops[one], 1))
        for index, column in enumerate(columns)
        for one in column
    }
    edges = [_sideways(placed[parent], placed[one]) for one, ones in graph.parents.items() for parent in ones]
    return Drawing(len(columns) * (BOX[0] + GAP[0]) - GAP[0], height, BOX, list(placed.values()), edges)


def _sideways(parent: Node, child: Node) -> str:
    x0, y0 = parent.x + BOX[0], parent.y + BOX[1] / 2
    x1, y1 = child.x - 5, child.y + BOX[1] / 2
    middle = x1 - GAP[0] / 2
    return f"M{x0:g} {y0:g}H{middle - GAP[0] / 2:g}C{middle:g} {y0:g} {middle:g} {y1:g} {x1:g} {y1:g}"


def _narrow(graph: _Graph, columns: Sequence[Sequence[str]]) -> Drawing:
    rows = {one: row for row, one in enumerate(one for column in columns for one in column)}
    step = BOX[1] + ROW_GAP
    edges = []
    for one, parents in graph.parents.items():
        for parent in parents:
            y0, y1 = (rows[end] * step + BOX[1] / 2 for end in (parent, one))
            reach = min(ARC_ROOM - 6, 16 + 9 * (rows[one] - rows[parent]))
            x = ARC_ROOM - reach * 4 / 3  # a cubic arc comes three quarters of the way to its handles
            edges.append(f"M{ARC_ROOM:g} {y0 + 7:g}C{x:g} {y0 + 7:g} {x:g} {y1 - 7:g} {ARC_ROOM - 5:g} {y1 - 7:g}")
    nodes = [replace(graph.nodes[one], x=ARC_ROOM, y=row * step) for one, row in rows.items()]
    return Drawing(ARC_ROOM + WIDE_ROW, len(rows) * step - ROW_GAP, (WIDE_ROW, BOX[1]), nodes, edges)
