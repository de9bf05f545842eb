import {GpdError} from '../../src/core/error.js';
import {float32, sourceOf} from '../../src/core/tensor.js';
import {assertValid, checkModel} from '../../src/onnx/check.js';
import {type Model, Value} from '../../src/onnx/graph.js';
import {parseModel} from '../../src/onnx/parse-text.js';

const sound = () =>
  parseModel(`
    model opset 17, ir 8, producer "gpd" "1"
    graph g (%x: f32[N, 2], %c: bool[]) -> (%y)
      %w = f32[2] {1, 2}
      %a = Add(%x, %w)
      %b = Softmax(%a) {axis = 1}
      %i: f32? = If(%c) {
        else_branch = {graph no () -> (%n) %n = Relu(%b)},
        then_branch = {graph yes () -> (%m) %m = Mul(%a, %w)}
      }
      %y = Relu(%b)`);

const node = (model: Model, name: string) => model.graph.nodes.find((n) => n.name === name)!;
const value = (model: Model, name: string) => model.graph.value(name)!;

test('a sound model has no findings', () => {
  expect(checkModel(sound())).toEqual([]);
});

/** One fault each, with the findings that it must cause, and no others. */
const faults: Record<string, [plant: (model: Model) => void, findings: [kind: string, at: string, message: RegExp][]]> = {
  'two values of one name': [
    (m) => {
      value(m, 'a').name = 'b';
    },
    [
      ['name', 'b', /not registered/],
      ['name', 'b', /more than once/],
    ],
  ],
  'two nodes of one name': [
    (m) => {
      node(m, 'a').name = 'b';
    },
    [['name', 'b', /two nodes/]],
  ],
  'nodes out of order': [
    (m) => m.graph.nodes.reverse(),
    [
      ['order', 'y', /Relu uses %b before Softmax 'b' produces it/],
      ['order', 'i', /uses %b/],
      ['order', 'i', /uses %a/],
      ['order', 'b', /uses %a/],
    ],
  ],
  'an input from nowhere': [
    (m) => {
      const ghost = new Value('ghost', 'float32', ['N', 2]);
      const user = node(m, 'y');
      value(m, 'b').users.delete(user);
      ghost.users.add(user);
      user.inputs = [ghost];
    },
    [['order', 'y', /uses %ghost, which nothing in the graph produces/]],
  ],
  'a removed initializer that a subgraph uses': [
    (m) => {
      m.graph.nodes.splice(1, 1);
    },
    [
      ['order', 'i', /uses %b, which nothing/],
      ['order', 'y', /uses %b/],
      ['users', 'a', /lists Softmax 'b'/],
      ['order', 'n', /uses %b/],
    ],
  ],
  'a forgotten user': [(m) => value(m, 'b').users.delete(node(m, 'y')), [['users', 'b', /does not know its user Relu 'y'/]]],
  'a stale user': [
    (m) => value(m, 'w').users.add(node(m, 'y')),
    [['users', 'w', /lists Relu 'y' as a user, which does not use it/]],
  ],
  'a wrong producer': [
    (m) => {
      value(m, 'b').producer = node(m, 'a');
    },
    [['users', 'b', /does not know its producer Softmax/]],
  ],
  'an output that nobody makes': [
    (m) => m.graph.outputs.push(new Value('z', 'float32', [1])),
    [['output', 'z', /nothing produces/]],
  ],
  'no outputs': [(m) => m.graph.outputs.splice(0), [['output', 'g', /no outputs/]]],
  'an unknown attribute': [
    (m) => (node(m, 'b').attributes as Map<string, unknown>).set('axes', {kind: 'int', value: 1}),
    [['attribute', 'b', /Softmax has no attribute 'axes'/]],
  ],
  'an attribute of another kind': [
    (m) => (node(m, 'b').attributes as Map<string, unknown>).set('axis', {kind: 'float', value: 1}),
    [['attribute', 'b', /'axis' is of kind float, Softmax takes int/]],
  ],
  'a wrong shape': [
    (m) => {
      value(m, 'y').shape = ['N', 3];
    },
    [['shape', 'y', /has shape \[N, 3\], Relu computes \[N, 2\]/]],
  ],
  'inputs that do not fit': [
    (m) => {
      value(m, 'x').shape = ['N', 3];
    },
    [['shape', 'a', /do not broadcast/]],
  ],
  'a negative dimension': [
    (m) => {
      value(m, 'c').shape = [-1];
    },
    [['dims', 'c', /\[-1\] is not possible/]],
  ],
  'an initializer of another size': [
    (m) => Object.assign(value(m, 'w'), {initializer: sourceOf(float32([1], [1]))}),
    [['dims', 'w', /the initializer is float32\[1\], the value says float32\[2\]/]],
  ],
  'an operator of a later opset': [
    (m) => {
      m.opset = 12;
    },
    [['opset', 'b', /Softmax exists since opset 13; the model has opset 12/]],
  ],
  'a domain that is not imported': [
    (m) => {
      m.graph.op('FusedConv', [value(m, 'x')], {}, {domain: 'com.microsoft'});
    },
    [['domain', 'FusedConv', /domain 'com.microsoft', which the model does not import/]],
  ],
  'no such opset': [
    (m) => {
      m.opset = 999;
    },
    [['domain', 'g', /no opset 999/]],
  ],
};

test.each(Object.entries(faults))('found: %s', (_, [plant, expected]) => {
  const model = sound();
  plant(model);
  const findings = checkModel(model);
  expect(findings).toEqual(expected.map(([kind, at, message]) => ({kind, at, message: expect.stringMatching(message)})));
});

const refusal = (model: Model): GpdError => {
  try {
    assertValid(model, 'somewhere');
  } catch (error) {
    return error as GpdError;
  }
  throw new Error('nothing was refused');
};

test('the shape of a Slice along an axis that its input does not have is unknown', () => {
  const model = parseModel(`
    model opset 17, ir 8, producer "gpd" "1"
    graph g (%x: f32[4, 6]) -> (%y, %z)
      %from = i64[1] {1}
      %to = i64[1] {3}
      %last = i64[1] {-1}
      %third = i64[1] {2}
      %y = Slice(%x, %from, %to, %last)
      %z = Slice(%x, %from, %to, %third)`);
  expect([value(model, 'y').shape, value(model, 'z').shape]).toEqual([[4, 2], undefined]);
});

test('all findings are in the error', () => {
  const model = sound();
  value(model, 'y').shape = ['N', 3];
  value(model, 'c').shape = [-1];
  const error = refusal(model);
  expect(error).toBeInstanceOf(GpdError);
  expect(error.code).toBe('GRAPH_INVALID');
  expect(error.message).toMatch(/^somewhere: .*\n {2}c: .*\n {2}y: has shape/);
  expect(error.data?.['findings']).toHaveLength(2);
});

test('too new operators alone have a code of their own', () => {
  const model = sound();
  model.opset = 12;
  expect(refusal(model)).toMatchObject({code: 'OPSET_UNSUPPORTED', hint: expect.stringMatching(/newer opset/)});
  value(model, 'c').shape = [-1];
  expect(refusal(model).code).toBe('GRAPH_INVALID');
});
