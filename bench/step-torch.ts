/** PyTorch's end of the lines that `Side` writes, around a program that defines `model` and `step()`. */
import {spawnSync} from 'node:child_process';

export const python = '/usr/bin/python3';

export const hasTorch = () => spawnSync(python, ['-c', 'import torch, torchvision']).status === 0;

/** What the program itself prints goes to stderr. */
export const torchSide = (program: string): string => `
import json, os, sys, time
import torch

answers = os.fdopen(os.dup(1), 'w')
os.dup2(2, 1)
torch.set_num_threads(2)
torch.manual_seed(0)
${program}
def status(name):
    with open('/proc/self/status') as f:
        return next(1024 * int(line.split()[1]) for line in f if line.startswith(name))

def blas():
    with open('/proc/self/maps') as f:
        return sorted({os.path.basename(os.path.realpath(line.split()[-1])) for line in f if 'libblas.so' in line or 'libopenblas' in line or 'libmkl' in line})

for line in sys.stdin:
    if line.strip() == 'peak':
        answer = {'peakBytes': status('VmHWM'), 'blas': blas(), 'parameters': sum(p.numel() for p in model.parameters())}
    else:
        start = time.perf_counter()
        for _ in range(int(line)): loss = step()
        answer = {'seconds': time.perf_counter() - start, 'loss': loss}
    print(json.dumps(answer), file=answers, flush=True)
`;
