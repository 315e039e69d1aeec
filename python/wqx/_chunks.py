"""Which events make a task, how many of them, and in which order results are merged."""
import math
from collections import deque
from dataclasses import replace

# So many of the latest measurements make the model of what events cost.
SEEN_MAX = 60
# A size that was never tried is at most so many times the largest that was.
GROWTH_MAX = 4


class Cutter:
    """Pieces of the items to submit, cut when they are asked for."""

    def __init__(self, items, sizer=None):
        self.sizer = sizer
        self.items = deque(items if sizer is None else joined(items))

    def next(self):
        """The next piece, or None."""
        if not self.items:
            return None
        item = self.items.popleft()
        if self.sizer is None or len(item) <= 1:
            return item
        left, size = len(item), self.sizer.size
        count = max(round(left / size), 1)
        stop = item.entrystart + math.ceil(left / count)
        if stop >= item.entrystop:
            return item
        self.items.appendleft(replace(item, entrystart=stop))
        return replace(item, entrystop=stop)


def joined(items):
    """Neighbours in a file as one item, for new cuts."""
    whole = []
    for item in items:
        last = whole[-1] if whole else None
        if last is not None and len(item) > 0 and last.entrystop == item.entrystart:
            same = ("dataset", "filename", "treename", "fileuuid", "usermeta", "preload")
            if all(getattr(last, key) == getattr(item, key) for key in same):
                whole[-1] = replace(last, entrystop=item.entrystop)
                continue
        whole.append(item)
    return whole


def split(item, size):
    """Pieces of nearly `size` events, at least two."""
    events = len(item)
    count = min(events, max(2, math.ceil(events / max(1, size))))
    edges = [item.entrystart + events * i // count for i in range(count + 1)]
    return [
        replace(item, entrystart=start, entrystop=stop)
        for start, stop in zip(edges[:-1], edges[1:])
    ]


class Sizer:
    """Events per task, so that what it measures comes near the targets; learns as tasks end."""

    def __init__(self, size, targets):
        self.size = max(1, int(size))
        self.targets = targets
        self.seen = {name: deque(maxlen=SEEN_MAX) for name in targets}
        self.largest = 0

    def succeeded(self, events, measured):
        """`measured`: by name of target; what is not known is left out."""
        if events <= 0:
            return
        self.largest = max(self.largest, events)
        for name, value in measured.items():
            if name in self.seen and value is not None and value > 0:
                self.seen[name].append((events, value))
        wanted = [
            events_for(self.seen[name], target)
            for name, target in self.targets.items()
            if self.seen[name]
        ]
        if wanted:
            self.size = max(1, min(int(min(wanted)), GROWTH_MAX * self.largest))

    def exhausted(self, events):
        self.size = max(1, min(self.size, events // 2))
        self.largest = min(self.largest, self.size) or self.size


def events_for(seen, target):
    """Where a line through the measurements, by the medians of its slopes, meets the target."""
    slopes = sorted(
        (b[1] - a[1]) / (b[0] - a[0])
        for i, a in enumerate(seen)
        for b in list(seen)[i + 1 :]
        if b[0] != a[0]
    )
    slope = slopes[len(slopes) // 2] if slopes else 0
    if slope <= 0:
        # All of one size, or noise: twice as many tell more, if there is room for that.
        events = max(one[0] for one in seen)
        values = sorted(value for size, value in seen if size == events)
        value = values[len(values) // 2]
        return events * (2 if 2 * value <= target else min(1.0, target / value))
    offsets = sorted(value - slope * events for events, value in seen)
    return (target - offsets[len(offsets) // 2]) / slope


class MergeTree:
    """Which results are merged with which: that depends on their numbers, not on when they come.

    Sums of floating-point numbers so come out the same in each run with the same chunks. A leaf has
    any number of results (it may be split), in the order of its pieces.
    """

    def __init__(self, fan_in):
        self.fan_in = fan_in
        self.levels = [{}]
        self.begun = set()
        self.count = 0
        self.closed = False

    def add(self):
        """A new leaf."""
        self.count += 1
        return self.count - 1

    def put(self, level, index, parts):
        """All results of this node are there; returns merges to do: (level, index, parts)."""
        while len(self.levels) <= level:
            self.levels.append({})
        self.levels[level][index] = parts
        return self.look(level, index // self.fan_in)

    def close(self):
        """No more leaves come; returns merges as `put` does."""
        self.closed = True
        merges = []
        for level in range(len(self.levels)):
            above = {index // self.fan_in for index in list(self.levels[level])}
            for index in sorted(above):
                merges += self.look(level, index)
        return merges

    def look(self, below, index):
        level = below + 1
        first, width = index * self.fan_in, self.width(below)
        if (level, index) in self.begun or level >= self.height():
            return []
        count = min(self.fan_in, width - first) if self.closed else self.fan_in
        nodes = [self.levels[below].get(first + i) for i in range(count)]
        if any(one is None for one in nodes):
            return []
        self.begun.add((level, index))
        parts = [part for node in nodes for part in node]
        if len(parts) < 2:
            return self.put(level, index, parts)
        return [(level, index, parts)]

    def width(self, level):
        return math.ceil(self.count / self.fan_in**level)

    def height(self):
        """The level of the root, which is merged by who asks for `roots`; may grow until closed."""
        level = 1
        while self.fan_in**level < self.count:
            level += 1
        return level

    def roots(self):
        """What is left to merge, in order; None as long as something is missing."""
        below = self.height() - 1
        if not self.closed:
            return None
        nodes = self.levels[below] if below < len(self.levels) else {}
        if len(nodes) < self.width(below):
            return None
        return [part for index in sorted(nodes) for part in nodes[index]]
