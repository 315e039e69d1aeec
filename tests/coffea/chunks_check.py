"""Checks of wqx/_chunks.py, which needs no coffea; prints "sound"."""
import random
from dataclasses import dataclass

from wqx._chunks import Cutter, MergeTree, Sizer, joined, split


@dataclass(frozen=True)
class Item:
    filename: str
    entrystart: int
    entrystop: int
    dataset: str = "A"
    treename: str = "Events"
    fileuuid: bytes = b""
    usermeta: object = None
    preload: object = None

    def __len__(self):
        return self.entrystop - self.entrystart


def ranges(items):
    return [(one.filename, one.entrystart, one.entrystop) for one in items]


def cut_all(cutter):
    return list(iter(cutter.next, None))


def check_cutting():
    items = [Item("a", 0, 10), Item("a", 10, 25), Item("b", 0, 5), Item("b", 7, 9), Item("c", 0, 0)]
    assert cut_all(Cutter(items)) == items
    assert ranges(joined(items)) == [
        ("a", 0, 25),
        ("b", 0, 5),
        ("b", 7, 9),
        ("c", 0, 0),
    ]
    cut = cut_all(Cutter(items, Sizer(6, {"memory": 1})))
    assert ranges(cut) == [
        ("a", 0, 7),
        ("a", 7, 13),
        ("a", 13, 19),
        ("a", 19, 25),
        ("b", 0, 5),
        ("b", 7, 9),
        ("c", 0, 0),
    ], ranges(cut)
    assert ranges(split(Item("a", 3, 10), 100)) == [("a", 3, 6), ("a", 6, 10)]
    assert [len(one) for one in split(Item("a", 0, 10), 3)] == [2, 3, 2, 3]


def check_sizes():
    # 50 MB and 0.02 MB an event; the target is met by 22,500 events.
    sizer = Sizer(1_000, {"memory": 500})
    for _ in range(30):
        sizer.succeeded(sizer.size, {"memory": 50 + 0.02 * sizer.size})
    assert abs(sizer.size - 22_500) < 300, sizer.size
    sizer.exhausted(22_000)
    assert sizer.size <= 11_000
    # What was not measured tells nothing.
    blind = Sizer(1_000, {"memory": 500})
    blind.succeeded(1_000, {"memory": -1, "wall_time": 3})
    assert blind.size == 1_000


def merged(leaves, fan_in, seed):
    """What comes of it, as text that shows all brackets, with leaves in any order."""
    chance = random.Random(seed)
    tree = MergeTree(fan_in)
    waiting = []
    for parts in leaves:
        waiting.append((0, tree.add(), parts))
    merges = tree.close()
    while waiting or merges:
        ready = [(level, index, ["(%s)" % "+".join(parts)]) for level, index, parts in merges]
        waiting += ready
        level, index, parts = waiting.pop(chance.randrange(len(waiting)))
        assert tree.roots() is None or not waiting
        merges = tree.put(level, index, parts)
    return "+".join(tree.roots())


def check_merging():
    for count in (1, 2, 4, 5, 16, 17, 64, 65):
        leaves = [[str(i)] for i in range(count)]
        leaves[count // 2] = ["x", "y"]
        if count > 2:
            leaves[1] = []
        first = merged(leaves, 4, 0)
        for seed in range(1, 20):
            assert merged(leaves, 4, seed) == first
        flat = first.replace("(", "").replace(")", "").split("+")
        assert flat == [part for parts in leaves for part in parts], first


check_cutting()
check_sizes()
check_merging()
print("sound")
