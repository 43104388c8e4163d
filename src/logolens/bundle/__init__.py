"""A trained model as a folder: format, manifest, ONNX graph, model card."""
