/** Networks of torchvision itself, with random weights and the statistics of a batch: what it computes in float64 is what the student computes. */
import {spawnSync} from 'node:child_process';
import {mkdtempSync, readFileSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {convertFile} from '../../src/convert/convert.js';
import {float32} from '../../src/core/tensor.js';
import {openSession} from '../../src/onnx/session.js';
import {expectLogits} from '../close.js';
import {PYTHON, testWith} from '../optional.js';

const folder = mkdtempSync(join(tmpdir(), 'gpd-torchvision-'));
afterAll(() => rmSync(folder, {recursive: true, force: true}));

/** Saves `<name>.pth`, and beside it two images, their float64 logits, and how far PyTorch's own float32 is from these. */
const program = `
import sys, torch, torchvision
name, folder = sys.argv[1:]
torch.manual_seed(3)
network = getattr(torchvision.models, name)()
for m in network.modules():
    if isinstance(m, torch.nn.BatchNorm2d):
        n = m.num_features
        m.weight.data, m.bias.data, m.momentum = torch.rand(n) * 0.2 + 0.9, torch.randn(n) * 0.2, 1.0
with torch.no_grad(): network.train()(torch.randn(4, 3, 224, 224)) # statistics of a batch: without them MobileNetV2 forgets its input
torch.save(network.state_dict(), f'{folder}/{name}.pth')
x = torch.randn(2, 3, 224, 224)
with torch.no_grad(): z, y = network.eval()(x), network.double()(x.double())
open(f'{folder}/{name}.x', 'wb').write(x.numpy().tobytes())
open(f'{folder}/{name}.y', 'wb').write(y.numpy().tobytes())
open(f'{folder}/{name}.own', 'w').write(str(((z - y).abs().max() / y.abs().max()).item()))
`;

const numbers = (path: string) => new Uint8Array(readFileSync(path)).buffer;

for (const [name, arch, nodes] of [
  ['mobilenet_v2', 'mobilenet_v2', 100],
  ['resnet18', 'resnet18', 49],
  ['resnet50', 'resnet50', 122],
] as const)
  testWith('python3-torchvision', `${name}: torchvision's logits, and no node too many`, async () => {
    const made = spawnSync(PYTHON, ['-c', program, name, folder], {encoding: 'utf8'});
    expect([made.status, made.stderr]).toEqual([0, '']);
    const output = join(folder, `${name}.onnx`);
    const report = await convertFile(join(folder, `${name}.pth`), {outputs: {student: output}});
    expect([report.recognised.arch.name, report.outputs[0]!.size.nodes]).toEqual([arch, nodes]);
    const session = await openSession(output);
    const images = float32([2, 3, 224, 224], new Float32Array(numbers(join(folder, `${name}.x`))));
    const logits = (await session.run(new Map([['input', images]]))).get('logits')!;
    await session.close();
    const expected = new Float64Array(numbers(join(folder, `${name}.y`)));
    const own = Number(readFileSync(join(folder, `${name}.own`), 'utf8')); // ResNet-50 here: 1.4e-5 of the largest logit
    const because = 'float32 layers against float64: as PyTorch itself in float32';
    expectLogits(logits.data as Float32Array, expected, Math.max(1e-5, own), because);
  });
