"""Passes ONNX files to Python's onnx: python3 check-onnx.py FILE... prints one JSON line for each.

verdict: 'valid', 'newer' (its opset or IR version is beyond this onnx), or what onnx.checker's full check says, shape inference included.
"""
import json
import sys

import onnx

for path in sys.argv[1:]:
    try:
        model = onnx.load(path, load_external_data=False)
        opset = max(o.version for o in model.opset_import if o.domain in ("", "ai.onnx"))
        if opset > onnx.defs.onnx_opset_version() or model.ir_version > onnx.IR_VERSION:
            verdict = "newer"
        else:
            onnx.checker.check_model(path, full_check=True)
            verdict = "valid"
    except Exception as error:  # what the checker throws is of many classes
        opset, verdict = 0, f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"
    print(json.dumps({"path": path, "opset": opset, "verdict": verdict, "onnx": onnx.__version__}))
