/**
 * The other side of `bench/gpd-step.ts`: the same step by the original's own modules, imported from a checkout of it, with its optimiser's
 * and its average's settings as `gpd-step-ours.ts` has them.
 */
import {torchSide} from './step-torch.js';

/** Arguments: the checkout, `cifar` or `resnet18`, batch, image size, classes. */
export const originalProgram = torchSide(`
import copy, importlib.abc, importlib.machinery
from unittest.mock import MagicMock
import torch.nn as nn, torch.nn.functional as F, torchvision
from torchvision.models.resnet import BasicBlock, ResNet

class Absent(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Stands in for packages that the original imports and a step does not use, where they are not installed."""
    names = {'timm', 'einops', 'scipy'}
    def find_spec(self, name, path, target=None):
        if name.split('.')[0] in self.names:
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
    def create_module(self, spec):
        return MagicMock(name=spec.name, __path__=[], __spec__=spec, __name__=spec.name, __all__=[])
    def exec_module(self, module):
        pass

folder, name = sys.argv[1:3]
batch, size, classes = map(int, sys.argv[3:6])
sys.meta_path.append(Absent())
sys.path.insert(0, os.path.join(folder, 'CNN'))
sys.dont_write_bytecode = True
from gpd_utils import enhance_with_es, forward_expanded, gpd_init
from orepa_ft import transfer2orepa

def cifar():
    net = ResNet(BasicBlock, [2, 2, 2, 2], num_classes=classes)
    net.inplanes = 16
    net.conv1, net.bn1, net.maxpool = nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.Identity()
    for i, planes in enumerate((16, 32, 64, 128)):
        setattr(net, f'layer{i + 1}', net._make_layer(BasicBlock, planes, 2, 1 if i == 0 else 2))
    net.fc = nn.Linear(128, classes)
    return net

networks = {'cifar': cifar, 'resnet18': torchvision.models.resnet18}
model = transfer2orepa(networks[name](), train_from_scratch=True, print_info=False)
ends = {'first_module_name_list': ['conv1'], 'last_module_name_list': ['fc']}
model = gpd_init(model, **ends, test_input=[torch.randn(1, 3, size, size)], gpd_ratio=2).train()
average = copy.deepcopy(model)
optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
images, labels = torch.randn(batch, 3, size, size), torch.randint(classes, (batch,))

def loss_of(logits, labels):
    return F.cross_entropy(logits, labels)

def step():
    optimizer.zero_grad()
    expanded = forward_expanded(model, images)
    loss, _, _ = enhance_with_es(model, images, expanded, loss_of(expanded, labels), loss_of, [labels], kd_loss_type='sce', kd_loss_weight=3)
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 5)
    optimizer.step()
    with torch.no_grad():
        for mean, value in zip(average.state_dict().values(), model.state_dict().values()):
            mean.copy_(0.99996 * mean + (1 - 0.99996) * value)
    return loss.item()
`);
