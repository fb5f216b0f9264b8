"""The classes of the synthetic data set: synset, readable name and how each is drawn."""

from collections.abc import Callable
from typing import NamedTuple

from numpy.random import Generator

from deepinside.miniature import animals, household, outdoors, vehicles
from deepinside.miniature.shapes import Shape


class Kind(NamedTuple):
    """One class: its synset number, its names as a synset list writes them, and its shapes."""

    wnid: str
    names: str
    draw: Callable[[Generator], list[Shape]]

    @property
    def name(self) -> str:
        """The first of its names."""
        return self.names.split(",")[0]


_NAMES = (
    ("aeroplane, airplane, plane", vehicles.aeroplane),
    ("bicycle, bike, cycle", vehicles.bicycle),
    ("bird", animals.bird),
    ("butterfly", animals.butterfly),
    ("car, motorcar", vehicles.car),
    ("cat, house cat", animals.cat),
    ("clock, alarm clock", household.clock),
    ("fish", animals.fish),
    ("flower, blossom", outdoors.flower),
    ("guitar", household.guitar),
    ("house, cottage", outdoors.house),
    ("lamp, table lamp", household.lamp),
    ("locomotive, steam engine", vehicles.train),
    ("mug, cup", household.mug),
    ("mushroom, toadstool", outdoors.mushroom),
    ("rocket, spaceship", outdoors.rocket),
    ("sailing boat, sailboat", vehicles.boat),
    ("snail", animals.snail),
    ("tree", outdoors.tree),
    ("umbrella", household.umbrella),
)
KINDS = tuple(Kind(f"n9{place:07d}", names, draw) for place, (names, draw) in enumerate(_NAMES, start=1))
