/** The small parts of what is printed, in this process. */
import {writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {renderError} from '../../src/cli/render/error.js';
import {styleFor, wantsColor} from '../../src/cli/terminal/style.js';
import {tableLines} from '../../src/cli/terminal/table.js';
import {wrapText} from '../../src/cli/terminal/wrap.js';
import {GpdError} from '../../src/core/error.js';
import {bytes, count, duration, si, tiny} from '../../src/core/format.js';
import {printable} from '../../src/core/printable.js';
import {planOutputs, stemOf} from '../../src/workflows/output-paths.js';
import {readLabels} from '../../src/workflows/read-labels.js';
import {inFolder} from './program.js';

test('numbers', () => {
  expect([0, 999, 1000, 1234567].map(count)).toEqual(['0', '999', '1,000', '1,234,567']);
  expect([0, 999, 1000, 46_738_848, 1_380_000_000].map(bytes)).toEqual(['0 B', '999 B', '1.00 kB', '46.7 MB', '1.38 GB']);
  expect([1_814_073_344, 12].map(si)).toEqual(['1.81 G', '12']);
  expect([3.4, 999, 1000, 65_000].map(duration)).toEqual(['3 ms', '999 ms', '1.00 s', '65.0 s']);
  expect([0, 1e-4, 6.2e-7, 0.25, 1500].map(tiny)).toEqual(['0', '1e-4', '6.2e-7', '0.25', '1.5e+3']);
});

test('names from a file cannot steer the terminal', () => {
  expect(printable('a\x1b[2Jb\n\u202ec')).toBe('a\\x1b[2Jb\\x0a\\u202ec');
});

test('tables align, and cut long cells in their middle', () => {
  expect(
    tableLines(
      [
        ['a', '1'],
        ['layer.0.conv', '22'],
      ],
      [{maxWidth: 7}, {align: 'right'}],
      '',
    ),
  ).toEqual(['a         1', 'lay…onv  22']);
  expect(wrapText('one two /a/path/that/is/long three', 8)).toEqual(['one two', '/a/path/that/is/long', 'three']);
});

test('colours: NO_COLOR, then FORCE_COLOR, then the terminal', () => {
  const terminal = {isTTY: true};
  expect(wantsColor(terminal, {})).toBe(true);
  expect(wantsColor({}, {})).toBe(false);
  expect(wantsColor(terminal, {NO_COLOR: '1', FORCE_COLOR: '1'})).toBe(false);
  expect(wantsColor({}, {FORCE_COLOR: '1'})).toBe(true);
  expect(wantsColor(terminal, {TERM: 'dumb'})).toBe(false);
  expect(styleFor(terminal, {}).bold('x')).toBe('\x1b[1mx\x1b[22m');
  expect(styleFor({}, {}).bold('x')).toBe('x');
});

test('an error says what, where, why, and what to do', () => {
  const error = new GpdError('KEY_MISSING', 'a tensor is missing', {at: 'conv1.weight', hint: 'save it again'});
  expect(renderError(error, styleFor({}, {}))).toEqual([
    ' ›   Error: a tensor is missing',
    ' ›   Where: conv1.weight',
    ' ›   Code: KEY_MISSING',
    ' ›   Try this: save it again',
  ]);
  const named = new GpdError('FILE_UNREADABLE', 'a.pth: no such file', {at: 'a.pth@12'});
  expect(renderError(named, styleFor({}, {}))).toEqual([' ›   Error: a.pth: no such file', ' ›   Code: FILE_UNREADABLE']);
});

test('where results go', () => {
  const names = ['a/resnet18_dkd_gpd.pth.tar', 'x.PTH', 'y.safetensors', 'z', '.pth', 'v1.2.th'];
  expect(names.map(stemOf)).toEqual(['resnet18_dkd_gpd', 'x', 'y', 'z', '.pth', 'v1.2']);
  const plan = (output?: string) => planOutputs('in/net.pth', {emits: ['student', 'teacher'], weights: ['pth']}, output);
  expect(plan()).toEqual({outputs: {student: 'net.onnx', teacher: 'net.teacher.onnx'}, weights: {pth: 'net.deployed.pth'}});
  expect(plan('out/')).toEqual({
    outputs: {student: 'out/net.onnx', teacher: 'out/net.teacher.onnx'},
    weights: {pth: 'out/net.deployed.pth'},
  });
  expect(plan('b.onnx')).toEqual({outputs: {student: 'b.onnx', teacher: 'b.teacher.onnx'}, weights: {pth: 'b.deployed.pth'}});
  expect(planOutputs('net.pth', {emits: [], weights: ['pth']}, 'w.bin')).toEqual({outputs: {}, weights: {pth: 'w.bin'}});
});

test('labels: lines or a JSON array', () =>
  inFolder(async (folder) => {
    const from = (text: string | Uint8Array) => {
      writeFileSync(join(folder, 'labels'), text);
      return () => readLabels(join(folder, 'labels'));
    };
    expect(from('\ufeffcat\r\ndog \n')()).toEqual(['cat', 'dog']);
    expect(from('["cat", "dog"]')()).toEqual(['cat', 'dog']);
    expect(from('cat\n\ndog')).toThrow('line 2 is empty');
    expect(from('{"0": "cat"}')).toThrow('not an array');
    expect(from('[1]')).toThrow('not an array');
    expect(from('["cat"')).toThrow('not valid JSON');
    expect(from(new Uint8Array([0xff, 0xfe, 0x41]))).toThrow('UTF-8');
  }));
