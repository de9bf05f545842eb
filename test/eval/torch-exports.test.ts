/** What PyTorch itself exports, with mistakes that people make, against the checkpoint. */
import {spawnSync} from 'node:child_process';
import {mkdtempSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {verifyFiles} from '../../src/workflows/verify.js';
import {PYTHON, testWith} from '../optional.js';

const folder = mkdtempSync(join(tmpdir(), 'gpd-torch-exports-'));
afterAll(() => rmSync(folder, {recursive: true, force: true}));

/** `<name>.pth`, and `<name>-<mistake>.onnx` for each mistake. */
const program = `
import copy, sys, torch, torchvision
name, folder = sys.argv[1:]
torch.manual_seed(3)
net = getattr(torchvision.models, name)(num_classes=10)
norms = lambda net: [m for m in net.modules() if isinstance(m, torch.nn.BatchNorm2d)]
for m in norms(net):
    m.weight.data, m.bias.data, m.momentum = torch.rand(m.num_features) * 0.2 + 0.9, torch.randn(m.num_features) * 0.2, 1.0
with torch.no_grad(): net.train()(torch.randn(8, 3, 64, 64))
net.eval()
torch.save(net.state_dict(), f'{folder}/{name}.pth')
class Reversed(torch.nn.Module):
    def __init__(self, inner): super().__init__(); self.inner = inner
    def forward(self, x): return self.inner(x.flip(1))
def right(net): return net
def epsilon(net): norms(net)[5].eps = 1e-2; return net
def bias(net): norms(net)[5].bias.data.zero_(); return net
def colours(net): return Reversed(net)
def relu(net):
    if name == 'resnet18': net.layer2[0].relu = torch.nn.Identity()
    else: net.features[7].conv[0][2] = torch.nn.ReLU()
    return net
for mistake in (right, epsilon, bias, colours, relu):
    dynamic = {'input': {0: 'N'}, 'logits': {0: 'N'}}
    changed = mistake(copy.deepcopy(net)).eval()
    torch.onnx.export(changed, torch.randn(2, 3, 64, 64), f'{folder}/{name}-{mistake.__name__}.onnx', input_names=['input'], output_names=['logits'], dynamic_axes=dynamic)
`;

const expected = {
  resnet18: {
    sixth: 'layer2.0.conv1',
    first: 'conv1',
    relu: ['layer2.0.conv2', 'operators', /nothing where the reference has Relu/],
  },
  mobilenet_v2: {
    sixth: 'features.2.conv.2',
    first: 'features.0.0',
    relu: [undefined, 'activation', /cut off at 6/],
  },
} as const;

for (const name of ['resnet18', 'mobilenet_v2'] as const)
  testWith('python3-torchvision', `${name}: the first difference of PyTorch's exports, and why`, async () => {
    const made = spawnSync(PYTHON, ['-W', 'ignore', '-c', program, name, folder], {encoding: 'utf8'});
    expect([made.status, made.stderr]).toEqual([0, '']);
    const against = async (mistake: string) => {
      const [reference, actual] = [join(folder, `${name}.pth`), join(folder, `${name}-${mistake}.onnx`)];
      const {ok, divergence} = await verifyFiles(reference, actual, {imageSize: 64, samples: 8, layers: true});
      return {
        ok,
        divergence: divergence!,
        found: divergence!.diagnosis.map(({kind}) => kind),
        module: divergence!.first?.module,
      };
    };
    const {sixth, first, relu} = expected[name];
    const right = await against('right');
    expect([right.ok, right.divergence.first, right.divergence.unmatched.actual]).toEqual([true, undefined, []]);
    expect(await against('epsilon')).toMatchObject({ok: false, module: sixth, found: ['epsilon']});
    expect(await against('bias')).toMatchObject({ok: false, module: sixth, found: ['bias']});
    expect(await against('colours')).toMatchObject({ok: false, module: first, found: ['operators']});
    const cut = await against('relu');
    expect([cut.module, cut.found]).toEqual([relu[0], [relu[1]]]);
    expect(cut.divergence.diagnosis[0]!.text).toMatch(relu[2]);
  });
