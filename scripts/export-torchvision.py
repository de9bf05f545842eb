"""Networks of torchvision as torch.onnx.export writes them, with random weights: python3 export-torchvision.py FOLDER [--large]

resnet18, mobilenet_v2, squeezenet1_1 and a small vision transformer, each in opsets 11, 13 and 16; with --large vit_b_16 too.
"""
import sys
import warnings

import torch
import torchvision.models as models
from torchvision.models.vision_transformer import VisionTransformer

warnings.filterwarnings("ignore")
folder, large = sys.argv[1], "--large" in sys.argv
networks = {
    "resnet18": (models.resnet18, 64),
    "mobilenet_v2": (models.mobilenet_v2, 64),
    "squeezenet1_1": (models.squeezenet1_1, 64),
    "vit_small": (lambda: VisionTransformer(image_size=64, patch_size=16, num_layers=2, num_heads=2, hidden_dim=32, mlp_dim=64), 64),
}
if large:
    networks["vit_b_16"] = (models.vit_b_16, 224)
for name, (make, side) in networks.items():
    torch.manual_seed(0)
    model = make()
    for layer in model.modules():  # statistics of a batch: without them some fresh networks fade to logits of 1e-9
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = 1.0
    with torch.no_grad():
        model.train()(torch.randn(16, 3, side, side))
    model.eval()
    for parameter in model.parameters():  # torchvision starts some heads at zero: outputs that never change show nothing
        if not parameter.abs().max() > 0 and parameter.dim() > 1:
            torch.nn.init.normal_(parameter, 0, 0.1)
    for opset in (11, 13, 16):
        try:
            torch.onnx.export(
                model, torch.randn(1, 3, side, side), f"{folder}/{name}-opset{opset}.onnx", opset_version=opset,
                input_names=["input"], output_names=["output"],
                dynamic_axes={"input": {0: "batch"}, "output": {0: "batch"}})
        except Exception as error:  # an old opset lacks what a transformer needs
            print(f"{name} has no opset {opset}: {str(error).splitlines()[0]}")
