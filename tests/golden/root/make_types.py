#!/usr/bin/env python3
"""Makes types.root: every kind of branch that ROOT itself writes, in a few kilobytes.

    python3 tests/golden/root/make_types.py      (needs ROOT for Python 6.36 or newer)

uproot writes only some of these, so ROOT made the file; what must come out of it is in columns.txt.
"""

from array import array
from pathlib import Path

import ROOT

EVENTS = 60
BASKET_BYTES = 128  # so small that every branch has several baskets

SCALARS = {  # leaf code: (array code, name, value of event i)
    "O": ("B", "bool", lambda i: i % 3 == 0),
    "B": ("b", "int8", lambda i: i - 30),
    "b": ("B", "uint8", lambda i: 255 - i),
    "S": ("h", "int16", lambda i: -300 * i),
    "s": ("H", "uint16", lambda i: 65535 - 7 * i),
    "I": ("i", "int32", lambda i: -100_000 * i),
    "i": ("I", "uint32", lambda i: 4_294_967_295 - i),
    "L": ("q", "int64", lambda i: -(2**53) - 3 * i),
    "l": ("Q", "uint64", lambda i: 2**64 - 1 - i),
    "G": ("q", "long", lambda i: 2**40 + i),
    "F": ("f", "float32", lambda i: 0.5 * i),
    "D": ("d", "float64", lambda i: 1 / (i + 1)),
}
COMPRESSIONS = {"none": 0, "zlib": 109, "lzma": 207, "lz4": 404, "zstd": 505}


def scalars_and_arrays():
    tree = ROOT.TTree("types", "types")
    n = array("i", [0])
    tree.Branch("n", n, "n/I", BASKET_BYTES)
    flat, counted = {}, {}
    for code, (kind, name, _) in SCALARS.items():
        flat[code] = array(kind, [0])
        counted[code] = array(kind, [0] * 8)
        tree.Branch(name, flat[code], f"{name}/{code}", BASKET_BYTES)
        tree.Branch(f"{name}s", counted[code], f"{name}s[n]/{code}", BASKET_BYTES)
    fixed, pairs = array("f", [0] * 3), array("d", [0] * 16)
    tree.Branch("fixed", fixed, "fixed[3]/F", BASKET_BYTES)
    tree.Branch("pairs", pairs, "pairs[n][2]/D", BASKET_BYTES)

    ROOT.gInterpreter.Declare("struct WqxRecord { float x; int y; double z; };")
    record = ROOT.WqxRecord()
    tree.Branch("record", ROOT.addressof(record), "x/F:y/I", BASKET_BYTES)

    vectors = {
        name: ROOT.std.vector(name)()
        for name in ("float", "double", "int", "short", "unsigned char", "bool", "long long")
    }
    for name, vector in vectors.items():
        tree.Branch("vector_" + name.replace(" ", "_"), vector, BASKET_BYTES, 0)
    nested = ROOT.std.vector("std::vector<float>")()
    text = ROOT.std.string()
    tree.Branch("nested", nested, BASKET_BYTES, 0)
    tree.Branch("text", text, BASKET_BYTES, 0)
    letters, half, small = array("B", [0] * 8), array("f", [0]), array("d", [0])
    tree.Branch("letters", letters, "letters/C", BASKET_BYTES)
    tree.Branch("half", half, "half/f", BASKET_BYTES)
    tree.Branch("small", small, "small/d", BASKET_BYTES)
    clones = ROOT.TClonesArray("TVector2", 8)
    tree.Branch("clones", clones, BASKET_BYTES, 99)
    points = ROOT.std.vector("TVector2")()
    tree.Branch("points", points, BASKET_BYTES, 99)
    point = ROOT.TVector2()
    tree.Branch("point", point, BASKET_BYTES, 99)

    for i in range(EVENTS):
        n[0] = (i * i) % 5
        for code, (_, _, value) in SCALARS.items():
            flat[code][0] = int(value(i)) if code == "O" else value(i)
            for k in range(n[0]):
                counted[code][k] = int(value((i + k) % EVENTS)) if code == "O" else value((i + k) % EVENTS)
        for k in range(3):
            fixed[k] = i + k / 4
        for k in range(2 * n[0]):
            pairs[k] = i - k
        record.x, record.y = i / 8, -i
        for vector in vectors.values():
            vector.clear()
            for k in range(n[0]):
                vector.push_back((i + k) % 2 if vector is vectors["bool"] else (i + k) % 200)
        nested.clear()
        nested.push_back(vectors["float"])
        text.assign(f"event {i}")
        letters[:3] = array("B", [65 + i % 26, 66, 0])
        half[0] = small[0] = i
        clones.Clear()
        points.clear()
        for k in range(n[0]):
            clones.ConstructedAt(k).Set(float(i), float(k))
            points.push_back(ROOT.TVector2(float(k), float(i)))
        point.Set(float(i), -float(i))
        tree.Fill()
    tree.Write()


def compressions():
    tree = ROOT.TTree("compressions", "compressions")
    n, x, xs = array("i", [0]), array("f", [0]), array("i", [0] * 8)
    tree.Branch("n", n, "n/I", 512)
    for name, setting in COMPRESSIONS.items():
        tree.Branch(name, x, f"{name}/F", 512).SetCompressionSettings(setting)
        tree.Branch(f"{name}s", xs, f"{name}s[n]/I", 512).SetCompressionSettings(setting)
    for i in range(300):
        n[0] = i % 4
        x[0] = i // 10
        for k in range(n[0]):
            xs[k] = i // 7 - k
        tree.Fill()
    tree.Write()


def small_tree(name, set_up=lambda tree: None, events=10):
    tree = ROOT.TTree(name, name)
    set_up(tree)
    n, xs = array("i", [0]), array("f", [0] * 8)
    tree.Branch("n", n, "n/I")
    tree.Branch("xs", xs, "xs[n]/F")
    for i in range(events):
        n[0] = i % 3
        for k in range(n[0]):
            xs[k] = i + k / 2
        tree.Fill()
    return tree


def generated_offsets(tree):
    features = ROOT.TIOFeatures()
    features.Set("kGenerateOffsetMap")
    tree.SetIOFeatures(features)


def main():
    file = ROOT.TFile(str(Path(__file__).with_name("types.root")), "RECREATE", "", 101)
    model = ROOT.RNTupleModel.Create()
    model.MakeField["float"]("x")
    ROOT.RNTupleWriter.Append(model, "ntuple", file).CommitDataset()
    scalars_and_arrays()
    compressions()
    small_tree("again").Write()
    small_tree("again", events=20).Write()  # a second cycle: the newer one counts
    small_tree("empty", events=0).Write()
    # Without a file of its own, a tree keeps its baskets inside.
    file.WriteTObject(small_tree("in_memory", lambda tree: tree.SetDirectory(ROOT.nullptr)))
    small_tree("no_offsets", generated_offsets).Write()
    ROOT.TH1F("histogram", "no tree", 4, 0, 4).Write()
    folder = file.mkdir("folder")
    folder.cd()
    small_tree("inner").Write()
    file.Close()


if __name__ == "__main__":
    main()
