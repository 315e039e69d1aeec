"""What a task used or may use: the record of the resource monitor."""

_AMOUNTS = (
    "cores gpus memory disk start end cores_avg wall_time cpu_time virtual_memory swap_memory "
    "bytes_read bytes_written bytes_received bytes_sent bandwidth machine_cpus machine_load "
    "context_switches max_concurrent_processes total_processes total_files fs_nodes workers"
).split()
_TEXTS = "category command taskid exit_type snapshot_name".split()
_COUNTS = "signal exit_status last_error snapshots_count".split()


class rmsummary:
    """Amounts by name, floats; -1 where nothing is known.

    `memory`, `virtual_memory`, `swap_memory` and `disk` in MB; times in seconds, `start` and `end`
    since the epoch; `bytes_*` in MB; `bandwidth` in Mbit/s. `limits_exceeded` is another such
    record with the limits that were passed, or None.
    """

    limits_exceeded = None
    peak_times = None
    snapshots = None

    def __init__(self, **values):
        self.__dict__.update(values)

    def to_dict(self):
        """What is known, by name; records in it become dicts, too."""
        known = {}
        for name, value in self.__dict__.items():
            if value is None or value == -1:
                continue
            known[name] = value.to_dict() if isinstance(value, rmsummary) else value
        return known

    @classmethod
    def from_dict(cls, values):
        """The record of which `to_dict` gives these values."""
        made = dict(values)
        for name in ("limits_exceeded", "peak_times"):
            if isinstance(made.get(name), dict):
                made[name] = cls.from_dict(made[name])
        return cls(**made)

    def __eq__(self, other):
        return isinstance(other, rmsummary) and self.to_dict() == other.to_dict()

    __hash__ = None

    def __repr__(self):
        return "rmsummary(%s)" % ", ".join("%s=%r" % pair for pair in self.to_dict().items())


for _name in _AMOUNTS:
    setattr(rmsummary, _name, -1.0)
for _name in _COUNTS:
    setattr(rmsummary, _name, -1)
for _name in _TEXTS:
    setattr(rmsummary, _name, None)
del _name
