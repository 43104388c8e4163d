"""How long does a view take to be compared with ten thousand references, beside plain NumPy and faiss?

All do the same: project the features of one view, and find the best reference of each label and the mean's cosine. The gallery
does it inside the ONNX graph, on one thread, as bundles are run; NumPy by two products and a maximum a label; faiss by an exact
search of inner products for the hundred nearest (IndexFlatIP), which is less than what the gallery does.
"""

from __future__ import annotations

import argparse

import numpy as np
from common import busy, table, take_turns, verdict
from threadpoolctl import threadpool_limits

from logolens.models.head import CosineHead, nodes_of

TARGET_MS = 5.0
WIDTH, DIMENSIONS = 2784, 512


def gallery(references: int, labels: int, rng: np.random.Generator) -> CosineHead:
    """Random references of so many labels, of which some have many more than others."""
    owners = np.sort(np.concatenate([np.arange(labels), (labels * rng.random(references - labels) ** 2).astype(int)]))
    rows = rng.normal(size=(references, DIMENSIONS)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    weights = (rng.normal(size=(WIDTH, DIMENSIONS)) / np.sqrt(WIDTH)).astype(np.float32)
    return CosineHead(
        ((weights, np.zeros(DIMENSIONS, np.float32)),),
        references=rows,
        owners=owners.astype(np.int64),
        thresholds=np.zeros(labels, np.float32),
        empty=rows[0],
        backgrounds=rows[:1],
    )


def session_of(head: CosineHead) -> object:
    """The head alone on ONNX Runtime, on one thread."""
    import onnx
    import onnxruntime

    nodes, weights = nodes_of(onnx, head, 17)
    kind = onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        nodes,
        "head",
        [onnx.helper.make_tensor_value_info("head_input", kind, ["n", WIDTH])],
        [onnx.helper.make_tensor_value_info("logits", kind, ["n", head.outputs])],
        weights,
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--references", type=int, default=10_000)
    parser.add_argument("--labels", type=int, default=500)
    parser.add_argument("--views", type=int, default=100, help="views in a round")
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    busy()
    rng = np.random.default_rng(0)
    head = gallery(arguments.references, arguments.labels, rng)
    session = session_of(head)
    views = rng.normal(size=(arguments.views, 1, WIDTH)).astype(np.float32)
    starts = np.searchsorted(head.owners, np.arange(head.labels))
    weights = head.layers[0][0]

    def onnx_runtime() -> np.ndarray:
        return np.concatenate([session.run(["logits"], {"head_input": view})[0] for view in views])  # type: ignore[attr-defined]

    def numpy() -> np.ndarray:
        found = []
        for view in views:
            unit = view @ weights
            unit /= np.linalg.norm(unit)
            best = np.maximum.reduceat(unit @ head.references.T, starts, axis=1)
            found.append(0.3 * best + 0.7 * (unit @ head.means.T))
        return np.concatenate(found)

    contestants = {"the gallery in ONNX Runtime": onnx_runtime, "NumPy": numpy}
    try:
        import faiss
    except ImportError:
        print("faiss is not installed (pip install faiss-cpu), so it is left out.")
    else:
        faiss.omp_set_num_threads(1)
        index = faiss.IndexFlatIP(DIMENSIONS)
        index.add(head.references)

        def search() -> None:
            for view in views:
                unit = view @ weights
                index.search(unit / np.linalg.norm(unit), 100)

        contestants["faiss, 100 nearest"] = search  # type: ignore[assignment]
    with threadpool_limits(1):
        difference = np.abs(onnx_runtime()[:, :-1] / head.sharpness - numpy()).max()
        timings = take_turns(contestants, arguments.rounds)
    print(f"{arguments.references:,} references of {arguments.labels:,} labels, {DIMENSIONS} dimensions, one thread")
    print(f"largest difference of a cosine from NumPy's: {difference:.1e}")
    each = {name: 1000 * timing.cpu_seconds / arguments.views for name, timing in timings.items()}
    clock = {name: 1000 * timing.seconds / arguments.views for name, timing in timings.items()}
    ours = each["the gallery in ONNX Runtime"]
    rows = [[name, f"{each[name]:.2f}", f"{clock[name]:.2f}", f"{each[name] / ours:.2f}"] for name in each]
    table(["", "ms a view (processor)", "ms a view (clock)", "times the gallery's"], rows)
    verdict("milliseconds of processor time a view", ours, TARGET_MS, least=False)


if __name__ == "__main__":
    main()
