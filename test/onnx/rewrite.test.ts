import {parseGraph, parseModel} from '../../src/onnx/parse-text.js';
import {rewritePass, runPasses} from '../../src/onnx/pass.js';
import {any, constant, either, Miss, miss, op, optional, rest, rule, scalar} from '../../src/onnx/pattern.js';
import {applyRules} from '../../src/onnx/rewrite.js';
import {printGraph} from '../../src/onnx/text.js';
import {expectRewrite, lines} from './rewriting.js';

const reluOfRelu = rule({
  name: 'fuse-relu-relu',
  match: op('Relu', [op('Relu', [any('x')], 'inner')], 'outer'),
  rewrite: ({x}, g) => g.op('Relu', [x]),
});

describe('rules', () => {
  test('a chain collapses to a fixed point, and the value keeps its name', () => {
    expectRewrite(
      [reluOfRelu],
      `graph g (%x: f32[2]) -> (%d)
         %a = Relu(%x)
         %b = Relu(%a)
         %c = Relu(%b)
         %d = Relu(%c)`,
      `graph g (%x: f32[2]) -> (%d)
         %d = Relu(%x)`,
      3,
    );
  });

  test('a new node takes the name of the one that it replaces, unless the rule names it', () => {
    const text = 'graph g (%x: f32[2]) -> (%b)\n %a = Relu(%x)\n %b = Relu(%a)';
    const [unnamed, named] = [parseGraph(text), parseGraph(text)];
    applyRules(unnamed, [reluOfRelu]);
    expect(unnamed.nodes.map((n) => n.name)).toEqual(['b']);
    const namedRule = rule({
      ...reluOfRelu,
      match: op('Relu', [op('Relu', [any('x')], 'i')], 'o'),
      rewrite: ({x}, g) => g.op('Relu', [x], {}, {name: 'mine'}),
    });
    applyRules(named, [namedRule]);
    expect(named.nodes.map((n) => n.name)).toEqual(['mine']);
    expect(named.outputs[0]!.name).toBe('b');
  });

  const scale = rule({
    name: 'double',
    match: op('Mul', [op('Relu', [any('x')], 'relu', {soleUser: true}), scalar('s', (s) => s === 2)], 'mul'),
    rewrite: ({x}, g) => g.op('Add', [x, x]),
  });

  test('commutative operators match in both orders', () => {
    for (const order of ['%r, %two', '%two, %r']) {
      expectRewrite(
        [scale],
        `graph g (%x: f32[3]) -> (%y)
           %r = Relu(%x)
           %two = f32[] {2}
           %y = Mul(${order})`,
        'graph g (%x: f32[3]) -> (%y)\n %y = Add(%x, %x)',
        1,
      );
    }
  });

  test.each([
    [
      'another user',
      'graph g (%x: f32[3]) -> (%y, %z)\n %r = Relu(%x)\n %two = f32[] {2}\n %y = Mul(%r, %two)\n %z = Relu(%r)',
      /Relu output has 2 users/,
    ],
    [
      'a graph output',
      'graph g (%x: f32[3]) -> (%y, %r)\n %r = Relu(%x)\n %two = f32[] {2}\n %y = Mul(%r, %two)',
      /output of the graph/,
    ],
    ['another number', 'graph g (%x: f32[3]) -> (%y)\n %r = Relu(%x)\n %two = f32[] {3}\n %y = Mul(%r, %two)', /'s' is 3/],
    [
      'another producer',
      'graph g (%x: f32[3]) -> (%y)\n %r = Sqrt(%x)\n %two = f32[] {2}\n %y = Mul(%r, %two)',
      /Sqrt is not Relu/,
    ],
    [
      'not a constant',
      'graph g (%x: f32[3], %two: f32[]) -> (%y)\n %r = Relu(%x)\n %y = Mul(%r, %two)',
      /'s' is not a constant scalar/,
    ],
  ])('a miss has a reason: %s', (_, text, reason) => {
    const {changes, rules} = applyRules(parseGraph(text), [scale]);
    expect(changes).toBe(0);
    expect(String(rules.get('double')!.nearest)).toMatch(reason);
  });

  test('check takes part in the search: the other order is tried when it says no', () => {
    const larger = rule({
      name: 'larger-first',
      match: op('Add', [constant('a'), constant('b')], 'add'),
      check: ({a, b}) => (a.initializer.shape[0]! > b.initializer.shape.length ? undefined : miss('the first is not larger')),
      rewrite: ({a}) => a,
    });
    const graph = parseGraph(
      'graph g (%x: f32[2]) -> (%z)\n %p = f32[1] {1}\n %q = f32[2] {1, 2}\n %y = Add(%p, %q)\n %z = Add(%x, %y)',
    );
    expect(applyRules(graph, [larger]).changes).toBe(1);
    expect(printGraph(graph)).toContain('Add(%x, %q)');
  });

  test('one name twice means one value', () => {
    const square = rule({
      name: 'square',
      match: op('Mul', [any('x'), any('x')], 'm'),
      rewrite: ({x}, g) => g.op('Pow', [x, g.scalar('two', 2)]),
    });
    expectRewrite(
      [square],
      'graph g (%x: f32[2], %w: f32[2]) -> (%z)\n %y = Mul(%x, %x)\n %z = Mul(%y, %w)',
      'graph g (%x: f32[2], %w: f32[2]) -> (%z)\n %two = f32[] {2}\n %y = Pow(%x, %two)\n %z = Mul(%y, %w)',
      1,
    );
  });

  test('optional inputs, alternatives and rests', () => {
    const seen: unknown[] = [];
    const look = rule({
      name: 'look',
      match: op(
        'Concat',
        [either(op('Gemm', [any('x'), constant('w'), optional(constant('b'))], 'gemm'), any('other')), rest('more')],
        'concat',
      ),
      rewrite: ({b, gemm, more, other}) => {
        seen.push([b?.name, gemm?.name, more.map((v) => v.name), other?.name]);
        return miss('only looking');
      },
    });
    applyRules(
      parseGraph(
        'graph g (%x: f32[1, 2]) -> (%y)\n %w = f32[2, 2] {1, 2, 3, 4}\n %g = Gemm(%x, %w)\n %y = Concat(%g, %x, %x) {axis = 1}',
      ),
      [look],
    );
    applyRules(parseGraph('graph g (%x: f32[1, 2]) -> (%y)\n %y = Concat(%x, %x) {axis = 1}'), [look]);
    expect(seen).toEqual([
      [undefined, 'g', ['x', 'x'], undefined],
      [undefined, undefined, ['x'], 'x'],
    ]);
  });

  const identity = rule({name: 'eliminate-identity', match: op('Identity', [any('x')], 'identity'), rewrite: ({x}) => x});
  test('an output keeps its name when the node before it is eliminated', () => {
    expectRewrite(
      [identity],
      'graph g (%x: f32[2]) -> (%y)\n %r = Relu(%x)\n %y = Identity(%r)',
      'graph g (%x: f32[2]) -> (%y)\n %y = Relu(%x)',
      1,
    );
  });
  test('an input does not become an output, nor two outputs one', () => {
    const through = parseGraph('graph g (%x: f32[2]) -> (%y)\n %y = Identity(%x)');
    expect(String(applyRules(through, [identity]).rules.get('eliminate-identity')!.nearest)).toMatch(
      /would become the graph input/,
    );
    const twice = parseGraph('graph g (%x: f32[2]) -> (%r, %y)\n %r = Relu(%x)\n %y = Identity(%r)');
    expect(String(applyRules(twice, [identity]).rules.get('eliminate-identity')!.nearest)).toMatch(/would become one/);
  });

  test('every output of a node with several is replaced', () => {
    const halves = rule({
      name: 'lower-split',
      match: op('Split', [any('x'), constant('sizes')], 'split'),
      rewrite: ({x, split}, g) =>
        split.outputs.map((_, i) => g.op('Slice', [x, g.ints('from', [2 * i]), g.ints('to', [2 * i + 2])])),
    });
    const graph = parseGraph('graph g (%x: f32[4]) -> (%b, %a)\n %s = i64[2] {2, 2}\n %a, %b = Split(%x, %s)');
    expect(applyRules(graph, [halves]).changes).toBe(1);
    expect(lines(printGraph(graph)).filter((l) => l.includes('Slice'))).toEqual([
      '%b: f32[2] = Slice(%x, %from_1, %to_1)',
      '%a: f32[2] = Slice(%x, %from, %to)',
    ]);
  });

  test('rules that never end are stopped', () => {
    const forever = rule({name: 'forever', match: op('Relu', [any('x')], 'r'), rewrite: ({x}, g) => g.op('Relu', [x])});
    expect(() => applyRules(parseGraph('graph g (%x: f32[2]) -> (%y)\n %y = Relu(%x)'), [forever])).toThrow(
      /'forever' still applies/,
    );
  });
});

describe('types', () => {
  test('a misspelt binding does not compile', () => {
    const pattern = op('Add', [any('x'), optional(constant('w'))], 'add');
    rule({
      name: 'typed',
      match: pattern,
      check: ({x, w, add}) => {
        const names: (string | undefined)[] = [x.name, w?.name, add.opType];
        return names.length > 3 ? miss('never') : undefined;
      },
      // @ts-expect-error: the pattern binds no 'y'
      rewrite: ({y}) => y,
    });
    rule({
      name: 'node-as-value',
      match: pattern,
      // @ts-expect-error: a node is not a value
      rewrite: ({add}) => add,
    });
    rule({
      name: 'optional',
      match: pattern,
      // @ts-expect-error: an optional constant may be undefined
      rewrite: ({w}) => miss(w.name),
    });
    rule({
      name: 'any-is-not-constant',
      match: pattern,
      // @ts-expect-error: only constant() promises an initializer
      rewrite: ({x}) => miss(x.initializer.dtype),
    });
    expect(pattern.opTypes).toEqual(['Add']);
  });
});

describe('passes', () => {
  const text = 'graph g (%x: f32[2]) -> (%b)\n %a = Relu(%x)\n %b = Relu(%a)';
  test('say what they changed', async () => {
    const seen: string[] = [];
    const passes = [rewritePass('fuse', [reluOfRelu]), rewritePass('again', [reluOfRelu])];
    const reports = await runPasses(parseModel(text), passes, {onPass: (r) => seen.push(r.name)});
    expect(reports.map(({name, changes, nodes}) => [name, changes, nodes])).toEqual([
      ['fuse', 1, 1],
      ['again', 0, 1],
    ]);
    expect(seen).toEqual(['fuse', 'again']);
  });
  test('are checked afterwards, and the error names them', async () => {
    const vandal = {
      name: 'vandalise',
      run: ({graph}: ReturnType<typeof parseModel>) => {
        graph.nodes.reverse();
        return 1;
      },
    };
    await expect(runPasses(parseModel(text), [vandal])).rejects.toMatchObject({
      code: 'GRAPH_INVALID',
      message: expect.stringMatching(/after the pass vandalise[\s\S]*topological/),
    });
  });
  test('an exception names the pass and those before it', async () => {
    const bad = {name: 'bad', run: () => Promise.reject(new Error('boom'))};
    await expect(runPasses(parseModel(text), [rewritePass('fuse', [reluOfRelu]), bad])).rejects.toThrow(
      /pass bad failed \(passes before it: fuse\): boom/,
    );
  });
});

test('a miss prints its place', () => {
  expect(String(new Miss('no', parseGraph('graph g (%x: f32[2]) -> (%y)\n %y = Relu(%x)').nodes[0]))).toBe("no (at Relu 'y')");
});
